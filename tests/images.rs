//! `qwd-inspect` on images of every format that qemu-img makes, whole, cut short and referring to others.

use qwd::images::{Facts, read_report};
use qwd::model::Format;
use qwd::model::{Problem, Word};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const FORMATS: [Format; 6] = [Format::Qcow2, Format::Vdi, Format::Vmdk, Format::Vpc, Format::Vhdx, Format::Qed];

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("qwd-images-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        // Bytes that do not compress, so that formats have to store them.
        let disk: Vec<u8> = (0..3_000_320u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        fs::write(path.join("disk.raw"), disk).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn qemu_img(&self, args: &[&str]) {
        let done = Command::new("qemu-img").current_dir(&self.0).args(args).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn inspector() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_qwd"));
    command.arg0("qwd-inspect");
    command
}

fn inspect(file: &str) -> Result<Facts, Problem> {
    let done = inspector().arg(file).output().unwrap();
    assert!(done.status.success(), "{file}: {}", String::from_utf8_lossy(&done.stderr));
    read_report(std::str::from_utf8(&done.stdout).unwrap())
}

fn has_qemu_img() -> bool {
    let there = Command::new("qemu-img").arg("--version").output().is_ok();
    if !there {
        eprintln!("skipped: there is no qemu-img here (package qemu-utils)");
    }
    there
}

#[test]
fn every_format_is_taken_whole_and_refused_cut_short() {
    if !has_qemu_img() {
        return;
    }
    let folder = Folder::new("formats");
    for format in FORMATS {
        let whole = folder.file(&format!("whole.{}", format.driver()));
        folder.qemu_img(&["convert", "-f", "raw", "-O", format.driver(), "disk.raw", &whole]);
        let facts = inspect(&whole).unwrap();
        assert_eq!((facts.format, facts.iso), (format, false), "{whole}");
        assert!((3_000_320..3_200_000).contains(&facts.virtual_size), "{whole}: {facts:?}");
        let cut = folder.file(&format!("cut.{}", format.driver()));
        let bytes = fs::read(&whole).unwrap();
        fs::write(&cut, &bytes[..bytes.len() * 2 / 3]).unwrap();
        assert_eq!(inspect(&cut).unwrap_err().word, Word::MachineUnusable, "{cut}");
    }
}

#[test]
fn an_image_in_need_of_another_is_refused() {
    if !has_qemu_img() {
        return;
    }
    let folder = Folder::new("others");
    folder.qemu_img(&["create", "-q", "-f", "qcow2", "-b", "disk.raw", "-F", "raw", "overlay.qcow2"]);
    folder.qemu_img(&["create", "-q", "-f", "qcow2", "-o", "data_file=data,data_file_raw=on", "split.qcow2", "8M"]);
    folder.qemu_img(&["create", "-q", "-f", "vmdk", "-o", "subformat=monolithicFlat", "flat.vmdk", "8M"]);
    for name in ["overlay.qcow2", "split.qcow2", "flat.vmdk"] {
        let problem = inspect(&folder.file(name)).unwrap_err();
        assert_eq!(problem.word, Word::MachineUnusable, "{name}");
        assert!(problem.message.contains("other") && problem.message.contains("in one file"), "{problem}");
    }
}

#[test]
fn a_vmdk_that_compresses_and_a_fixed_vhd_are_taken() {
    if !has_qemu_img() {
        return;
    }
    let folder = Folder::new("kinds");
    folder.qemu_img(&["convert", "-O", "vmdk", "-o", "subformat=streamOptimized", "-f", "raw", "disk.raw", "s.vmdk"]);
    folder.qemu_img(&["create", "-q", "-f", "vpc", "-o", "subformat=fixed", "f.vhd", "8M"]);
    assert_eq!(inspect(&folder.file("s.vmdk")).unwrap().format, Format::Vmdk);
    assert_eq!(inspect(&folder.file("f.vhd")).unwrap().format, Format::Vpc);
}

#[test]
fn a_disk_that_nothing_can_start_from_is_refused_in_every_format() {
    if !has_qemu_img() {
        return;
    }
    let folder = Folder::new("unbootable");
    let mut luks = fs::read(folder.file("disk.raw")).unwrap();
    luks[..8].copy_from_slice(b"LUKS\xba\xbe\0\x02");
    let mut sectors = vec![0; 3_000_320];
    sectors[450] = 0xee;
    sectors[510..512].copy_from_slice(b"\x55\xaa");
    sectors[4096..4104].copy_from_slice(b"EFI PART");
    for (name, bytes, sentence) in [("luks", luks, "LUKS"), ("sectors", sectors, "sectors")] {
        let raw = folder.file(name);
        fs::write(&raw, bytes).unwrap();
        assert!(inspect(&raw).unwrap_err().message.contains(sentence), "{name}");
        for format in FORMATS {
            let image = folder.file(&format!("{name}.{}", format.driver()));
            folder.qemu_img(&["convert", "-f", "raw", "-O", format.driver(), name, &image]);
            let problem = inspect(&image).unwrap_err();
            assert_eq!(problem.word, Word::MachineUnusable, "{image}");
            assert!(problem.message.contains(sentence), "{image}: {problem}");
        }
    }
}

#[test]
fn what_is_no_image_is_refused_with_a_reason() {
    let folder = Folder::new("none");
    fs::write(folder.file("page.iso"), "<html><body>Not found</body></html>").unwrap();
    assert!(inspect(&folder.file("page.iso")).unwrap_err().message.contains("web page"));
    assert!(inspect(&folder.file("disk.raw")).unwrap_err().message.contains("not a disk image"));
    assert_eq!(inspect(&folder.file("absent")).unwrap_err().word, Word::Failed);
    assert!(inspect(&folder.file("absent")).unwrap_err().message.contains("cannot be read"));
    assert!(inspect(Path::new("/").to_str().unwrap()).unwrap_err().message.contains("cannot be read"));
}

#[test]
fn a_colon_in_the_name_is_no_protocol() {
    if !has_qemu_img() {
        return;
    }
    let folder = Folder::new("colon");
    folder.qemu_img(&["convert", "-f", "raw", "-O", "qcow2", "disk.raw", "./nbd:x.qcow2"]);
    let done = inspector().current_dir(&folder.0).arg("nbd:x.qcow2").output();
    assert!(read_report(std::str::from_utf8(&done.unwrap().stdout).unwrap()).is_ok());
}
