//! Reads the files of the configuration, with the line each key stands on.

use super::{CONFIG_DIR, ConfigError, Raw, Settings, access, keys, wording};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use toml::de::DeTable;
use toml::{Table, Value};

/// The first file, as messages name it.
const MAIN: &str = "/etc/qemu-web-desktop/config.toml";

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

/// Reads and validates everything below `root` (`/`, or a test's folder). No file at all is fine. A file that one of the
/// programs could not read is an error for all, or each would go by settings of its own.
pub fn load(root: &Path) -> Result<Loaded, ConfigError> {
    access::check_all(root)?;
    let mut merged = Table::new();
    let mut origins = BTreeMap::new();
    for path in list_files(root)? {
        let Some(fragment) = Fragment::read(root, &path)? else { continue };
        for (key, line) in &fragment.lines {
            origins.insert(key.clone(), Origin { file: fragment.file.clone(), line: *line });
        }
        merge(&mut merged, fragment.table);
    }
    // Each file has been read into the same type already, so this cannot fail on its own.
    let raw: Raw = merged
        .try_into()
        .map_err(|e: toml::de::Error| ConfigError { place: MAIN.into(), message: wording::reword(e.message()) })?;
    let settings = Settings::try_from(&raw).map_err(|wrong| ConfigError {
        place: place_of(&origins, &wrong.key),
        message: format!("{}: {}", wrong.key, wrong.message),
    })?;
    Ok(Loaded { settings, raw, origins })
}

/// Return where a key is set. One that has its default is missed by another: by the nearest one around it, such as
/// `sign_in.methods` for `sign_in.imap.server`.
fn place_of(origins: &BTreeMap<String, Origin>, key: &str) -> String {
    let below = |section: &str| {
        let is_below = |known: &str| known.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'));
        origins.iter().find(|(known, _)| is_below(known)).map(|(_, origin)| origin)
    };
    let sections = std::iter::successors(Some(key), |key| key.rsplit_once('.').map(|(section, _)| section));
    let requires = |section: &str| origins.get(&format!("{section}.methods")).or_else(|| below(section));
    // Only a method that sends links needs an address for them.
    let known = origins.get(key).or_else(|| sections.map(requires).find(Option::is_some).flatten());
    match known.or_else(|| origins.get("sign_in.methods").filter(|_| key == "public_url")) {
        Some(origin) => format!("{}:{}", origin.file.display(), origin.line),
        None => MAIN.to_owned(),
    }
}

/// Return a path as an administrator knows it, without the root of a test.
pub(super) fn shown(root: &Path, path: &Path) -> String {
    Path::new("/").join(path.strip_prefix(root).unwrap_or(path)).display().to_string()
}

/// Return the files of the configuration in the order in which they are read.
pub(super) fn list_files(root: &Path) -> Result<Vec<PathBuf>, ConfigError> {
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
        Err(e) => return Err(access::explain(root, &folder.join("config.d"), &e)),
    }
    Ok(paths)
}

impl Fragment {
    fn read(root: &Path, path: &Path) -> Result<Option<Self>, ConfigError> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            // A link that leads nowhere is a mistake; it may lead to where the service does not see.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !path.is_symlink() => return Ok(None),
            Err(e) => return Err(access::explain(root, path, &e)),
        };
        let file = shown(root, path);
        match super::text::of_bytes(&bytes) {
            Ok(text) => Self::parse(PathBuf::from(file), text).map(Some),
            Err(why) => Err(ConfigError { place: file, message: why.to_owned() }),
        }
    }

    fn parse(file: PathBuf, text: &str) -> Result<Self, ConfigError> {
        let at = |offset: usize| format!("{}:{}", file.display(), line_of(text, offset));
        let place = |e: &toml::de::Error| e.span().map_or(file.display().to_string(), |span| at(span.start));
        let wrong = |e: &toml::de::Error| ConfigError { place: place(e), message: wording::reword(e.message()) };
        let spanned = DeTable::parse(text).map_err(|e| wrong(&e))?;
        let keys =
            keys::collect(spanned.get_ref()).map_err(|(offset, message)| ConfigError { place: at(offset), message })?;
        // Read once by itself, so that a value of the wrong type is named with this file's line.
        toml::from_str::<Raw>(text).map_err(|e| {
            let key =
                e.span().and_then(|span| keys.iter().filter(|(_, at)| *at <= span.start).max_by_key(|(_, at)| *at));
            let message = wording::reword(e.message());
            ConfigError {
                place: place(&e),
                message: key.map_or(message.clone(), |(key, _)| format!("{key}: {message}")),
            }
        })?;
        let table = text.parse().map_err(|e| wrong(&e))?;
        let lines = keys.into_iter().map(|(key, offset)| (key, line_of(text, offset))).collect();
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
        assert_eq!(wrong, "/etc/qemu-web-desktop/config.toml:3: session.cpus: expected a whole number, found \"two\"");
        let wrong = fault("list", "[page]\ncpus = [1, \"x\"]\nmachine = ''\n");
        assert_eq!(wrong, "/etc/qemu-web-desktop/config.toml:2: page.cpus: expected a whole number, found \"x\"");
        let wrong = fault("value", "[session]\nmemory = \"2 apples\"\n");
        assert!(wrong.starts_with("/etc/qemu-web-desktop/config.toml:2: session.memory: "), "{wrong}");
        let wrong = fault("negative", "[limits]\nservice_max_session_nb = -1\n");
        assert!(wrong.starts_with("/etc/qemu-web-desktop/config.toml:2: "), "{wrong}");
        let wrong = fault("scalar", "limits = 5\n");
        assert_eq!(wrong, "/etc/qemu-web-desktop/config.toml:1: 'limits' is a section, and is written [limits]");
    }

    #[test]
    fn a_setting_that_is_missing_is_named_where_it_is_needed() {
        for (file, text, wrong) in [
            ("config.d/x.toml", "\n[sign_in]\nmethods = ['imap']\n", "config.d/x.toml:3: sign_in.imap.server: "),
            (
                "config.d/y.toml",
                "[sign_in]\nmethods = ['pam', 'command']\n",
                "config.d/y.toml:2: sign_in.command.program",
            ),
            (
                "config.d/z.toml",
                "[sign_in]\nmethods = ['email']\n[sign_in.email]\nallowed_domains = ['example.org']\n",
                "config.d/z.toml:2: public_url: ",
            ),
            ("config.d/m.toml", "\n[mail]\nserver = 'localhost'\n", "config.d/m.toml:3: mail.from: "),
        ] {
            let root = Root::new("missing", &[("config.toml", "[session]\ncpus = 1\n"), (file, text)]);
            let told = load(&root.0).unwrap_err().to_string();
            assert!(told.starts_with(&format!("/etc/qemu-web-desktop/{wrong}")), "{told}");
        }
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
