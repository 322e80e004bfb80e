//! MD5 digests, which tell damage and not malice: whoever wants to can make two files that have the same one.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use md5::{Digest as _, Md5};

use super::path::hex;

/// The bytes of which DVC 2 decided at once whether they are text.
const CHUNK: usize = 1 << 20;
/// The first bytes of them, by which it decided.
const FIRST: usize = 512;

/// The MD5 that a file must have, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The digest.
    pub(super) digest: String,
    /// Whether it is one of DVC 2, which took the lines of a text to end as on Unix.
    pub(super) is_of_text: bool,
}

/// The MD5 of bytes that come one after another.
pub(super) enum Hasher {
    /// Of all bytes as they are.
    Plain(Md5),
    /// As DVC 2 took it.
    Text(Box<TextHasher>),
}

/// DVC 2 replaced the ends of lines within chunks, so that one between two chunks stayed. Its earlier versions decided once
/// whether a file is text, its later ones for each chunk, as DVC 3 does where it reads what DVC 2 has written.
pub(super) struct TextHasher {
    chunk: Vec<u8>,
    /// Whether the first chunk was text.
    is_text: Option<bool>,
    decided_once: Md5,
    decided_anew: Md5,
}

impl Expected {
    /// What takes the digest of bytes that are to be compared.
    pub(super) fn hasher(&self) -> Hasher {
        if !self.is_of_text {
            return Hasher::Plain(Md5::new());
        }
        let (decided_once, decided_anew) = (Md5::new(), Md5::new());
        Hasher::Text(Box::new(TextHasher { chunk: Vec::new(), is_text: None, decided_once, decided_anew }))
    }

    /// The digest that is found instead of this one, if another is.
    pub(super) fn unlike(&self, hasher: Hasher) -> Option<String> {
        let found = hasher.digests();
        if found.contains(&self.digest) { None } else { found.into_iter().next() }
    }

    /// The digest that a file has instead of this one, if it has another.
    pub(super) fn unlike_file(&self, file: &Path) -> Result<Option<String>> {
        let unread = || format!("`{}` cannot be read", file.display());
        let (mut opened, mut hasher) = (File::open(file).with_context(unread)?, self.hasher());
        let mut buffer = vec![0; 1 << 16];
        loop {
            match opened.read(&mut buffer).with_context(unread)? {
                0 => return Ok(self.unlike(hasher)),
                read => hasher.update(&buffer[..read]),
            }
        }
    }
}

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Plain(hasher) => hasher.update(bytes),
            Self::Text(hasher) => hasher.update(bytes),
        }
    }

    /// What can be called the digest.
    fn digests(self) -> Vec<String> {
        match self {
            Self::Plain(hasher) => vec![hex(&hasher.finalize())],
            Self::Text(mut hasher) => {
                hasher.end_chunk();
                vec![hex(&hasher.decided_anew.finalize()), hex(&hasher.decided_once.finalize())]
            }
        }
    }
}

impl TextHasher {
    fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
            if self.chunk.len() == CHUNK {
                self.end_chunk();
            }
        }
    }

    fn end_chunk(&mut self) {
        let is_text = is_text(&self.chunk[..self.chunk.len().min(FIRST)]);
        let with_ends = with_ends_of_unix(&self.chunk);
        let bytes = |is_text| if is_text { with_ends.as_slice() } else { self.chunk.as_slice() };
        self.decided_anew.update(bytes(is_text));
        self.decided_once.update(bytes(*self.is_text.get_or_insert(is_text)));
        self.chunk.clear();
    }
}

/// Whether DVC takes these first bytes for those of a text: no zero, and at most 30 of 100 that are no text in ASCII.
fn is_text(block: &[u8]) -> bool {
    let is_other = |byte: &&u8| !matches!(byte, 32..=126 | b'\n' | b'\r' | b'\t' | 12 | 8);
    !block.contains(&0) && block.iter().filter(is_other).count() * 10 <= block.len() * 3
}

fn with_ends_of_unix(chunk: &[u8]) -> Vec<u8> {
    let is_end = |at: usize| chunk[at] == b'\r' && chunk.get(at + 1) == Some(&b'\n');
    (0..chunk.len()).filter(|at| !is_end(*at)).map(|at| chunk[at]).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::fs;

    use super::*;

    fn found(bytes: &[u8], is_of_text: bool) -> Vec<String> {
        // In parts that are none of DVC's.
        let mut hasher = Expected { digest: String::new(), is_of_text }.hasher();
        bytes.chunks(700_001).for_each(|part| hasher.update(part));
        hasher.digests()
    }

    fn plain(bytes: &[u8]) -> String {
        hex(&Md5::digest(bytes))
    }

    /// The expected values are those of `dvc_data.hashfile.hash` of dvc-data 3.18.3, for `md5` and for `md5-dos2unix`.
    #[test]
    fn digests_are_those_of_dvc() {
        let (letters, zeros) = (vec![b'a'; CHUNK], vec![0; CHUNK]);
        let mostly = |others: usize| [&[0xff].repeat(others), &letters[..98 - others], b"\r\n"].concat();
        let between_chunks = [&letters[1..], b"\r\nb\r\n"].concat();
        let binary_later = [&letters[..], b"\x00\r\n"].concat();
        let binary_first = [&zeros[..], b"a\r\n"].concat();
        for (bytes, md5, of_text) in [
            (b"a\r\nb\r\n".to_vec(), "59b0d7772f0561efb95518f3cb8abc60", "dd8c6a395b5dd36c56d23275028f526c"),
            (b"a\nb\r".to_vec(), "d04e1236601a14781de8fdb560b8c3fc", "d04e1236601a14781de8fdb560b8c3fc"),
            (b"\x00a\r\n".to_vec(), "c2a5b9617479ff7c69c7b78434b5784a", "c2a5b9617479ff7c69c7b78434b5784a"),
            (mostly(30), "94af6cd492b3749a4815943cee3ed365", "48db8896ed5fb1c5e8bd575f556f6ec7"),
            (mostly(31), "c4c2c4f44c83986feab9e2656c9dd694", "c4c2c4f44c83986feab9e2656c9dd694"),
            (between_chunks, "e0bc301cdd0940f2de68d786f8e52418", "deb8178cc400550795d42d701b97846d"),
            (binary_later.clone(), "aceb5b5491f0767dd6cd310bdf692732", "aceb5b5491f0767dd6cd310bdf692732"),
            (binary_first.clone(), "9e9d3d280341ec0036961ba5df47a857", "96639d5fe37daf9a193a291eacc6eca9"),
        ] {
            assert_eq!(found(&bytes, false), [md5]);
            assert_eq!(found(&bytes, true)[0], of_text);
        }
        // Earlier versions went by the first chunk.
        assert_eq!(found(&binary_later, true)[1], plain(&[&letters[..], b"\x00\n"].concat()));
        assert_eq!(found(&binary_first, true)[1], plain(&binary_first));
    }

    #[test]
    fn a_file_has_the_digest_or_another() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "a\r\n").unwrap();
        let unlike =
            |bytes: &[u8], is_of_text| Expected { digest: plain(bytes), is_of_text }.unlike_file(file.path()).unwrap();
        assert_eq!(unlike(b"a\r\n", false), None);
        assert_eq!(unlike(b"a\n", true), None);
        assert_eq!(unlike(b"a\n", false), Some(plain(b"a\r\n")));
        assert_eq!(unlike(b"b\n", true), Some(plain(b"a\n")));
        let absent = Expected { digest: plain(b""), is_of_text: false }.unlike_file(Path::new("/absent"));
        assert!(absent.unwrap_err().to_string().contains("`/absent` cannot be read"));
    }
}
