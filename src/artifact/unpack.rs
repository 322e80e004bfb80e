//! A file out of a zip archive, which may be of an enemy: it is read only where the whole archive is harmless, and no name in it
//! is ever a path of this machine.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Write};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use zip::ZipArchive;

use super::path;

/// The files of an archive.
const MOST_FILES: usize = 10_000;

/// How much larger than packed a file may be, from [`FREE`] on. Deflate comes to 1032 at most, and data to a tenth of that.
const MOST_RATIO: u64 = 200;

/// The bytes of a file of which nobody asks how well they were packed.
const FREE: u64 = 64 << 20;

/// The names that an error lists.
const MOST_NAMES: usize = 10;

/// Unpacks the file of a name, or without a name the only one, which may have no more than so many bytes, and tells its digest.
///
/// # Errors
/// When the archive is damaged, cut off or made to do harm, or has no such file.
pub(super) fn unpack(archive: File, name: Option<&str>, to: &mut File, most: u64) -> Result<String> {
    let mut archive = ZipArchive::new(BufReader::new(archive)).context("it is no whole zip archive")?;
    ensure_harmless(&mut archive, most)?;
    let index = find(&archive, name)?;
    let mut packed = archive.by_index(index).context("a file in the archive cannot be unpacked")?;
    let size = packed.size();
    ensure!(size > 0, "the file in the archive is empty");
    let mut hashed = Hashed { to, hasher: Sha256::new() };
    // Not more than it says of itself, whatever comes. At its end its checksum is compared.
    let unpacked = io::copy(&mut packed.by_ref().take(size + 1), &mut hashed);
    let unpacked = unpacked.context("the file in the archive is damaged, or there is no room for it")?;
    ensure!(unpacked == size, "the file in the archive has another size than it says of itself");
    hashed.to.sync_all().context("there is no room for the unpacked file")?;
    Ok(path::hex(&hashed.hasher.finalize()))
}

/// What is written, and its digest.
struct Hashed<'f> {
    to: &'f mut File,
    hasher: Sha256,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Refuses an archive that nobody makes who means well.
fn ensure_harmless(archive: &mut ZipArchive<BufReader<File>>, most: u64) -> Result<()> {
    ensure!(archive.len() <= MOST_FILES, "the archive has {} files, and may have {MOST_FILES}", archive.len());
    ensure!(!archive.has_duplicate_names(), "the archive has several files of one name");
    ensure!(!archive.has_overlapping_entries().context("it is no whole zip archive")?, "files of the archive overlap");
    let mut all = 0_u64;
    for index in 0..archive.len() {
        let entry = archive.by_index_data(index)?;
        let name = entry.name().context("a name in the archive is no text")?;
        let is_inside = entry.enclosed_name().is_some() && !name.starts_with('/') && !name.contains(['\\', ':', '\0']);
        let is_inside = is_inside && name.split('/').all(|part| part != "..");
        ensure!(is_inside, "the archive has a file `{name}`, which leads out of it");
        ensure!(!entry.is_symlink(), "`{name}` in the archive is a link");
        ensure!(!entry.encrypted(), "`{name}` in the archive is encrypted");
        let (size, packed) = (entry.size(), entry.compressed_size());
        let is_bomb = size > FREE && size / packed.max(1) > MOST_RATIO;
        ensure!(!is_bomb, "`{name}` in the archive would unpack {packed} bytes to {size}: so much is no data");
        all = all.saturating_add(size);
    }
    ensure!(all <= most, "the archive would unpack to {all} bytes, and may to {most}");
    Ok(())
}

fn find(archive: &ZipArchive<BufReader<File>>, wanted: Option<&str>) -> Result<usize> {
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_data(index)?;
        if entry.is_file() {
            files.push((index, entry.name()?.into_owned()));
        }
    }
    let list = || {
        let names = files.iter().map(|(_, name)| format!("`{name}`")).take(MOST_NAMES).collect::<Vec<_>>().join(", ");
        if files.len() > MOST_NAMES { format!("{names} and {} more", files.len() - MOST_NAMES) } else { names }
    };
    match (wanted, files.as_slice()) {
        (_, []) => bail!("the archive holds no file"),
        (Some(wanted), files) => {
            let found = files.iter().find(|(_, name)| name == wanted).map(|(index, _)| *index);
            found.with_context(|| format!("the archive has no file `{wanted}`; it has {}", list()))
        }
        (None, [(index, _)]) => Ok(*index),
        (None, _) => bail!("the archive has several files, so name one: {}", list()),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use std::io::{Seek as _, SeekFrom};

    use zip::write::SimpleFileOptions;
    use zip::{CompressionMethod, ZipWriter};

    use super::*;

    const MOST: u64 = 1 << 30;

    /// An archive with what a test puts into it.
    fn archive(put: impl FnOnce(&mut ZipWriter<File>)) -> Vec<u8> {
        let mut writer = ZipWriter::new(tempfile::tempfile().unwrap());
        put(&mut writer);
        bytes(&mut writer.finish().unwrap())
    }

    fn options() -> SimpleFileOptions {
        SimpleFileOptions::default().compression_method(CompressionMethod::Deflated)
    }

    fn add(writer: &mut ZipWriter<File>, name: &str, content: &[u8]) {
        writer.start_file(name, options()).unwrap();
        writer.write_all(content).unwrap();
    }

    fn bytes(file: &mut File) -> Vec<u8> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn unpacked(archive: &[u8], name: Option<&str>, most: u64) -> Result<Vec<u8>> {
        let (mut packed, mut to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        packed.write_all(archive).unwrap();
        packed.seek(SeekFrom::Start(0)).unwrap();
        let sha256 = unpack(packed, name, &mut to, most)?;
        let content = bytes(&mut to);
        assert_eq!(sha256, path::sha256_of_bytes(&content));
        Ok(content)
    }

    fn refusal(archive: &[u8], name: Option<&str>) -> String {
        format!("{:#}", unpacked(archive, name, MOST).unwrap_err())
    }

    /// Puts other bytes of the same number wherever a name stands.
    fn renamed(mut archive: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
        let places = (0..archive.len() - from.len()).filter(|at| archive[*at..].starts_with(from)).collect::<Vec<_>>();
        assert_eq!(places.len(), 2, "in the file's own header, and in the list");
        places.into_iter().for_each(|at| archive[at..at + to.len()].copy_from_slice(to));
        archive
    }

    fn two() -> Vec<u8> {
        archive(|writer| {
            add(writer, "models/a.onnx", b"first");
            add(writer, "b.onnx", b"second");
        })
    }

    #[test]
    fn a_file_is_found_by_its_name_or_by_being_the_only_one() {
        assert_eq!(unpacked(&two(), Some("models/a.onnx"), MOST).unwrap(), b"first");
        assert_eq!(unpacked(&two(), Some("b.onnx"), MOST).unwrap(), b"second");
        let one = archive(|writer| {
            writer.add_directory("models", options()).unwrap();
            add(writer, "models/a.onnx", b"first");
        });
        assert_eq!(unpacked(&one, None, MOST).unwrap(), b"first");
        assert!(refusal(&two(), None).contains("name one: `models/a.onnx`, `b.onnx`"));
        assert!(refusal(&two(), Some("a.onnx")).contains("no file `a.onnx`; it has `models/a.onnx`, `b.onnx`"));
        assert!(refusal(&archive(|_| {}), None).contains("holds no file"));
        assert!(refusal(&archive(|writer| add(writer, "a", b"")), None).contains("is empty"));
    }

    #[test]
    fn large_archives_are_read() {
        let large = archive(|writer| {
            writer.start_file("a", options().large_file(true)).unwrap();
            writer.write_all(b"content").unwrap();
        });
        assert_eq!(unpacked(&large, None, MOST).unwrap(), b"content");
    }

    #[test]
    fn no_name_leads_out() {
        for evil in ["../../model", "/etc/passwd", "a/../../../", "..\\..\\model", "C:\\models\\", "a:stream.b"] {
            let name = "x".repeat(evil.len());
            let whole = archive(|writer| {
                add(writer, "good", b"good");
                add(writer, &name, b"evil");
            });
            let told = refusal(&renamed(whole, name.as_bytes(), evil.as_bytes()), Some("good"));
            assert!(told.contains("leads out of it"), "{evil}: {told}");
        }
    }

    #[test]
    fn links_and_names_that_stand_twice_are_refused() {
        let link = archive(|writer| {
            writer.add_symlink("model", "/etc/passwd", options()).unwrap();
            add(writer, "good", b"good");
        });
        assert!(refusal(&link, Some("good")).contains("is a link"));
        let twice = archive(|writer| {
            add(writer, "model", b"good");
            add(writer, "xxxxx", b"evil");
        });
        assert!(refusal(&renamed(twice, b"xxxxx", b"model"), Some("model")).contains("several files of one name"));
    }

    #[test]
    fn bombs_are_not_set_off() {
        let zeros = vec![0; (FREE + 1) as usize];
        let bomb = archive(|writer| add(writer, "zeros", &zeros));
        assert!(bomb.len() < 1 << 20);
        assert!(refusal(&bomb, None).contains("so much is no data"));
        let many = archive(|writer| (0..=MOST_FILES).for_each(|number| add(writer, &number.to_string(), b"")));
        assert!(refusal(&many, Some("1")).contains("10001 files"));
        let told = format!("{:#}", unpacked(&two(), Some("b.onnx"), 10).unwrap_err());
        assert!(told.contains("would unpack to 11 bytes, and may to 10"), "{told}");
    }

    /// Wherever it is cut off and whichever bit is turned, it is refused, or the file is the one that was packed.
    #[test]
    fn what_is_damaged_is_no_file() {
        let whole = two();
        for length in 0..whole.len() {
            assert!(unpacked(&whole[..length], Some("b.onnx"), MOST).is_err(), "cut off at {length}");
        }
        for place in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[place] ^= 1 << bit;
                if let Ok(found) = unpacked(&damaged, Some("b.onnx"), MOST) {
                    assert_eq!(found, b"second", "byte {place}, bit {bit}");
                }
            }
        }
    }
}
