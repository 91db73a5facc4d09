//! `import`, `resize`, `compact`, `remove`, without a launcher: images of every kind, refusals, interruptions.

use crate::bed::{Bed, Outcome, qwdctl};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const MACHINES: &str = "var/lib/qemu-web-desktop/machines";
const RECORDS: &str = "run/qemu-web-desktop/records";

/// A disk with something at its beginning and its end, and a hole between.
fn disk() -> Vec<u8> {
    let mut bytes = vec![0; 8 << 20];
    bytes[..2000].fill(7);
    bytes[510..512].copy_from_slice(b"\x55\xaa");
    bytes[(8 << 20) - 700..].fill(9);
    bytes
}

struct Images {
    bed: Bed,
}

impl Images {
    fn new() -> Self {
        let bed = Bed::without_launcher();
        bed.root.write("srv/disk.raw", disk());
        bed.root.write("etc/qemu-web-desktop/machines.conf", "; mine\n[old.iso]\ndescription=Old\n");
        Self { bed }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.bed.root.0.join(path)
    }

    fn image(&self) -> PathBuf {
        self.path(&format!("{MACHINES}/new.img"))
    }

    /// The disk in another format.
    fn source(&self, format: &str) -> String {
        let to = self.path(&format!("srv/disk.{format}"));
        if format != "raw" {
            qemu_img(&["convert", "-f", "raw", "-O", format], &[&self.path("srv/disk.raw"), &to]);
        }
        to.display().to_string()
    }

    fn import(&self, source: &str, more: &str) -> Outcome {
        self.bed.run(format!("import {source} new.img --json{more}").trim())
    }

    fn run(&self, line: &str) -> Outcome {
        self.bed.run(line)
    }

    fn catalogue(&self) -> String {
        fs::read_to_string(self.path("etc/qemu-web-desktop/machines.conf")).unwrap()
    }

    /// What is in the image, as a raw disk.
    fn content(&self) -> Vec<u8> {
        let raw = self.path("srv/out");
        qemu_img(&["convert", "-f", "qcow2", "-O", "raw"], &[&self.image(), &raw]);
        fs::read(raw).unwrap()
    }

    /// Nothing in the folder but images that are in force.
    fn nothing_half_made(&self) {
        let names = fs::read_dir(self.path(MACHINES)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let others: Vec<_> = names.filter(|name| name != "new.img").collect();
        assert!(others.is_empty(), "{others:?}");
        assert_eq!(fs::read_dir(self.path("run/qemu-web-desktop/holds")).unwrap().count(), 0);
    }

    fn refused(&self, line: &str, code: i32, words: &str) {
        let done = self.run(line);
        assert!(done.code == code && done.err.contains(words), "{line}: {} {}", done.code, done.err);
    }

    /// A session on that machine, as the launcher would have written it down.
    fn session(&self, machine: &str) {
        let spec = serde_json::json!({"machine": machine, "description": "", "cpus": 1, "memory": "1", "lifetime": "0",
            "disk": "scratch"});
        let record = serde_json::json!({"id": "abcdefghij", "owner": "pam:alice", "owner_name": "alice", "spec": spec,
            "state": "running", "created_at": 1, "expires_at": 0, "extendable_until": 0, "shares": [], "run": null});
        let record = serde_json::json!({"version": 1, "record": record});
        self.bed.root.write(&format!("{RECORDS}/abcdefghij.json"), record.to_string());
    }
}

fn qemu_img(args: &[&str], paths: &[&Path]) {
    let done = Command::new("qemu-img").args(args).args(paths).output().expect("qemu-img (qemu-utils) runs");
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_disk_of_any_kind_becomes_a_machine_of_ours() {
    let images = Images::new();
    for format in ["raw", "qcow2", "vdi", "vmdk", "vpc", "vhdx", "qed"] {
        let done = images.import(&images.source(format), " --replace");
        assert_eq!(done.code, 0, "{format}: {}", done.err);
        assert_eq!(done.json()["result"], "imported");
        let content = images.content();
        assert!(content[..disk().len()] == disk()[..], "{format}");
        let owner = |path: &Path| fs::metadata(path).unwrap().uid();
        assert_eq!(owner(&images.image()), owner(&images.path("srv/disk.raw")), "{format}");
        assert!(content[disk().len()..].iter().all(|byte| *byte == 0), "{format}");
        images.nothing_half_made();
    }
    let catalogue = images.catalogue();
    assert!(catalogue.starts_with("; mine\n[old.iso]\n"), "{catalogue}");
    assert!(catalogue.ends_with("\n[new.img]\ndescription=Imported from disk.raw\n"), "{catalogue}");
}

#[test]
fn a_cd_stays_as_it_is() {
    let images = Images::new();
    let mut cd = vec![0; 40 * 2048];
    cd[32_768..32_775].copy_from_slice(b"\x01CD001\x01");
    cd[32_768 + 80] = 40;
    cd[32_768 + 129] = 8;
    cd[70_000] = 5;
    images.bed.root.write("srv/disk.iso", &cd);
    let source = images.source("raw").replace(".raw", ".iso");
    let done = images.run(&format!("import {source} new.img --description Mine"));
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(fs::read(images.image()).unwrap() == cd);
    assert!(images.catalogue().ends_with("[new.img]\ndescription=Mine\n"));
    images.refused("resize new.img +1G", 1, "is a CD");
    images.refused("compact new.img", 1, "is a CD");
    images.nothing_half_made();
}

#[test]
fn what_lies_or_needs_another_file_is_refused_and_leaves_nothing() {
    let images = Images::new();
    let base = images.source("qcow2");
    let path = |name: &str| images.path(&format!("srv/{name}"));
    qemu_img(&["create", "-f", "qcow2", "-F", "qcow2", "-b", &base], &[&path("overlay")]);
    let whole = fs::read(images.source("vmdk")).unwrap();
    fs::write(path("cut"), &whole[..whole.len() / 2]).unwrap();
    fs::write(path("text"), "Not a disk at all.").unwrap();
    fs::write(path("empty"), "").unwrap();
    // A header that claims 16 EiB.
    let mut liar = fs::read(&base).unwrap();
    liar[24..32].fill(0xff);
    fs::write(path("liar"), liar).unwrap();
    fs::write(path("packed"), b"\x1f\x8b\x08\0 and so on").unwrap();
    for (name, words) in [
        ("overlay", "must be one file"),
        ("cut", ""),
        ("text", "not a disk image"),
        ("empty", "is empty"),
        ("liar", "QEMU cannot"),
        ("packed", "unpack it first"),
        ("absent", "cannot be read"),
        ("", "neither a file nor a disk"),
    ] {
        images.refused(&format!("import {} new.img", path(name).display()), 1, words);
        assert!(!images.image().exists() && !images.catalogue().contains("new.img"), "{name}");
        images.nothing_half_made();
    }
    images.refused(&format!("import {base} ../new.img"), 4, "no such machine");
    images.refused(&format!("import {base} downloads"), 2, "folder of what was downloaded");
}

#[test]
fn an_image_is_replaced_only_on_request() {
    let images = Images::new();
    let source = images.source("raw");
    assert_eq!(images.import(&source, "").code, 0);
    let before = fs::read(images.image()).unwrap();
    images.refused(&format!("import {source} new.img"), 1, "--replace");
    assert!(fs::read(images.image()).unwrap() == before);
}

#[test]
fn a_disk_grows_and_never_shrinks() {
    let images = Images::new();
    assert_eq!(images.import(&images.source("raw"), "").code, 0);
    for (size, bytes) in [("+8M", 16 << 20), ("64M", 64 << 20), ("64M", 64 << 20)] {
        let done = images.run(&format!("resize new.img {size} --json"));
        assert_eq!(done.code, 0, "{}", done.err);
        assert_eq!(done.json()["disk_bytes"], bytes);
        let content = images.content();
        assert!(content.len() == bytes && content[..disk().len()] == disk()[..]);
    }
    images.refused("resize new.img 32M", 1, "cannot be made smaller");
    images.refused("resize new.img +64T", 1, "64 TiB");
    images.refused("resize other.img +1G", 4, "no image of 'other.img'");
    images.nothing_half_made();
}

#[test]
fn compacting_gives_back_what_is_zero() {
    let images = Images::new();
    let mut full = disk();
    full[4096..6 << 20].fill(1);
    images.bed.root.write("srv/full.raw", &full);
    let source = images.source("raw").replace("disk.raw", "full.raw");
    assert_eq!(images.import(&source, "").code, 0);
    images.refused("compact other.img", 4, "no image of 'other.img'");
    let zero = Command::new("qemu-io").args(["-f", "qcow2", "-c", "write -P 0 1M 5M"]).arg(images.image()).output();
    assert!(zero.unwrap().status.success());
    let before = fs::metadata(images.image()).unwrap().len();
    let done = images.run("compact new.img --json").json();
    assert_eq!(done["result"], "compacted");
    assert!(fs::metadata(images.image()).unwrap().len() + (4 << 20) < before);
    full[1 << 20..6 << 20].fill(0);
    assert!(images.content() == full);
    assert_eq!(images.run("compact new.img --json").json()["result"], "unchanged");
    images.nothing_half_made();
}

#[test]
fn a_machine_goes_with_its_section_and_a_file_behind_a_link_stays() {
    let images = Images::new();
    assert_eq!(images.import(&images.source("raw"), "").code, 0);
    // Standard input is no terminal: whatever comes by it is no answer.
    let listed = images.catalogue();
    for answer in ["n\n", "y\n", ""] {
        let mut command = Command::new(qwdctl());
        command.arg("--root").arg(&images.bed.root.0).args(["remove", "new.img"]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        // It may have ended before it reads.
        let _ = child.stdin.take().unwrap().write_all(answer.as_bytes());
        let done = child.wait_with_output().unwrap();
        assert_eq!(done.status.code(), Some(2), "{answer:?}");
        assert!(String::from_utf8_lossy(&done.stderr).contains("give --yes"));
        assert!(images.image().exists() && images.catalogue() == listed);
    }
    let done = images.run("remove new.img --yes");
    assert_eq!((done.code, done.out.as_str()), (0, "new.img: removed\n"));
    assert!(!images.image().exists());
    assert_eq!(images.catalogue(), "; mine\n[old.iso]\ndescription=Old\n");
    images.refused("remove new.img", 4, "no machine 'new.img'");
    std::os::unix::fs::symlink(images.source("raw"), images.image()).unwrap();
    let done = images.run("remove new.img -y");
    assert!(done.code == 0 && done.err.contains("srv/disk.raw"), "{}", done.err);
    assert!(Path::new(&images.source("raw")).exists() && !images.image().is_symlink());
    images.nothing_half_made();
}

/// What it says at a terminal to somebody who answers so, and its exit status.
fn at_a_terminal(images: &Images, line: &str, answer: &str) -> (Option<i32>, String) {
    let command = format!("{} --root {} {line}", qwdctl().display(), images.bed.root.0.display());
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &command, "/dev/null"]);
    let mut child = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    (done.status.code(), String::from_utf8(done.stdout).unwrap())
}

#[test]
fn at_a_terminal_somebody_is_asked_before_an_image_goes() {
    const QUESTION: &str = "Remove the machine 'new.img' and its image? [y/N] ";
    let images = Images::new();
    assert_eq!(images.import(&images.source("raw"), "").code, 0);
    let listed = images.catalogue();
    for answer in ["n\n", "\n", "yes!\n", "\u{4}"] {
        let (code, text) = at_a_terminal(&images, "remove new.img", answer);
        assert!(code == Some(1) && text.contains(QUESTION) && text.contains("Nothing was removed."), "{text}");
        assert!(images.image().exists() && images.catalogue() == listed);
    }
    let (code, text) = at_a_terminal(&images, "remove new.img", "Y\n");
    assert!(code == Some(0) && text.contains("new.img: removed") && !images.image().exists(), "{text}");
    assert_eq!(images.import(&images.source("raw"), "").code, 0);
    let (code, text) = at_a_terminal(&images, "remove new.img --yes", "");
    assert!(code == Some(0) && !text.contains(QUESTION) && !images.image().exists(), "{text}");
}

#[test]
fn nothing_is_changed_under_a_session() {
    let images = Images::new();
    let source = images.source("raw");
    assert_eq!(images.import(&source, "").code, 0);
    let before = fs::read(images.image()).unwrap();
    // By another name that leads to the same file.
    std::os::unix::fs::symlink("new.img", images.path(&format!("{MACHINES}/alias.img"))).unwrap();
    for machine in ["new.img", "alias.img"] {
        images.session(machine);
        for line in [
            &format!("import {source} new.img --replace"),
            "resize new.img +1M",
            "compact new.img",
            "remove new.img",
            "remove alias.img",
        ] {
            images.refused(line, 1, "'qwdctl stop abcdefghij' ends it first");
        }
    }
    assert!(fs::read(images.image()).unwrap() == before && images.image().exists());
    images.session("other.img");
    assert_eq!(images.run("resize new.img +1M").code, 0);
}

#[test]
fn what_a_later_download_would_have_brought_is_said() {
    let images = Images::new();
    images.bed.root.write("etc/qemu-web-desktop/machines.conf", "[new.img]\nurl=https://example.org/new.img\n");
    let done = images.import(&images.source("raw"), "");
    assert!(done.code == 0 && done.err.contains("new.img: url= in machines.conf is of no use"), "{}", done.err);
}

/// A disk that takes a second.
fn large() -> Vec<u8> {
    let mut bytes = vec![1; 256 << 20];
    bytes[..disk().len()].copy_from_slice(&disk());
    bytes
}

/// A run of qwdctl that stands still in the middle of its work.
fn stopped(images: &Images, line: &str) -> Child {
    let mut command = Command::new(qwdctl());
    command.arg("--root").arg(&images.bed.root.0).args(line.split(' '));
    let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let half = images.path(&format!("{MACHINES}/.new.img.work/disk"));
    let end = Instant::now() + Duration::from_secs(60);
    while !half.metadata().is_ok_and(|meta| meta.len() > 0) {
        assert!(Instant::now() < end, "it never began");
        std::thread::sleep(Duration::from_millis(5));
    }
    signal(&child, "STOP");
    child
}

fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn two_at_once_are_refused_and_whoever_is_killed_leaves_the_old_image() {
    let images = Images::new();
    let source = images.source("raw");
    assert_eq!(images.import(&source, "").code, 0);
    let before = fs::read(images.image()).unwrap();
    images.bed.root.write("srv/large.raw", large());
    let import = format!("import {} new.img --replace", images.path("srv/large.raw").display());
    let half = images.path(&format!("{MACHINES}/.new.img.work/disk"));
    for (word, left) in [("KILL", true), ("INT", false), ("TERM", false)] {
        let mut child = stopped(&images, &import);
        for line in [&format!("import {source} new.img --replace"), "resize new.img +1M", "remove new.img"] {
            images.refused(line, 1, "is being imported at this moment");
        }
        signal(&child, word);
        signal(&child, "CONT");
        child.wait().unwrap();
        assert_eq!(half.exists(), left, "{word}");
        assert!(fs::read(images.image()).unwrap() == before, "{word}");
        // The next run clears up what the killed one has left.
        assert_eq!(images.run("compact new.img").code, 0);
        assert!(!half.parent().unwrap().exists());
    }
}

#[test]
fn what_no_session_is_started_for_is_taken_back() {
    let images = Images::new();
    let mut cd = vec![0; 40 * 2048];
    cd[32_768..32_775].copy_from_slice(b"\x01CD001\x01");
    cd[32_768 + 80] = 40;
    cd[32_768 + 129] = 8;
    images.bed.root.write("srv/disk.iso", &cd);
    let cd = images.path("srv/disk.iso").display().to_string();
    assert_eq!(images.import(&images.source("raw"), "").code, 0);
    let (before, catalogue) = (fs::read(images.image()).unwrap(), images.catalogue());
    // Nobody answers on the bus; who is not root does not get that far.
    let there = |words| if fs::metadata("/proc/self").unwrap().uid() == 0 { words } else { "Only root" };
    for line in ["start new.img --master", &format!("create other.img --size 1G --iso {cd}")] {
        images.refused(line, 1, there("The launcher does not answer"));
        images.nothing_half_made();
    }
    images.refused(&format!("create new.img --size 1G --iso {cd}"), 1, there("There is an image of 'new.img' already"));
    let disk = images.source("raw");
    images.refused(&format!("create other.img --size 1G --iso {disk}"), 1, there("is no CD"));
    fs::set_permissions(&cd, fs::Permissions::from_mode(0o640)).unwrap();
    images.refused(&format!("create other.img --size 1G --iso {cd}"), 1, there("chmod a+r"));
    images.refused("adopt new.img", 4, "Nothing is kept");
    images.refused("discard new.img", 4, "Nothing is kept");
    assert!(fs::read(images.image()).unwrap() == before && images.catalogue() == catalogue);
}

#[test]
fn what_was_replaced_meanwhile_stays() {
    let images = Images::new();
    assert_eq!(images.import(&images.source("raw"), "").code, 0);
    fs::write(images.image(), large()).unwrap();
    let mut child = stopped(&images, "resize new.img +1G");
    fs::write(images.path("srv/mine"), disk()).unwrap();
    fs::rename(images.path("srv/mine"), images.image()).unwrap();
    signal(&child, "CONT");
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(told.contains("has been replaced by somebody else"), "{told}");
    assert!(fs::read(images.image()).unwrap() == disk());
}
