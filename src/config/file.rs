//! Reads the files of the configuration, with the line each key stands on.

use super::nearest::nearest;
use super::{CONFIG_DIR, ConfigError, Raw, Settings};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

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
    let settings = Settings::try_from(&raw).map_err(|(key, message)| ConfigError {
        place: place_of(&origins, key),
        message: format!("{key}: {message}"),
    })?;
    Ok(Loaded { settings, raw, origins })
}

fn place_of(origins: &BTreeMap<String, Origin>, key: &str) -> String {
    match origins.get(key) {
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
        let mut lines = BTreeMap::new();
        collect(spanned.get_ref(), "", &mut |key, offset| {
            lines.insert(key, at(offset));
        });
        let known = known_keys();
        if let Some((key, line)) = lines.iter().find(|(key, _)| !known.contains_key(*key)) {
            return Err(ConfigError { place: format!("{}:{line}", file.display()), message: unknown(key, &known) });
        }
        // Read once by itself, so that a value of the wrong type is named with this file's line.
        toml::from_str::<Raw>(text).map_err(|e| wrong(&e))?;
        let table = text.parse().map_err(|e| wrong(&e))?;
        Ok(Self { file, table, lines })
    }
}

fn unknown(key: &str, known: &BTreeMap<String, Value>) -> String {
    if known.keys().any(|k| k.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'))) {
        return format!("'{key}' is a section, and is written [{key}]");
    }
    let hint = meant(key, known).map_or(String::new(), |near| format!("; did you mean '{near}'?"));
    format!("'{key}' is not a setting{hint}")
}

/// The setting that was probably meant: the same key below its section, or the nearest word.
fn meant<'a>(key: &str, known: &'a BTreeMap<String, Value>) -> Option<&'a str> {
    let below = known.keys().find(|k| k.rsplit_once('.').is_some_and(|(_, last)| last == key));
    below.map(String::as_str).or_else(|| nearest(key, known.keys().map(String::as_str)))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

/// Calls `found` with each dotted key that has a value, and where the key stands.
fn collect(table: &DeTable<'_>, prefix: &str, found: &mut impl FnMut(String, usize)) {
    for (key, value) in table {
        let dotted = join(prefix, key.get_ref());
        match Spanned::get_ref(value) {
            DeValue::Table(inner) if !inner.is_empty() => collect(inner, &dotted, found),
            DeValue::Table(_) if known_keys().keys().any(|k| k.starts_with(&format!("{dotted}."))) => {}
            _ => found(dotted, key.span().start),
        }
    }
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// Every key that exists, with its default.
pub fn known_keys() -> BTreeMap<String, Value> {
    flatten(&Raw::default())
}

/// The settings as dotted keys and values.
pub fn flatten(raw: &Raw) -> BTreeMap<String, Value> {
    fn walk(table: Table, prefix: &str, out: &mut BTreeMap<String, Value>) {
        for (key, value) in table {
            match value {
                Value::Table(inner) => walk(inner, &join(prefix, &key), out),
                other => {
                    out.insert(join(prefix, &key), other);
                }
            }
        }
    }
    let mut out = BTreeMap::new();
    let table = Table::try_from(raw).expect("the settings are a table");
    walk(table, "", &mut out);
    out
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
    fn a_value_that_only_fails_with_another_is_named_where_it_stands() {
        let root = Root::new(
            "pair",
            &[("config.toml", "[session]\nmemory_min = \"2G\"\n"), ("config.d/x.toml", "[session]\nmemory = \"1G\"\n")],
        );
        let wrong = load(&root.0).unwrap_err().to_string();
        assert!(wrong.starts_with("/etc/qemu-web-desktop/config.d/x.toml:2: session.memory: "), "{wrong}");
    }
}
