//! `machines.conf`: the catalogue, in the format it has always had.
//!
//! An INI file: `[name.ext]` begins a machine, `key=value` says something about it, `;` and `#` begin a
//! comment. A section with a mistake in it is not offered, and the others are; each mistake is told with
//! its line.

use super::ConfigError;
use super::machine::MachineEntry;
use super::text::{BOM, without_mark};
use crate::model::MachineName;
use std::collections::HashMap;
use std::path::Path;

/// More than any catalogue has; what is larger is not read.
const LONGEST: u64 = 1 << 20;
/// No line is longer, in bytes.
const LINE_MAX: usize = 4096;
/// So many faults are told one by one; nobody reads more.
const FAULTS_MAX: usize = 1000;

/// What a `machines.conf` says, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// The machines, also those that have faults.
    pub machines: Vec<MachineEntry>,
    /// All that is wrong with the file.
    pub faults: Vec<ConfigError>,
    unreadable: bool,
}

/// The sections that there are, with their lines.
type Names = HashMap<MachineName, usize>;

/// Where lines belong that come now.
enum Section {
    /// Before the first one.
    None,
    /// The last machine of the list.
    Machine,
    /// One whose first line is wrong: what follows is nobody's.
    Wrong,
}

impl Catalogue {
    /// The keys that a section can have.
    pub fn keys() -> impl Iterator<Item = &'static str> {
        super::machine::KEYS.iter().map(|(key, _)| *key)
    }

    /// The machine of that name.
    pub fn get(&self, name: &MachineName) -> Option<&MachineEntry> {
        self.machines.iter().find(|m| &m.name == name)
    }

    /// Reads the file below `root`; a missing one is an empty catalogue.
    pub fn load(root: &Path) -> Self {
        let path = root.join(super::CONFIG_DIR).join("machines.conf");
        let read = || {
            if std::fs::metadata(&path)?.len() > LONGEST {
                return Err(std::io::Error::other("it is larger than 1 MiB"));
            }
            let bytes = std::fs::read(&path)?;
            without_mark(&bytes).map_err(std::io::Error::other)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Self::parse_bytes(&bytes),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Self::default(),
            Err(e) => {
                let faults = vec![wrong(0, format!("it cannot be read: {e}"))];
                Self { machines: Vec::new(), faults, unreadable: true }
            }
        }
    }

    /// Return why the file as a whole could not be read, if so: then nothing is known of any machine.
    pub fn unreadable(&self) -> Option<&ConfigError> {
        self.unreadable.then(|| self.faults.first()).flatten()
    }

    /// Return whether lines were passed over that may have been machines.
    pub fn is_incomplete(&self) -> bool {
        self.faults.iter().any(|fault| !self.machines.iter().any(|machine| machine.faults.contains(fault)))
    }

    /// Reads the text; all faults are reported, not just the first.
    pub fn parse(text: &str) -> Self {
        Self::parse_bytes(text.as_bytes())
    }

    /// The same for bytes that may be no text.
    pub fn parse_bytes(bytes: &[u8]) -> Self {
        let mut catalogue = Self::default();
        let (mut section, mut names) = (Section::None, HashMap::new());
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let taken = match text(line) {
                Ok(line) if line.is_empty() || line.starts_with([';', '#']) => Ok(()),
                Ok(line) => catalogue.take(line, index + 1, &mut section, &mut names),
                Err(message) => {
                    // What it begins, if anything, is not known.
                    if without_mark(line).unwrap_or(line).trim_ascii_start().starts_with(b"[") {
                        section = Section::Wrong;
                    }
                    Err(message)
                }
            };
            if let Err(message) = taken {
                catalogue.fault(index + 1, message, &section);
            }
        }
        catalogue.compare();
        let more = catalogue.faults.len().saturating_sub(FAULTS_MAX);
        if more > 0 {
            catalogue.faults.truncate(FAULTS_MAX);
            catalogue.faults.push(wrong(0, format!("there are {more} mistakes more")));
        }
        catalogue
    }

    fn take(&mut self, line: &str, number: usize, section: &mut Section, names: &mut Names) -> Result<(), String> {
        if let Some(head) = line.strip_prefix('[') {
            *section = Section::Wrong;
            let name = head.strip_suffix(']').ok_or("a section is written [name.ext]")?;
            self.begin(name, number, names)?;
            *section = Section::Machine;
            return Ok(());
        }
        let (key, value) =
            line.split_once('=').ok_or("a line is [name.ext], key=value, or a comment that begins with ;")?;
        match (section, self.machines.last_mut()) {
            (Section::Machine, Some(machine)) => machine.set(key.trim(), value.trim(), number),
            (Section::Wrong, _) => Ok(()),
            _ => Err("a key stands before the first [name.ext]".to_owned()),
        }
    }

    fn begin(&mut self, name: &str, line: usize, names: &mut Names) -> Result<(), String> {
        let name: MachineName = name.trim().parse().map_err(|_| {
            let shown: String = name.chars().take(80).collect();
            format!("[{}] cannot be a machine's name: {}", shown.escape_debug(), MachineName::RULE)
        })?;
        if let Some(first) = names.get(&name) {
            return Err(format!("[{name}] stands twice, first in line {first}"));
        }
        names.insert(name.clone(), line);
        self.machines.push(MachineEntry::new(name, line));
        Ok(())
    }

    fn fault(&mut self, line: usize, message: String, section: &Section) {
        let fault = wrong(line, message);
        if let (Section::Machine, Some(machine)) = (section, self.machines.last_mut()) {
            machine.faults.push(fault.clone());
        }
        self.faults.push(fault);
    }

    /// What each section says must fit together.
    fn compare(&mut self) {
        for machine in &mut self.machines {
            for (key, message) in machine.contradictions() {
                let line = machine.seen.iter().find(|(seen, _)| seen == key).map_or(machine.line, |(_, line)| *line);
                let fault = wrong(line, message);
                machine.faults.push(fault.clone());
                self.faults.push(fault);
            }
        }
    }
}

/// The line as text without blanks around it; refused where a terminal or a page might take it for something else.
fn text(line: &[u8]) -> Result<&str, String> {
    if line.len() > LINE_MAX {
        return Err(format!("this line is longer than {LINE_MAX} bytes"));
    }
    let line = std::str::from_utf8(line).map_err(|_| "this line is not UTF-8 text")?;
    // Files that were put together have marks in between.
    let line = line.trim().trim_start_matches(BOM).trim_start();
    match line.chars().find(|c| is_hidden(*c)) {
        Some(c) => Err(format!("this line has a character in it that nobody sees ({})", c.escape_unicode())),
        None => Ok(line),
    }
}

/// Return whether nobody sees the character.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control() && c != '\t' || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c)
}

fn wrong(line: usize, message: impl Into<String>) -> ConfigError {
    let file = "/etc/qemu-web-desktop/machines.conf";
    let place = if line == 0 { file.to_owned() } else { format!("{file}:{line}") };
    ConfigError { place, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::super::hardware::{Architecture, Clock, DiskBus, Firmware, Guest};
    use super::*;
    use crate::model::{Bytes, Lifetime};

    fn lines(catalogue: &Catalogue) -> Vec<&str> {
        catalogue.faults.iter().map(|f| f.place.rsplit(':').next().unwrap()).collect()
    }

    #[test]
    fn the_old_format_reads() {
        let text = "; comment\n[dsl.iso]\nurl=http://x/dsl.iso\ndescription=Damn Small = Linux\n\n[mine.qcow2]\ndescription=Mine\n";
        let catalogue = Catalogue::parse(text);
        assert_eq!((catalogue.machines.len(), catalogue.faults.len()), (2, 0));
        assert_eq!(catalogue.machines[0].description.as_deref(), Some("Damn Small = Linux"));
        assert_eq!(catalogue.machines[1].url, None);
    }

    #[test]
    fn every_fault_is_named_with_its_line() {
        let text = "url=x\n[../x]\nurl=nobody's\n[a]\n[a]\nurl=nobody's\n[b]\nsha265=00\nsha256=00\nnonsense\ncpus=\nurl=a\nurl=b\n";
        let catalogue = Catalogue::parse(text);
        assert_eq!(lines(&catalogue), ["1", "2", "5", "8", "9", "10", "11", "13"]);
        assert!(catalogue.faults[3].message.contains("did you mean 'sha256'"));
        assert!(catalogue.faults[6].message.contains("'cpus' has no value"));
        assert!(catalogue.faults[7].message.contains("'url' stands twice in [b], first in line 12"));
    }

    #[test]
    fn files_of_other_editors_read() {
        for text in [
            "\u{feff}[a]\r\nurl=x\r\n[b]\r\n",
            "\u{feff}\r\n[a]\nurl=x\n\u{feff}[b]\n",
            "\u{feff}; all\n[a]\nurl=x\n[b]",
        ] {
            let catalogue = Catalogue::parse(text);
            assert_eq!(catalogue.faults, [], "{text:?}");
            let names: Vec<&str> = catalogue.machines.iter().map(|m| m.name.as_str()).collect();
            assert_eq!((names, catalogue.machines[0].url.as_deref()), (vec!["a", "b"], Some("x")));
        }
        let root = std::env::temp_dir().join(format!("qwd-machines-{}", std::process::id()));
        std::fs::create_dir_all(root.join("etc/qemu-web-desktop")).unwrap();
        std::fs::write(root.join("etc/qemu-web-desktop/machines.conf"), b"\xff\xfe[\0a\0]\0").unwrap();
        let catalogue = Catalogue::load(&root);
        std::fs::remove_dir_all(&root).unwrap();
        assert!(catalogue.unreadable().unwrap().message.contains("UTF-16") && catalogue.is_incomplete());
    }

    #[test]
    fn lines_that_may_have_been_machines_are_noticed() {
        for (text, incomplete) in
            [("[a]\n", false), ("[a]\nvideo=cga\n", false), ("[-a]\nurl=x\n", true), ("url=x\n", true), ("", false)]
        {
            assert_eq!(Catalogue::parse(text).is_incomplete(), incomplete, "{text:?}");
        }
    }

    #[test]
    fn mistakes_say_what_is_right() {
        for (text, wanted) in [
            ("[a]\nURL=x\n", "'URL' is not a key of a machine; did you mean 'url'?"),
            ("[a]\nDescription=x\n", "did you mean 'description'?"),
            ("[-dash.iso]\n", "begins with a letter, a digit or _"),
            ("[.hidden]\n", "begins with a letter, a digit or _"),
            ("[a]\nmemory=lots\n", "such as 512M or 2G"),
            ("[a]\nlifetime=soon\n", "such as 30m, 4h or 2d"),
        ] {
            let catalogue = Catalogue::parse(text);
            let told = format!("{}.", catalogue.faults[0]);
            assert!(told.contains(wanted) && !told.contains(".."), "{told}");
        }
    }

    #[test]
    fn descriptions_of_the_perl_version_are_text() {
        let described =
            |text: &str| Catalogue::parse(&format!("[a]\ndescription={text}\n")).machines.remove(0).description;
        assert_eq!(described("M&uuml;nchen &amp; K&ouml;ln").as_deref(), Some("München & Köln"));
        // What would come in by it and may not leaves the whole as it is.
        assert_eq!(described("&amp; &#27;[2J&#x202e;").as_deref(), Some("&amp; &#27;[2J&#x202e;"));
    }

    #[test]
    fn a_faulty_section_leaves_the_others_alone() {
        let catalogue = Catalogue::parse("[a]\nvideo=cga\n[b]\nvideo=qxl\n");
        let faults: Vec<usize> = catalogue.machines.iter().map(|m| m.faults.len()).collect();
        assert_eq!(faults, [1, 0]);
        assert_eq!(catalogue.machines[0].faults[0].message, "video: 'cga' is none of std, virtio, qxl, vmware");
    }

    #[test]
    fn keys_say_how_a_machine_is_run() {
        let text = "[w.qcow2]\nos=windows\nfirmware=uefi-secure\ntpm=yes\ncpus_min=2\ncpus=4\ncpus_max=8\nmemory_min=4G\n\
                    lifetime=4h\ndisk=nvme\nclock=utc\nballoon=no\nicon=window\ngroups=staff, all of them\n\
                    architecture=x86_64\nqemu_exec=/opt/qemu/bin/qemu-system-x86_64\ndisk_size=20G\n";
        let catalogue = Catalogue::parse(text);
        assert_eq!(catalogue.faults, []);
        let machine = &catalogue.machines[0];
        assert_eq!((machine.cpus.least, machine.cpus.usual, machine.cpus.most), (Some(2), Some(4), Some(8)));
        assert_eq!((machine.memory.least, machine.lifetime), (Some(Bytes(4 << 30)), Some(Lifetime(14_400))));
        assert_eq!(machine.groups, ["staff", "all of them"]);
        let found = &machine.hardware;
        assert_eq!((found.guest, found.firmware, found.tpm), (Some(Guest::Windows), Some(Firmware::SecureUefi), true));
        assert_eq!((found.disk, found.clock, found.balloon), (Some(DiskBus::Nvme), Some(Clock::Utc), Some(false)));
        assert_eq!(found.architecture, Some(Architecture::X86));
    }

    #[test]
    fn what_no_machine_can_have_is_refused_where_it_stands() {
        for line in [
            "cpus=0",
            "cpus=two",
            "cpus_max=256",
            "memory=1",
            "memory_max=65T",
            "lifetime=4w",
            "tpm=maybe",
            "icon=http://elsewhere/x.png",
            "icon=../x.svg",
            "groups=a,,b",
            "qemu_exec=-x",
            "qemu_exec=../qemu",
            "qemu_exec=/opt/../qemu",
            "qemu_exec=qemu;reboot",
            "os=beos",
            "disk_size=0",
        ] {
            let catalogue = Catalogue::parse(&format!("[a]\n{line}\n"));
            assert_eq!(lines(&catalogue), ["2"], "{line}");
            let key = line.split('=').next().unwrap();
            assert!(catalogue.faults[0].message.starts_with(&format!("{key}: ")), "{line}");
        }
    }

    #[test]
    fn the_least_is_not_more_than_the_most() {
        for (text, line, sentence) in [
            ("cpus_min=4\ncpus_max=2", "2", "cpus_min is 4, which is more than cpus_max, 2"),
            ("memory_max=1G\nmemory=2G", "3", "memory is 2G, which is more than memory_max, 1G"),
            ("cpus_min=4\ncpus=2", "2", "cpus_min is 4, which is more than cpus, 2"),
        ] {
            let catalogue = Catalogue::parse(&format!("[a]\n{text}\n"));
            assert_eq!((lines(&catalogue), catalogue.faults[0].message.as_str()), (vec![line], sentence));
            assert_eq!(catalogue.machines[0].faults, catalogue.faults);
        }
    }

    #[test]
    fn no_text_makes_it_stumble() {
        for text in ["[", "]", "[]", "[ ]", "=", "[a]\n=", "[a]\n=x", "[a]\nurl", "[a]]", "[[a]]", "[a\0]"] {
            assert_eq!(Catalogue::parse(text).faults.len(), 1, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_plain_text_is_told_with_its_line_and_spoils_its_own_section_only() {
        let bytes = b"[a]\ndescription=A\x1b[2J\n[b]\ndescription=B\xff\n[c\xff]\nurl=nobody's\n[d]\ndescription=D\xe2\x80\xae\n[e]\ndescription=E\r\n";
        let catalogue = Catalogue::parse_bytes(bytes);
        assert_eq!(lines(&catalogue), ["2", "4", "5", "8"]);
        let good: Vec<&str> =
            catalogue.machines.iter().filter(|m| m.faults.is_empty()).map(|m| m.name.as_str()).collect();
        assert_eq!((good, catalogue.machines.len()), (vec!["e"], 4));
        assert!(catalogue.faults.iter().all(|fault| !fault.to_string().chars().any(char::is_control)));
        let long = format!("[a]\ndescription={}\n", "x".repeat(LINE_MAX));
        assert_eq!(lines(&Catalogue::parse(&long)), ["2"]);
    }

    /// Pieces of which a catalogue is made, put together in an order that nobody means.
    const PIECES: [&str; 30] = [
        "[",
        "]",
        "[a]",
        "[b.iso]",
        "[../c]",
        "[a]\n",
        "=",
        "\n",
        "\n\n",
        "\r\n",
        "url",
        "url=x",
        "\ndescription=D\n",
        "\ncpus_min=4\ncpus_max=2\n",
        "\nmemory=99999999999999999999G\n",
        "\ncpus=-1\n",
        "tpm=yes",
        "icon=flask\n",
        "icon=../../x.svg\n",
        ";",
        "#",
        " ",
        "\t",
        "\0",
        "\u{1b}[31m",
        "\u{feff}",
        "é",
        "\u{202e}",
        "os=windows\n",
        "\ngroups=,,,\n",
    ];

    #[test]
    fn whatever_stands_in_it_each_fault_has_its_line_and_no_name_stands_twice() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize
        };
        let (mut faulty, mut good) = (0, 0);
        for _ in 0..3000 {
            let mut bytes: Vec<u8> = (0..random() % 40).flat_map(|_| PIECES[random() % 30].bytes()).collect();
            if !bytes.is_empty() && random() % 4 == 0 {
                let at = random() % bytes.len();
                bytes[at] = random() as u8;
            }
            let catalogue = Catalogue::parse_bytes(&bytes);
            let count = bytes.split(|b| *b == b'\n').count();
            let numbers: Vec<usize> = lines(&catalogue).iter().map(|line| line.parse().unwrap()).collect();
            assert!(numbers.iter().all(|line| (1..=count).contains(line)), "{numbers:?} of {count}");
            let mut names: Vec<_> = catalogue.machines.iter().map(|m| &m.name).collect();
            names.sort_by_key(|name| name.as_str());
            names.dedup();
            assert_eq!(names.len(), catalogue.machines.len());
            let told = catalogue.machines.iter().flat_map(|m| &m.faults).all(|f| catalogue.faults.contains(f));
            assert!(told && catalogue == Catalogue::parse_bytes(&bytes));
            faulty += catalogue.machines.iter().filter(|m| !m.faults.is_empty()).count();
            good += catalogue.machines.iter().filter(|m| m.faults.is_empty()).count();
        }
        assert!(faulty > 200 && good > 200, "both must come up: {faulty}, {good}");
    }

    #[test]
    fn the_longest_catalogue_and_the_worst_are_read_at_once() {
        let start = std::time::Instant::now();
        let many: String = (0..60_000).map(|n| format!("[{n}.iso]\n")).collect();
        assert_eq!(Catalogue::parse(&many).machines.len(), 60_000);
        let worst = Catalogue::parse(&"x\n".repeat(500_000));
        assert_eq!(worst.faults.len(), FAULTS_MAX + 1);
        assert!(worst.faults[FAULTS_MAX].message.contains("499000 mistakes more"));
        // Comparing each name with all the others took minutes.
        assert!(start.elapsed() < std::time::Duration::from_secs(20));
    }
}
