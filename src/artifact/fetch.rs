//! The one way in which bytes come over a network: into a temporary file, which counts only once it is whole.
//!
//! A connection that breaks is resumed where it stopped, if what comes then belongs to what came before: by a version
//! that the server holds on to, or by a digest that is verified in the end.

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{ErrorKind, Seek as _, SeekFrom, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::trouble::Trouble;
use super::{Body, Item, Remote, md5, path};

/// What fetching a file may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The bytes of one file.
    pub bytes: u64,
    /// The time for one file, all tries and waits together.
    pub time: Duration,
    /// The time within which something must come, and by which the rate is measured.
    pub window: Duration,
    /// The bytes that must come in each such time.
    pub window_bytes: u64,
    /// Tries that may fail one after another. One that brought [`Limits::advance`] does not count.
    pub tries: u32,
    /// The bytes that show that a server does its best.
    pub advance: u64,
    /// The wait before the second try, doubled before each further one.
    pub pause: Duration,
    /// The longest such wait.
    pub longest_pause: Duration,
}

impl Limits {
    /// The wait after some tries. Half of it is left to chance, so that runs that were turned away together do not come back
    /// together.
    fn pause(&self, tries: u32) -> Duration {
        let longest = self.pause.saturating_mul(1 << (tries - 1).min(16)).min(self.longest_pause);
        let chance = RandomState::new().hash_one(tries) as f64 / u64::MAX as f64;
        longest.mul_f64(0.5 + chance / 2.0)
    }

    fn too_slow(&self) -> Trouble {
        let Self { window, window_bytes, .. } = self;
        Trouble::again(format!("fewer than {window_bytes} bytes came in {} seconds", window.as_secs_f64()))
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 64 << 30,
            time: Duration::from_secs(60 * 60),
            window: Duration::from_secs(30),
            window_bytes: 30 << 10,
            tries: 6,
            advance: 1 << 20,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
        }
    }
}

/// Bytes fetched so far, for the progress bar.
#[derive(Debug, Default)]
pub struct Transfers {
    fetched: AtomicU64,
    expected: AtomicU64,
    started: OnceLock<Instant>,
}

impl Transfers {
    fn expect(&self, bytes: u64) {
        self.started.get_or_init(Instant::now);
        self.expected.fetch_add(bytes, Ordering::Relaxed);
    }

    fn add(&self, bytes: u64) {
        self.fetched.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that have come.
    #[must_use]
    pub fn fetched(&self) -> u64 {
        self.fetched.load(Ordering::Relaxed)
    }

    /// Bytes of all files whose transfer began, as far as that is known.
    #[must_use]
    pub fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }

    /// Bytes in a second, from the first transfer on.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let seconds = self.started.get().map_or(0.0, |started| started.elapsed().as_secs_f64());
        if seconds > 0.0 { self.fetched() as f64 / seconds } else { 0.0 }
    }
}

/// Fetches a file and tells its digest, which is the one that it must have.
///
/// # Errors
/// [`Trouble`], after the tries that make sense. What was written then is of no use.
pub async fn fetch(
    item: &Item,
    remote: &dyn Remote,
    file: &mut File,
    limits: &Limits,
    transfers: &Transfers,
) -> Result<String, Trouble> {
    let (sha256, md5) = (Sha256::new(), item.md5.as_ref().map(md5::Expected::hasher));
    let mut transfer = Transfer { item, remote, limits, transfers, file, sha256, md5, at: 0, whole: None };
    transfers.expect(item.bytes.unwrap_or_default());
    let done = timeout(limits.time, transfer.repeat()).await;
    done.unwrap_or_else(|_| Err(too_long(limits)))
}

/// Asks a server for a short answer, again where it is busy.
///
/// # Errors
/// [`Trouble`], after the tries that make sense.
pub async fn ask<T, F>(limits: &Limits, once: impl Fn() -> F) -> Result<T, Trouble>
where
    F: Future<Output = Result<T, Trouble>>,
{
    for tries in 1.. {
        let asked = timeout(limits.window, once()).await.unwrap_or_else(|_| Err(limits.too_slow()));
        let Err(Trouble::Again { why, wait }) = asked else { return asked };
        let wait = wait.unwrap_or_else(|| limits.pause(tries));
        if tries >= limits.tries || wait >= limits.time {
            return Err(Trouble::again(format!("{why}, in {tries} tries")));
        }
        tokio::time::sleep(wait).await;
    }
    Err(too_long(limits))
}

fn too_long(limits: &Limits) -> Trouble {
    let why = format!("it was not here after {} seconds", limits.time.as_secs_f64());
    Trouble::last(why, "keep it nearer, or make it smaller")
}

struct Transfer<'t> {
    item: &'t Item,
    remote: &'t dyn Remote,
    limits: &'t Limits,
    transfers: &'t Transfers,
    file: &'t mut File,
    sha256: Sha256,
    md5: Option<md5::Hasher>,
    /// Bytes that are written.
    at: u64,
    /// Bytes of the whole file, as the server says.
    whole: Option<u64>,
}

impl Transfer<'_> {
    async fn repeat(&mut self) -> Result<String, Trouble> {
        let (mut tries, mut resumed) = (1, false);
        loop {
            let before = self.at;
            let trouble = match self.once().await.and_then(|()| self.finish()) {
                Ok(sha256) => match self.wrong_digest(&sha256) {
                    Some(_) if resumed => {
                        // Perhaps the parts are of two files.
                        self.restart()?;
                        Trouble::again("what came in parts has another digest than it must have")
                    }
                    Some(wrong) => return Err(wrong),
                    None => return Ok(sha256),
                },
                Err(trouble) => trouble,
            };
            let Trouble::Again { why, wait } = trouble else { return Err(trouble) };
            if self.at.saturating_sub(before) >= self.limits.advance {
                tries = 1;
            }
            if tries >= self.limits.tries {
                return Err(Trouble::again(format!("{why}, in {tries} tries")));
            }
            if !self.remote.is_pinned() && self.item.sha256.is_none() && self.item.md5.is_none() {
                self.restart()?;
            }
            resumed |= self.at > 0;
            let wait = wait.unwrap_or_else(|| self.limits.pause(tries));
            if wait >= self.limits.time {
                return Err(Trouble::again(format!("{why} and asks to wait for {} seconds", wait.as_secs())));
            }
            tokio::time::sleep(wait).await;
            tries += 1;
        }
    }

    async fn once(&mut self) -> Result<(), Trouble> {
        let opened = timeout(self.limits.window, self.remote.open(self.at)).await;
        let Body { from, bytes, mut pieces } = opened.unwrap_or_else(|_| Err(self.limits.too_slow()))?;
        if from != self.at {
            self.restart()?;
        }
        if from != self.at {
            return Err(Trouble::again("the server gives another part than the one that was asked for"));
        }
        self.whole = bytes.or(self.item.bytes);
        self.ensure_small(self.whole.unwrap_or_default())?;
        let (mut since, mut came) = (Instant::now(), 0);
        loop {
            let piece = timeout(self.limits.window, pieces.next()).await.map_err(|_| self.limits.too_slow())?;
            let Some(piece) = piece else { return Ok(()) };
            let piece = piece?;
            came += piece.len() as u64;
            self.write(&piece)?;
            if since.elapsed() >= self.limits.window {
                if came < self.limits.window_bytes {
                    return Err(self.limits.too_slow());
                }
                (since, came) = (Instant::now(), 0);
            }
        }
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), Trouble> {
        self.ensure_small(self.at + piece.len() as u64)?;
        self.file.write_all(piece).map_err(|error| unwritten(&error))?;
        self.sha256.update(piece);
        self.md5.iter_mut().for_each(|md5| md5.update(piece));
        self.at += piece.len() as u64;
        self.transfers.add(piece.len() as u64);
        Ok(())
    }

    fn ensure_small(&self, bytes: u64) -> Result<(), Trouble> {
        let most = self.item.bytes.or(self.whole).unwrap_or(u64::MAX);
        if bytes > self.limits.bytes {
            let why = format!("it has more than the {} bytes that one file may have", self.limits.bytes);
            return Err(Trouble::last(why, "split it"));
        }
        if bytes > most {
            let why = format!("the server sends {bytes} bytes and more, of a file that has {most}");
            return Err(Trouble::last(why, "run again; if it changed, what is read now is another file"));
        }
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Trouble> {
        self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0))).map_err(|error| unwritten(&error))?;
        (self.sha256, self.md5, self.at) = (Sha256::new(), self.item.md5.as_ref().map(md5::Expected::hasher), 0);
        Ok(())
    }

    /// The digest of what is whole, and on disk.
    fn finish(&mut self) -> Result<String, Trouble> {
        match self.item.bytes.or(self.whole) {
            Some(bytes) if self.at < bytes => {
                return Err(Trouble::again(format!("{} of {bytes} bytes came", self.at)));
            }
            _ if self.at == 0 => return Err(Trouble::last("it is empty", "check what was uploaded")),
            _ => {}
        }
        self.file.sync_all().map_err(|error| unwritten(&error))?;
        Ok(path::hex(&self.sha256.clone().finalize()))
    }

    /// What is wrong where a digest is another one than it must be.
    fn wrong_digest(&mut self, sha256: &str) -> Option<Trouble> {
        if let Some(expected) = self.item.sha256.as_deref().filter(|expected| *expected != sha256) {
            return Some(wrong_digest("SHA-256", expected, sha256));
        }
        let expected = self.item.md5.as_ref()?;
        let found = expected.unlike(self.md5.take()?)?;
        Some(wrong_digest("MD5", &expected.digest, &found))
    }
}

fn wrong_digest(kind: &str, expected: &str, found: &str) -> Trouble {
    Trouble::last(
        format!("its {kind} is {found} and must be {expected}"),
        "it is another file than the one that was meant: find out who changed it, or correct the digest",
    )
}

fn unwritten(error: &std::io::Error) -> Trouble {
    let full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge);
    let why = if full { "there is no room for it".to_owned() } else { format!("it cannot be written: {error}") };
    Trouble::last(why, "free some, or name a folder on another disk with `--cache`")
}
