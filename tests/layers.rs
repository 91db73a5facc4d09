//! Lower layers do not import higher ones, and nothing imports in a circle (ARCHITECTURE.md).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules by layer, the lowest first. A module may use its own layer only where `BESIDE` says so.
const LAYERS: [&[&str]; 5] = [
    &["model"],
    &["config", "show", "spelling"],
    &["bus", "overview", "policy", "unit", "vm"],
    &[
        "auth",
        "cgroup",
        "channel",
        "guest_agent",
        "handover",
        "host",
        "images",
        "journal",
        "mail",
        "monitor",
        "picture",
        "proxy_headers",
        "random",
        "session",
        "site",
        "systemd",
        "whole",
    ],
    &["build", "check", "ctl", "display", "in_unit", "launcher", "portal", "reaper", "tap"],
];

/// Uses within a layer, and the one upwards that carries names only: a setting's file is reported to the journal.
const BESIDE: &[(&str, &str)] = &[
    ("config", "journal"),
    ("config", "spelling"),
    ("overview", "bus"),
    ("overview", "policy"),
    ("vm", "unit"),
    ("guest_agent", "random"),
    ("session", "host"),
    ("session", "images"),
    ("session", "journal"),
    ("session", "monitor"),
    ("session", "whole"),
    ("mail", "auth"),
    ("site", "host"),
    ("site", "proxy_headers"),
    ("whole", "random"),
    ("images", "random"),
    ("images", "whole"),
    ("ctl", "build"),
    ("ctl", "check"),
];

/// Programs that must not even be able to name these.
const NEVER: &[(&str, &[&str])] = &[
    (
        "portal",
        &[
            "systemd",
            "cgroup",
            "channel",
            "guest_agent",
            "unit",
            "vm",
            "session",
            "monitor",
            "images",
            "launcher",
            "check",
        ],
    ),
    (
        "display",
        &[
            "systemd",
            "cgroup",
            "channel",
            "guest_agent",
            "unit",
            "vm",
            "session",
            "monitor",
            "images",
            "launcher",
            "check",
        ],
    ),
    ("in_unit", &["systemd", "bus", "session", "launcher"]),
    ("tap", &["systemd", "bus", "session", "launcher", "unit"]),
    ("launcher", &["portal", "display", "ctl"]),
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            all.push(path);
        }
    }
    all
}

/// The modules that the text names after `crate::`, also within braces.
fn uses(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in text.split("crate::").skip(1) {
        let inner = part.strip_prefix('{').map(|p| p.split('}').next().unwrap());
        let items: Vec<&str> = inner.map_or_else(|| vec![part], |i| i.split(',').collect());
        for item in items {
            let name = item.trim().split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap();
            found.push(name.to_owned());
        }
    }
    found
}

/// Every use of one of our modules by another, with a file that has it.
fn graph() -> BTreeMap<(String, String), PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut graph = BTreeMap::new();
    for path in sources(&src) {
        let relative = path.strip_prefix(&src).unwrap();
        let first = relative.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = first.trim_end_matches(".rs").to_owned();
        if module == "bin" || module == "lib" {
            continue;
        }
        // What tests use is their own affair.
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
        for used in uses(&code) {
            if used != module && layer(&used).is_some() {
                graph.entry((module.clone(), used)).or_insert_with(|| path.clone());
            }
        }
    }
    graph
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|l| l.contains(&module))
}

#[test]
fn lower_layers_do_not_import_higher_ones() {
    for ((user, used), path) in graph() {
        let below = layer(&used) < layer(&user);
        let allowed = BESIDE.contains(&(user.as_str(), used.as_str()));
        assert!(below || allowed, "{user} must not use {used} ({})", path.display());
    }
}

#[test]
fn every_module_has_a_layer() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let text = fs::read_to_string(src).unwrap();
    for line in text.lines().filter_map(|l| l.strip_prefix("pub mod ")) {
        let module = line.trim_end_matches(';');
        assert!(layer(module).is_some(), "{module} has no layer in this test");
    }
}

#[test]
fn programs_are_names_of_one_file() {
    let mut files: Vec<_> = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin"));
    files.sort();
    let names: Vec<_> = files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["qwd-auth-pam.rs", "qwd.rs"], "another program is a line in qwd.rs");
}

#[test]
fn nothing_imports_in_a_circle() {
    let graph = graph();
    let mut left: Vec<&str> = LAYERS.iter().flat_map(|l| l.iter().copied()).collect();
    // Take away what uses nothing that is left, until nothing is; a circle cannot be taken away.
    while !left.is_empty() {
        let free: Vec<&str> = left
            .iter()
            .copied()
            .filter(|m| !graph.keys().any(|(user, used)| user == m && left.contains(&used.as_str())))
            .collect();
        assert!(!free.is_empty(), "a circle among {left:?}");
        left.retain(|m| !free.contains(m));
    }
}

#[test]
fn what_faces_the_network_cannot_name_what_starts_things() {
    let graph = graph();
    for (user, forbidden) in NEVER {
        for used in *forbidden {
            let found = graph.get(&((*user).to_owned(), (*used).to_owned()));
            assert!(found.is_none(), "{user} must not use {used} ({found:?})");
        }
    }
}
