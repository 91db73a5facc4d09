//! The keys of the configuration: which there are, and which was meant by one that is not.
//!
//! A key is written dotted, as `session.memory`. In the sections of [`FREE`] the administrator chooses
//! the names of the sections below; a key's *pattern* has [`NAME`] in the place of such a name.

use super::nearest::nearest;
use super::raw::{Allowance, Raw};
use std::collections::{BTreeMap, BTreeSet};
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// Stands for a name that the administrator chooses.
const NAME: &str = "NAME";
/// The sections of sections with free names.
const FREE: [&str; 2] = ["limits.user", "limits.group"];

/// A key as it stands in a file.
pub(super) struct Key {
    pub(super) dotted: String,
    pattern: String,
}

impl Key {
    fn top() -> Self {
        Self { dotted: String::new(), pattern: String::new() }
    }

    fn below(&self, key: &str) -> Self {
        let free = FREE.contains(&self.pattern.as_str());
        Self { dotted: join(&self.dotted, key), pattern: join(&self.pattern, if free { NAME } else { key }) }
    }

    fn is_section(&self, known: &BTreeSet<String>) -> bool {
        known.iter().any(|k| k.strip_prefix(&self.pattern).is_some_and(|rest| rest.starts_with('.')))
    }
}

/// The dotted key of `key` in the section `prefix`, quoted where TOML takes quotes.
pub(super) fn join(prefix: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if prefix.is_empty() { key } else { format!("{prefix}.{key}") }
}

/// Every key that exists and has a default, with that.
pub fn known_keys() -> BTreeMap<String, Value> {
    flatten(&Raw::default())
}

/// The keys that exist below names that the administrator chooses.
pub fn free_keys() -> impl Iterator<Item = String> {
    FREE.iter().flat_map(|section| Allowance::KEYS.iter().map(move |key| format!("{section}.{NAME}.{key}")))
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

/// The keys of a file that have a value, each with the offset where it stands; or the first that is
/// no setting, with its offset and a sentence.
pub(super) fn collect(table: &DeTable<'_>) -> Result<Vec<(String, usize)>, (usize, String)> {
    let known: BTreeSet<String> = known_keys().into_keys().chain(free_keys()).collect();
    let mut found = Vec::new();
    walk(table, &Key::top(), &known, &mut found);
    match found.iter().filter(|(key, _)| !known.contains(&key.pattern)).min_by_key(|(_, offset)| *offset) {
        Some((key, offset)) => Err((*offset, unknown(key, &known))),
        None => Ok(found.into_iter().map(|(key, offset)| (key.dotted, offset)).collect()),
    }
}

fn walk(table: &DeTable<'_>, above: &Key, known: &BTreeSet<String>, found: &mut Vec<(Key, usize)>) {
    for (name, value) in table {
        let key = above.below(name.get_ref());
        match Spanned::get_ref(value) {
            DeValue::Table(inner) if !inner.is_empty() => walk(inner, &key, known, found),
            DeValue::Table(_) if key.is_section(known) => {}
            _ => found.push((key, name.span().start)),
        }
    }
}

fn unknown(key: &Key, known: &BTreeSet<String>) -> String {
    let Key { dotted, pattern } = key;
    if FREE.contains(&pattern.as_str()) {
        return format!("'{dotted}' is a section of sections, each written [{dotted}.{NAME}]");
    }
    let section = FREE.iter().find(|free| *pattern == format!("{free}.{NAME}"));
    if let Some((free, setting)) = section.zip(dotted.rsplit('.').next()).filter(|(_, s)| Allowance::KEYS.contains(s)) {
        return format!("'{dotted}' does not say whose: '{setting}' is written below [{free}.{NAME}]");
    }
    if key.is_section(known) {
        return format!("'{dotted}' is a section, and is written [{dotted}]");
    }
    let hint = meant(key, known).map_or(String::new(), |near| format!("; did you mean '{near}'?"));
    format!("'{dotted}' is not a setting{hint}")
}

/// The setting that was probably meant: the same key below its section, or the nearest word. A name
/// that the administrator has chosen is kept.
fn meant(key: &Key, known: &BTreeSet<String>) -> Option<String> {
    let is_last = |known: &&String| known.rsplit_once('.').is_some_and(|(_, last)| last == key.pattern);
    let is_free = |known: &&String| known.split('.').any(|part| part == NAME);
    let below = known.iter().filter(is_last).min_by_key(|k| is_free(k));
    let near = below.map(String::as_str).or_else(|| nearest(&key.pattern, known.iter().map(String::as_str)))?;
    let end = format!(".{NAME}.");
    let named = key.pattern.split_once(&end).zip(near.split_once(&end));
    let last = |dotted: &str, tail: &str| dotted.len() - tail.len();
    match named {
        Some(((section, tail), (same, setting))) if section == same => {
            Some(format!("{}{setting}", &key.dotted[..last(&key.dotted, tail)]))
        }
        _ => Some(near.to_owned()),
    }
}
