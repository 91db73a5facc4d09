//! `build`: what is refused before anything is made. What it makes is seen in `tests/e2e/test_build.py`.

use crate::bed::{Bed, Outcome, qwdctl};
use std::path::Path;
use std::process::Command;

const MACHINES: &str = "var/lib/qemu-web-desktop/machines";

struct Server {
    bed: Bed,
}

impl Server {
    fn new(catalogue: &str) -> Self {
        let bed = Bed::without_launcher();
        bed.root.write("etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n");
        bed.root.write("etc/qemu-web-desktop/machines.conf", catalogue);
        Self { bed }
    }

    fn refused(&self, line: &str, code: i32, words: &str) {
        let done = self.bed.run(line);
        assert!(done.code == code && done.err.contains(words), "{line}: {} {}", done.code, done.err);
    }

    /// Nothing in the folder but the images that were put there.
    fn nothing_half_made(&self) {
        let folder = std::fs::read_dir(self.bed.root.0.join(MACHINES)).into_iter().flatten();
        let names: Vec<_> = folder.map(|entry| entry.unwrap().file_name()).filter(|name| name != "a.img").collect();
        assert!(names.is_empty(), "{names:?}");
        let holds = std::fs::read_dir(self.bed.root.0.join("run/qemu-web-desktop/holds"));
        assert_eq!(holds.into_iter().flatten().count(), 0);
    }
}

#[test]
fn an_image_that_is_there_makes_way_only_if_it_was_built_and_on_request() {
    let server = Server::new("[a.img]\ndescription=A\n[b.img]\nbuild_suite=bookworm\n");
    for name in ["a.img", "b.img"] {
        server.bed.root.write(&format!("{MACHINES}/{name}"), "mine");
    }
    server.refused("build a.img", 1, "was not built here");
    server.refused("build a.img --refresh", 1, "was not built here");
    server.refused("build b.img", 1, "--refresh builds it anew");
    for name in ["a.img", "b.img"] {
        assert_eq!(std::fs::read(server.bed.root.0.join(MACHINES).join(name)).unwrap(), b"mine");
    }
}

#[test]
fn what_could_not_be_started_or_is_not_understood_is_not_built() {
    let catalogue = "[a.img]\nfirmware=uefi\n[b.img]\narchitecture=aarch64\n[c.img]\nbuild_packages=a;b\n\
                     [d.img]\nbuild_size=1G\n[e.img]\nbuild_desktop=cde\n";
    let server = Server::new(catalogue);
    server.refused("build a.img", 1, "take firmware= of 'a.img' out");
    server.refused("build b.img", 1, "take architecture= of 'b.img' out");
    server.refused("build c.img", 1, "machines.conf:6: build_packages: A package's name");
    server.refused("build d.img", 1, "build_size: this takes 2G to 64T");
    server.refused("build e.img", 1, "build_desktop: 'cde' is none of xfce, none");
    server.refused("build ../x", 4, "no such machine");
    server.bed.root.write("etc/os-release", "ID=other\n");
    server.refused("build f.img", 2, "--suite trixie");
    server.nothing_half_made();
}

#[test]
fn without_systemd_nothing_is_begun() {
    // Where it runs, this would build a machine.
    if Path::new("/run/systemd/system").exists() {
        return;
    }
    let server = Server::new("");
    server.refused("build new.img", 1, "in a unit of systemd's");
    server.nothing_half_made();
    let catalogue = std::fs::read_to_string(server.bed.root.0.join("etc/qemu-web-desktop/machines.conf")).unwrap();
    assert_eq!(catalogue, "");
}

/// The program that makes the disk, with a PATH that has nothing but these.
fn qwd_build(server: &Server, programs: &[&str]) -> Outcome {
    let path = server.bed.root.0.join("bin");
    std::fs::create_dir_all(&path).unwrap();
    for program in programs {
        // It is looked for, and not run.
        std::fs::write(path.join(program), "").unwrap();
    }
    let folder = server.bed.root.0.join("parts");
    std::fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new(qwdctl().with_file_name("qwd-build"));
    command.args(["--suite=bookworm", "--desktop=none", "--size=2G", "--user=user"]).arg(folder);
    Outcome::of(command.env("PATH", path))
}

#[test]
fn a_missing_builder_is_told_with_the_package_that_has_it() {
    for (there, words) in [
        (&[][..], "The program mmdebstrap is missing: 'apt install mmdebstrap' installs it."),
        (&["mmdebstrap"], "The program mke2fs is missing: 'apt install e2fsprogs' installs it."),
    ] {
        let told = qwd_build(&Server::new(""), there).err;
        assert!(told.contains(words), "{told}");
    }
}
