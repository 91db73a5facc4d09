//! Reads the files of the configuration, with the line each key stands on.

use super::{CONFIG_DIR, ConfigError, Raw, Settings, keys};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use toml::de::DeTable;
use toml::{Table, Value};

/// Where a setting comes from: file and line, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file, as an administrator names it.
    pub file: PathBuf,
    /// Its line.
    pub line: usize,
}

/// A configuration that is in order, with the origin of all that differs from the defaults.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// What the programs use.
    pub settings: Settings,
    /// What `qwdctl config` shows.
    pub raw: Raw,
    /// By dotted key; a key that is missing here has its default.
    pub origins: BTreeMap<String, Origin>,
}

/// Stage one: what one file says.
struct Fragment {
    file: PathBuf,
    table: Table,
    lines: BTreeMap<String, usize>,
}

/// Reads and validates everything below `root` (`/`, or a test's folder). No file at all is fine.
pub fn load(root: &Path) -> Result<Loaded, ConfigError> {
    let mut merged = Table::new();
    let mut origins = BTreeMap::new();
    for path in files(root)? {
        let Some(fragment) = Fragment::read(root, &path)? else { continue };
        for (key, line) in &fragment.lines {
            origins.insert(key.clone(), Origin { file: fragment.file.clone(), line: *line });
        }
        merge(&mut merged, fragment.table);
    }
    // Each file has been read into the same type already, so this cannot fail on its own.
    let raw: Raw = merged
        .try_into()
        .map_err(|e: toml::de::Error| ConfigError { place: "config.toml".into(), message: e.message().to_owned() })?;
    let settings = Settings::try_from(&raw).map_err(|wrong| ConfigError {
        place: place_of(&origins, &wrong.key),
        message: format!("{}: {}", wrong.key, wrong.message),
    })?;
    Ok(Loaded { settings, raw, origins })
}

fn place_of(origins: &BTreeMap<String, Origin>, key: &str) -> String {
    // A section stands where the first of its keys does.
    let below = || origins.iter().find(|(k, _)| k.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')));
    match origins.get(key).or_else(|| below().map(|(_, origin)| origin)) {
        Some(origin) => format!("{}:{}", origin.file.display(), origin.line),
        None => "config.toml".to_owned(),
    }
}

fn files(root: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let folder = root.join(CONFIG_DIR);
    let mut paths = vec![folder.join("config.toml")];
    match fs::read_dir(folder.join("config.d")) {
        Ok(entries) => {
            let mut more: Vec<PathBuf> = entries
                .filter_map(|e| e.ok().map(|e| e.path()))
                .filter(|p| p.extension().is_some_and(|e| e == "toml"))
                .collect();
            more.sort();
            paths.extend(more);
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(unreadable(&folder.join("config.d"), &e)),
    }
    Ok(paths)
}

fn unreadable(path: &Path, error: &std::io::Error) -> ConfigError {
    ConfigError { place: path.display().to_string(), message: format!("cannot be read: {error}") }
}

impl Fragment {
    fn read(root: &Path, path: &Path) -> Result<Option<Self>, ConfigError> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(unreadable(path, &e)),
        };
        let file = Path::new("/").join(path.strip_prefix(root).unwrap_or(path));
        Self::parse(file, &text).map(Some)
    }

    fn parse(file: PathBuf, text: &str) -> Result<Self, ConfigError> {
        let at = |offset: usize| line_of(text, offset);
        let wrong = |e: &toml::de::Error| ConfigError {
            place: match e.span() {
                Some(span) => format!("{}:{}", file.display(), at(span.start)),
                None => file.display().to_string(),
            },
            message: e.message().to_owned(),
        };
        let spanned = DeTable::parse(text).map_err(|e| wrong(&e))?;
        let keys = keys::collect(spanned.get_ref()).map_err(|(offset, message)| ConfigError {
            place: format!("{}:{}", file.display(), at(offset)),
            message,
        })?;
        let lines = keys.into_iter().map(|(key, offset)| (key, at(offset))).collect();
        // Read once by itself, so that a value of the wrong type is named with this file's line.
        toml::from_str::<Raw>(text).map_err(|e| wrong(&e))?;
        let table = text.parse().map_err(|e| wrong(&e))?;
        Ok(Self { file, table, lines })
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{flatten, known_keys};

    /// A root with these files below the configuration's folder.
    struct Root(PathBuf);

    impl Root {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let path = std::env::temp_dir().join(format!("qwd-config-{}-{name}", std::process::id()));
            fs::create_dir_all(path.join(CONFIG_DIR).join("config.d")).unwrap();
            for (file, text) in files {
                fs::write(path.join(CONFIG_DIR).join(file), text).unwrap();
            }
            Self(path)
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn fault(name: &str, text: &str) -> String {
        let root = Root::new(name, &[("config.toml", text)]);
        load(&root.0).unwrap_err().to_string()
    }

    #[test]
    fn no_file_and_an_empty_file_are_the_defaults() {
        let none = Path::new("/nonexistent");
        assert_eq!(flatten(&load(none).unwrap().raw), known_keys());
        let empty = Root::new("empty", &[("config.toml", "# nothing\n\n[limits]\n")]);
        let loaded = load(&empty.0).unwrap();
        assert_eq!(flatten(&loaded.raw), known_keys());
        assert!(loaded.origins.is_empty());
    }

    #[test]
    fn an_unknown_key_is_named_with_file_line_and_what_was_meant() {
        let text = "public_url = \"\"\n\n[limits]\nservice_max_lod = 1\n";
        assert_eq!(
            fault("unknown", text),
            "/etc/qemu-web-desktop/config.toml:4: 'limits.service_max_lod' is not a setting; did you mean 'limits.service_max_load'?"
        );
        assert!(fault("section", "[limit]\nservice_max_load = 1\n").contains(":2: 'limit.service_max_load'"));
        assert!(fault("table", "[banana]\n").contains("config.toml:1: 'banana' is not a setting"));
    }

    #[test]
    fn a_key_without_its_section_is_recognised() {
        assert!(fault("bare", "tb_size = 64\n").contains("did you mean 'qemu.tb_size'?"));
    }

    #[test]
    fn a_wrong_type_and_a_wrong_value_are_named_with_their_line() {
        let wrong = fault("type", "[session]\n\ncpus = \"two\"\n");
        assert!(wrong.starts_with("/etc/qemu-web-desktop/config.toml:3: ") && wrong.contains("string"), "{wrong}");
        let wrong = fault("value", "[session]\nmemory = \"2 apples\"\n");
        assert!(wrong.starts_with("/etc/qemu-web-desktop/config.toml:2: session.memory: "), "{wrong}");
        let wrong = fault("negative", "[limits]\nservice_max_session_nb = -1\n");
        assert!(wrong.starts_with("/etc/qemu-web-desktop/config.toml:2: "), "{wrong}");
        let wrong = fault("scalar", "limits = 5\n");
        assert_eq!(wrong, "/etc/qemu-web-desktop/config.toml:1: 'limits' is a section, and is written [limits]");
    }

    #[test]
    fn broken_toml_is_named_with_its_line() {
        let wrong = fault("broken", "[limits]\nservice_max_load 0.5\n");
        assert!(wrong.starts_with("/etc/qemu-web-desktop/config.toml:2: "), "{wrong}");
        let twice = fault("twice", "[limits]\nservice_max_load = 1.0\nservice_max_load = 2.0\n");
        assert!(twice.starts_with("/etc/qemu-web-desktop/config.toml:3: "), "{twice}");
    }

    #[test]
    fn later_files_win_key_by_key_and_origins_follow() {
        let root = Root::new(
            "merge",
            &[
                ("config.toml", "[session]\ncpus = 2\nmemory = \"2G\"\n"),
                ("config.d/10-a.toml", "[session]\nmemory = \"3G\"\n"),
                ("config.d/20-b.toml", "\n[session]\nmemory = \"4G\"\n"),
                ("config.d/30-c.toml.bak", "[session]\nmemory = \"5G\"\n"),
            ],
        );
        let loaded = load(&root.0).unwrap();
        assert_eq!((loaded.raw.session.cpus, loaded.raw.session.memory.as_str()), (2, "4G"));
        let origin = |key: &str| {
            let origin = &loaded.origins[key];
            format!("{}:{}", origin.file.display(), origin.line)
        };
        assert_eq!(origin("session.cpus"), "/etc/qemu-web-desktop/config.toml:2");
        assert_eq!(origin("session.memory"), "/etc/qemu-web-desktop/config.d/20-b.toml:3");
        assert_eq!(loaded.origins.len(), 2);
    }

    #[test]
    fn names_of_people_and_groups_are_free_and_what_stands_below_is_not() {
        let root = Root::new(
            "names",
            &[
                (
                    "config.toml",
                    "[limits.user.\"alice@example.org\"]\nsessions = 2\nmemory = \"2G\"\n[limits.group.a]\n",
                ),
                (
                    "config.d/x.toml",
                    "[limits]\nuser.\"alice@example.org\".sessions = 4\ngroup = { a = { cpus = 1 } }\n",
                ),
            ],
        );
        let loaded = load(&root.0).unwrap();
        let alice = &loaded.settings.limits.users[&"alice@example.org".parse().unwrap()];
        assert_eq!((alice.sessions, alice.memory), (Some(4), Some(crate::model::Bytes(2 << 30))));
        let places: Vec<String> = loaded
            .origins
            .iter()
            .map(|(key, o)| format!("{key} {}", o.file.display()) + &format!(":{}", o.line))
            .collect();
        assert_eq!(
            places,
            [
                "limits.group.a.cpus /etc/qemu-web-desktop/config.d/x.toml:3",
                "limits.user.\"alice@example.org\".memory /etc/qemu-web-desktop/config.toml:3",
                "limits.user.\"alice@example.org\".sessions /etc/qemu-web-desktop/config.d/x.toml:2",
            ]
        );
        let shown: Vec<String> = flatten(&loaded.raw).into_keys().filter(|k| k.contains("alice")).collect();
        assert_eq!(shown, ["limits.user.\"alice@example.org\".memory", "limits.user.\"alice@example.org\".sessions"]);
    }

    #[test]
    fn mistakes_below_a_name_are_named_with_line_and_what_was_meant() {
        for (text, wrong) in [
            (
                "[limits.user.bob]\nsesions = 1",
                ":2: 'limits.user.bob.sesions' is not a setting; did you mean 'limits.user.bob.sessions'?",
            ),
            ("[limits.group.\"a.b\"]\nmem = 1", ":2: 'limits.group.\"a.b\".mem' is not a setting"),
            (
                "[limits.users.bob]\nsessions = 1",
                ":2: 'limits.users.bob.sessions' is not a setting; did you mean 'limits.user.NAME.sessions'?",
            ),
            (
                "\n[limits.user]\nsessions = 1",
                ":3: 'limits.user.sessions' does not say whose: 'sessions' is written below [limits.user.NAME]",
            ),
            ("[limits.user]\nbob = 1", ":2: 'limits.user.bob' is a section, and is written [limits.user.bob]"),
            ("[limits]\ngroup = 1", ":2: 'limits.group' is a section of sections, each written [limits.group.NAME]"),
            ("[limits.user.bob.cpus]\nx = 1", ":2: 'limits.user.bob.cpus.x' is not a setting"),
            ("[limits.user.bob]\n\ncpus = \"two\"", ":3: "),
            ("[limits.user.bob]\n\ncpus = 0", ":3: limits.user.bob.cpus: this takes 1 or more"),
            ("[limits.user.\"b b\"]\ncpus = 1", ":2: limits.user.\"b b\": A user name"),
        ] {
            let told = fault("below", text);
            assert!(told.starts_with(&format!("/etc/qemu-web-desktop/config.toml{wrong}")), "{text}: {told}");
        }
        assert!(fault("bare-cpus", "cpus = 1").contains("did you mean 'page.cpus'?"));
    }

    #[test]
    fn a_value_that_only_fails_with_another_is_named_where_it_stands() {
        let root = Root::new(
            "pair",
            &[("config.toml", "[session]\nmemory_min = \"2G\"\n"), ("config.d/x.toml", "[session]\nmemory = \"1G\"\n")],
        );
        let wrong = load(&root.0).unwrap_err().to_string();
        assert!(wrong.starts_with("/etc/qemu-web-desktop/config.d/x.toml:2: session.memory: "), "{wrong}");
    }
}
