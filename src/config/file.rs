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
            let hint = nearest(key, known.keys().map(String::as_str))
                .map_or(String::new(), |near| format!("; did you mean '{near}'?"));
            return Err(ConfigError {
                place: format!("{}:{line}", file.display()),
                message: format!("'{key}' is not a setting{hint}"),
            });
        }
        // Read once by itself, so that a value of the wrong type is named with this file's line.
        toml::from_str::<Raw>(text).map_err(|e| wrong(&e))?;
        let table = text.parse().map_err(|e| wrong(&e))?;
        Ok(Self { file, table, lines })
    }
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
