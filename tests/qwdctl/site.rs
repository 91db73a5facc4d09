//! A catalogue in a folder of its own, and qwdctl at work in it.

use super::bed::{Folder, Outcome};
use sha2::{Digest, Sha256};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A small disk: a boot sector's signature and some bytes.
pub(crate) fn disk(mark: u8) -> Vec<u8> {
    let mut bytes = vec![mark; 200_000];
    bytes[510..512].copy_from_slice(b"\x55\xaa");
    bytes
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

/// A catalogue in a folder of its own.
pub(crate) struct Site(pub(crate) Folder);

impl Site {
    pub(crate) fn new(catalogue: &str) -> Self {
        let folder = Folder::new();
        folder.write("etc/qemu-web-desktop/machines.conf", catalogue);
        folder.write("etc/qemu-web-desktop/config.toml", "[download]\ntimeout = 5\n");
        Self(folder)
    }

    pub(crate) fn one(url: &str) -> Self {
        Self::new(&format!("[m.img]\nurl={url}\n"))
    }

    pub(crate) fn catalogue(&self, text: &str) {
        self.0.write("etc/qemu-web-desktop/machines.conf", text);
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(super::bed::qwdctl());
        command.arg("--root").arg(&self.0.0).args(line.split(' ')).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap());
        command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent");
        command
    }

    pub(crate) fn run(&self, line: &str) -> Outcome {
        Outcome::of(&mut self.command(line))
    }

    pub(crate) fn result(&self) -> String {
        let outcome = self.run("download --json");
        outcome.json()[0]["result"].as_str().unwrap().to_owned()
    }

    pub(crate) fn machines(&self) -> PathBuf {
        self.0.0.join("var/lib/qemu-web-desktop/machines")
    }

    pub(crate) fn image(&self) -> Option<Vec<u8>> {
        fs::read(self.machines().join("m.img")).ok()
    }

    /// Files in the machine's folder that are not hidden.
    pub(crate) fn shelf(&self) -> Vec<String> {
        let entries = fs::read_dir(self.machines().join("downloads/m.img")).unwrap();
        let mut names: Vec<String> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).filter(|n| !n.starts_with('.')).collect();
        names.sort();
        names
    }
}
