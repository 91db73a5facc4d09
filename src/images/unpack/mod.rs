//! `qwd-unpack MOST ROOM`: unpacks standard input, a file, into standard output, an empty file.
//!
//! It reads what a stranger made, so whoever wants it done starts it in a sandbox, as nobody, with two
//! open files and no path. It stops at MOST bytes of image and ROOM bytes on the disk, and when nobody
//! waits for its report any more. The report is one line of JSON on standard error.

mod read;
mod sparse;

use super::facts::report_line;
use super::told::{self, Failed};
use crate::model::Problem;
use rustix::event::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};
pub(super) use sparse::Sparse;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::process::ExitCode;

const CHUNK: usize = 1 << 20;

/// How much may come out.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The largest image, in bytes.
    pub most: u64,
    /// What may be written to the disk, in bytes; holes count nothing.
    pub room: u64,
}

/// Why there is no image.
#[derive(Debug)]
pub(super) struct Failure {
    /// As people read it.
    pub(super) sentence: String,
    /// There was no room for it.
    pub(super) full: bool,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, untagged)]
enum Report {
    Good { bytes: u64 },
    Bad(Failed),
}

impl Failure {
    pub(super) fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), full: false }
    }

    pub(super) fn full() -> Self {
        let sentence = "There is not enough room for the image. Free some, or set paths.dir_machines to a larger \
                        file system.";
        Self { sentence: sentence.into(), full: true }
    }
}

/// Runs the program. The status is 0 whenever there is a report, also about an archive that is refused.
pub fn main() -> ExitCode {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u64>());
    let (Some(Ok(most)), Some(Ok(room)), None) = (numbers.next(), numbers.next(), numbers.next()) else {
        eprintln!("qwd-unpack: It takes two numbers, the most bytes of image and on the disk.");
        return ExitCode::from(2);
    };
    let report = match files().and_then(|(from, to)| unpack(from, to, Bounds { most, room }, &nobody_waits)) {
        Ok(bytes) => Report::Good { bytes },
        Err(failure) => Report::Bad(Failed::new(&failure.sentence, failure.full)),
    };
    told::tell(&report);
    ExitCode::SUCCESS
}

fn files() -> Result<(File, File), Failure> {
    let broken = |e: std::io::Error| Failure::new(format!("The image cannot be unpacked: {e}."));
    let own = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().map(File::from).map_err(broken);
    Ok((own(rustix::stdio::stdin())?, own(rustix::stdio::stdout())?))
}

/// Whether the other end of standard error is closed: then nobody wants the image any more.
pub(super) fn nobody_waits() -> bool {
    let error = rustix::stdio::stderr();
    let mut fds = [PollFd::from_borrowed_fd(error.as_fd(), PollFlags::empty())];
    let none = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut fds, Some(&none)), Ok(1..)) && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
}

/// Unpacks one file into another, and says how large it is then. What is zero becomes a hole.
fn unpack(from: File, to: File, bounds: Bounds, given_up: &dyn Fn() -> bool) -> Result<u64, Failure> {
    let mut to = Sparse::new(to);
    read::with_reader(from, &mut |reader| {
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = fill(reader, &mut chunk)?;
            to.put(&chunk[..length]).map_err(|e| unwritable(&e))?;
            if to.length() > bounds.most {
                return Err(Failure::new(format!(
                    "The image unpacks to more than {} MiB (download.size_max); it was thrown away.",
                    bounds.most >> 20
                )));
            }
            if to.written() > bounds.room {
                return Err(Failure::full());
            }
            if length < chunk.len() {
                return Ok(());
            }
            if given_up() {
                return Err(Failure::new("Nobody waits for the image any more."));
            }
        }
    })?;
    to.finish().map_err(|e| unwritable(&e))
}

/// Reads until the chunk is full or there is no more.
fn fill(reader: &mut dyn Read, chunk: &mut [u8]) -> Result<usize, Failure> {
    let mut length = 0;
    while length < chunk.len() {
        match reader.read(&mut chunk[length..]) {
            Ok(0) => break,
            Ok(n) => length += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(damaged(&e)),
        }
    }
    Ok(length)
}

fn damaged(why: &dyn std::fmt::Display) -> Failure {
    Failure::new(format!("The packed image is damaged or cut short ({why}). Download it again."))
}

fn unwritable(error: &std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Failure::full(),
        _ => Failure::new(format!("The unpacked image cannot be written: {error}.")),
    }
}

/// Reads what `qwd-unpack` reported: the image's size, or why there is none.
pub fn read_unpacked(text: &str) -> Result<u64, Problem> {
    let line = report_line(text, "The unpacking of the image")?;
    match serde_json::from_str(line) {
        Ok(Report::Good { bytes }) => Ok(bytes),
        Ok(Report::Bad(failed)) => Err(failed.into()),
        Err(e) => Err(Problem::failed(format!("The report about the unpacking cannot be read: {e}."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Word;
    use std::io::Write;
    use std::path::PathBuf;
    use std::process::{Command, Stdio};

    /// A disk with a hole in it.
    fn disk() -> Vec<u8> {
        let mut bytes = vec![0; 3 << 20];
        bytes[..512].fill(7);
        bytes[(2 << 20) + 5..(2 << 20) + 900].fill(9);
        bytes.truncate((3 << 20) - 100);
        bytes
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("qwd-unpack-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, content: &[u8]) -> File {
            std::fs::write(self.0.join(name), content).unwrap();
            File::open(self.0.join(name)).unwrap()
        }

        fn unpack(&self, packed: &[u8], bounds: Bounds) -> Result<Vec<u8>, Failure> {
            let out = File::create(self.0.join("out")).unwrap();
            let bytes = unpack(self.file("in", packed), out, bounds, &|| false)?;
            let content = std::fs::read(self.0.join("out")).unwrap();
            assert_eq!(bytes, content.len() as u64);
            Ok(content)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const LARGE: Bounds = Bounds { most: 1 << 40, room: 1 << 40 };

    /// What a packer of this host makes of the bytes; `None` if it is not installed.
    fn packed(program: &str, args: &[&str], bytes: &[u8]) -> Option<Vec<u8>> {
        let child = Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let Ok(mut child) = child else {
            eprintln!("skipped: there is no {program} here");
            return None;
        };
        let mut input = child.stdin.take().unwrap();
        let bytes = bytes.to_vec();
        let writer = std::thread::spawn(move || input.write_all(&bytes));
        let done = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        assert!(done.status.success());
        Some(done.stdout)
    }

    fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, content) in files {
            let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn each_packing(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
        let mut all = vec![("zip", zip(&[("disk.img", bytes)]))];
        for (program, args) in [("gzip", &["-c"][..]), ("xz", &["-c", "-1", "-T1"]), ("zstd", &["-c", "-q"])] {
            all.extend(packed(program, args, bytes).map(|packed| (program, packed)));
        }
        all
    }

    #[test]
    fn every_packing_is_undone() {
        let folder = Folder::new("all");
        for (name, packed) in each_packing(&disk()) {
            assert!(folder.unpack(&packed, LARGE).unwrap() == disk(), "{name}");
        }
    }

    #[test]
    fn what_was_packed_in_pieces_is_whole_again() {
        let folder = Folder::new("pieces");
        for (name, packed) in each_packing(&disk()).into_iter().filter(|(name, _)| *name != "zip") {
            let twice = folder.unpack(&[packed.clone(), packed].concat(), LARGE).unwrap();
            assert!(twice == [disk(), disk()].concat(), "{name}");
        }
    }

    #[test]
    fn what_is_cut_short_or_changed_is_damaged() {
        let folder = Folder::new("damaged");
        for (name, packed) in each_packing(&disk()) {
            let cut = folder.unpack(&packed[..packed.len() * 2 / 3], LARGE).unwrap_err();
            assert!(cut.sentence.contains("damaged or cut short"), "{name}: {cut:?}");
            // The very last bytes of all but zip are a checksum or guarded by one.
            let mut changed = packed.clone();
            let at = if name == "zip" { 60 } else { packed.len() - 6 };
            changed[at] ^= 0x55;
            let changed = folder.unpack(&changed, LARGE).unwrap_err();
            assert!(changed.sentence.contains("damaged or cut short"), "{name}: {changed:?}");
        }
    }

    #[test]
    fn a_bomb_ends_with_a_sentence() {
        let folder = Folder::new("bomb");
        for (name, packed) in each_packing(&vec![0; 40 << 20]) {
            assert!(packed.len() < 100_000);
            let large = folder.unpack(&packed, Bounds { most: 8 << 20, room: 1 << 40 }).unwrap_err();
            assert!(large.sentence.contains("more than 8 MiB") && !large.full, "{name}: {large:?}");
            // Nothing but zeros takes no room.
            assert!(folder.unpack(&packed, Bounds { most: 1 << 40, room: 0 }).is_ok(), "{name}");
        }
        for (name, packed) in each_packing(&vec![1; 40 << 20]) {
            assert!(folder.unpack(&packed, Bounds { most: 1 << 40, room: 8 << 20 }).unwrap_err().full, "{name}");
        }
    }

    #[test]
    fn an_archive_is_one_file() {
        let folder = Folder::new("archives");
        let ok = folder.unpack(&zip(&[("a/", b""), ("a/disk.img", &disk())]), LARGE);
        assert!(ok.unwrap() == disk());
        for (files, word) in [
            (vec![], "nothing"),
            (vec![("a.img", &b"a"[..]), ("../b.img", b"b")], "2 files"),
            (vec![("a/", b"")], "nothing"),
        ] {
            let failure = folder.unpack(&zip(&files), LARGE).unwrap_err();
            assert!(failure.sentence.contains(word), "{failure:?}");
        }
    }

    #[test]
    fn a_report_reads_back_and_another_is_not_believed() {
        assert_eq!(read_unpacked("{\"bytes\":5}\n").unwrap(), 5);
        let problem = |text| read_unpacked(text).unwrap_err();
        let full = problem("{\"problem\":\"No \\u001broom.\",\"full\":true}\n");
        assert_eq!((full.word, full.message.as_str()), (Word::NoSpace, "No  room."));
        for text in ["", "{}", "{\"bytes\":-1}", "{\"bytes\":5,\"path\":\"/x\"}", "{\"bytes\":5}\n{\"bytes\":6}"] {
            assert_eq!(problem(text).word, Word::Failed, "{text}");
        }
    }
}
