//! `machines.conf`: the catalogue, in the format it has always had.
//!
//! An INI file: `[name.ext]` begins a machine, `url=` says where its image comes from,
//! `description=` what people see; `sha256=` guards the download. `;` and `#` begin a comment.

use super::ConfigError;
use super::nearest::nearest;
use crate::model::MachineName;
use std::path::Path;

const KEYS: [&str; 3] = ["url", "description", "sha256"];

/// One section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineEntry {
    /// The section's name.
    pub name: MachineName,
    /// Where the image is fetched from; none: an administrator puts it there.
    pub url: Option<String>,
    /// What people read; a machine without one is not offered.
    pub description: Option<String>,
    /// SHA-256 of what the URL delivers, in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// Line of the section, counted from 1.
    pub line: usize,
}

/// What a `machines.conf` says, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// The machines.
    pub machines: Vec<MachineEntry>,
}

impl Catalogue {
    /// The machine of that name.
    pub fn get(&self, name: &MachineName) -> Option<&MachineEntry> {
        self.machines.iter().find(|m| &m.name == name)
    }

    /// Reads the file below `root`; a missing one is an empty catalogue.
    pub fn load(root: &Path) -> Result<Self, Vec<ConfigError>> {
        let path = root.join(super::CONFIG_DIR).join("machines.conf");
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(vec![wrong(0, format!("cannot be read: {e}"))]),
        }
    }

    /// Reads the text; all faults are reported, not just the first.
    pub fn parse(text: &str) -> Result<Self, Vec<ConfigError>> {
        let mut catalogue = Self::default();
        let mut faults = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with([';', '#']) {
                continue;
            }
            if let Err(message) = catalogue.take(line, index + 1) {
                faults.push(wrong(index + 1, message));
            }
        }
        if faults.is_empty() { Ok(catalogue) } else { Err(faults) }
    }

    fn take(&mut self, line: &str, number: usize) -> Result<(), String> {
        if let Some(section) = line.strip_prefix('[') {
            let name = section.strip_suffix(']').ok_or("a section is written [name.ext]")?;
            return self.begin(name, number);
        }
        let (key, value) =
            line.split_once('=').ok_or("a line is [name.ext], key=value, or a comment that begins with ;")?;
        self.set(key.trim(), value.trim())
    }

    fn begin(&mut self, name: &str, line: usize) -> Result<(), String> {
        let name: MachineName = name.trim().parse().map_err(|_| {
            format!(
                "[{}] cannot be a machine's name: use letters, digits, blanks and . _ - + @ ( )",
                name.escape_debug()
            )
        })?;
        if let Some(first) = self.get(&name) {
            return Err(format!("[{name}] stands twice, first in line {}", first.line));
        }
        self.machines.push(MachineEntry { name, url: None, description: None, sha256: None, line });
        Ok(())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let machine = self.machines.last_mut().ok_or("a key stands before the first [name.ext]")?;
        let value = Some(value.to_owned()).filter(|v| !v.is_empty());
        match key {
            "url" => machine.url = value,
            "description" => machine.description = value,
            "sha256" => machine.sha256 = value.map(|v| sha256(&v)).transpose()?,
            _ => {
                let hint = nearest(key, KEYS).map_or(String::new(), |near| format!("; did you mean '{near}'?"));
                return Err(format!("'{}' is not a key of a machine{hint}", key.escape_debug()));
            }
        }
        Ok(())
    }
}

fn sha256(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err("sha256 takes 64 hexadecimal digits, as sha256sum prints them".to_owned())
}

fn wrong(line: usize, message: impl Into<String>) -> ConfigError {
    let file = "/etc/qemu-web-desktop/machines.conf";
    let place = if line == 0 { file.to_owned() } else { format!("{file}:{line}") };
    ConfigError { place, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_format_reads() {
        let text = "; comment\n[dsl.iso]\nurl=http://x/dsl.iso\ndescription=Damn Small = Linux\n\n[mine.qcow2]\ndescription=Mine\n";
        let catalogue = Catalogue::parse(text).unwrap();
        assert_eq!(catalogue.machines.len(), 2);
        assert_eq!(catalogue.machines[0].description.as_deref(), Some("Damn Small = Linux"));
        assert_eq!(catalogue.machines[1].url, None);
    }

    #[test]
    fn every_fault_is_named_with_its_line() {
        let text = "url=x\n[../x]\n[a]\n[a]\nsha265=00\nsha256=00\nnonsense\n";
        let faults = Catalogue::parse(text).unwrap_err();
        let lines: Vec<_> = faults.iter().map(|f| f.place.rsplit(':').next().unwrap().to_owned()).collect();
        assert_eq!(lines, ["1", "2", "4", "5", "6", "7"]);
        assert!(faults[3].message.contains("did you mean 'sha256'"));
    }
}
