//! The configuration files as they are shipped say what is true.

use qwd::config::raw::Limits;
use qwd::config::{Catalogue, Raw, Settings, flatten, free_keys, known_keys};
use qwd::vm::Hardware;
use std::fs;
use std::path::Path;

const CONFIG: &str = include_str!("../etc/config.toml");
const MACHINES: &str = include_str!("../etc/machines.conf");

/// The text with its settings switched on: `#key = …` and `#[section]`, but not `# explanation`.
fn switched_on(text: &str, mark: char) -> String {
    let line = |line: &str| match line.strip_prefix(mark) {
        Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn config_toml_shows_every_setting_with_its_default() {
    let shown: Raw = toml::from_str(&switched_on(CONFIG, '#')).unwrap();
    let everybodys =
        Raw { limits: Limits { user: [].into(), group: [].into(), ..shown.limits.clone() }, ..shown.clone() };
    assert_eq!(flatten(&everybodys), known_keys());
    let table: toml::Table = switched_on(CONFIG, '#').parse().unwrap();
    for key in known_keys().keys() {
        let (first, rest) = key.split_once('.').unwrap_or((key, ""));
        let below = |value: Option<&'_ toml::Value>, key: &str| value.and_then(|v| v.get(key)).cloned();
        let value =
            rest.split('.').filter(|k| !k.is_empty()).fold(table.get(first).cloned(), |v, k| below(v.as_ref(), k));
        assert!(value.is_some(), "{key} is not shown");
    }
}

#[test]
fn config_toml_shows_every_limit_of_people_and_groups_in_examples_that_are_valid() {
    let shown: Raw = toml::from_str(&switched_on(CONFIG, '#')).unwrap();
    Settings::try_from(&shown).unwrap();
    let keys: Vec<String> = flatten(&shown).into_keys().collect();
    for free in free_keys() {
        let (before, after) = free.split_once("NAME").unwrap();
        assert!(keys.iter().any(|k| k.starts_with(before) && k.ends_with(after)), "{free} is not shown");
    }
}

#[test]
fn config_toml_explains_every_setting_and_changes_none() {
    assert_eq!(CONFIG.parse::<toml::Table>().unwrap(), toml::Table::new());
    let lines: Vec<&str> = CONFIG.lines().collect();
    let is_setting = |line: &str| line.starts_with('#') && line.contains(" = ") && !line.starts_with("# ");
    for (before, setting) in lines.iter().zip(&lines[1..]).filter(|(_, line)| is_setting(line)) {
        assert!(before.starts_with("# "), "{setting} is not explained");
    }
}

#[test]
fn the_examples_of_machines_conf_can_be_switched_on() {
    assert_eq!(Catalogue::parse(MACHINES), Catalogue::default());
    let examples = Catalogue::parse(&switched_on(MACHINES, ';'));
    assert_eq!(examples.faults, []);
    assert!(examples.machines.len() >= 5);
    for example in examples.machines {
        assert!(example.url.is_none_or(|url| qwd::images::fetch::Source::parse(&url).is_ok()), "{}", example.name);
        assert!(example.description.is_some(), "{}", example.name);
        let hardware = Hardware::of(&example.hardware, &Settings::default().qemu);
        assert!(hardware.is_ok(), "{}: {hardware:?}", example.name);
    }
}

#[test]
fn the_examples_of_the_documentation_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("etc/examples");
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 4);
    for file in files {
        let shown: Raw = toml::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let settings = Settings::try_from(&shown);
        assert!(settings.is_ok(), "{}: {:?}", file.display(), settings.err());
    }
}

#[test]
fn the_manual_page_has_every_key_of_a_machine() {
    const PAGE: &str = include_str!("../man/qemu-web-desktop-machines.5");
    for key in Catalogue::keys() {
        assert!(PAGE.contains(&format!("\n.BI {key}= ")), "{key}= is not explained");
    }
}
