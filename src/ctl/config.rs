//! `config`: every setting, and where it comes from.

use super::args::Args;
use super::out;
use crate::config::{Loaded, flatten, load};
use crate::model::Problem;
use serde::Serialize;
use toml::Value;

#[derive(Serialize)]
struct Setting {
    key: String,
    value: Value,
    /// `FILE:LINE`, or `default`.
    origin: String,
}

/// Prints every setting; passwords within addresses are masked.
pub(super) fn config(args: &Args) -> Result<(), Problem> {
    let loaded = load(&args.root).map_err(|e| Problem::failed(e.to_string()))?;
    let settings = settings(&loaded);
    if args.json {
        return out::json(&settings);
    }
    let rows: Vec<_> = settings.iter().map(|s| vec![s.key.clone(), s.origin.clone(), s.value.to_string()]).collect();
    out::bytes(out::table(&["SETTING", "FROM", "VALUE"], &rows, out::width()).as_bytes())
}

fn settings(loaded: &Loaded) -> Vec<Setting> {
    let origin = |key: &str| match loaded.origins.get(key) {
        Some(origin) => format!("{}:{}", origin.file.display(), origin.line),
        None => "default".to_owned(),
    };
    let all = flatten(&loaded.raw).into_iter();
    all.map(|(key, value)| Setting { origin: origin(&key), value: masked(value), key }).collect()
}

/// The value with the password of an address such as `http://user:password@proxy` hidden.
fn masked(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(without_password(&text)),
        other => other,
    }
}

/// `scheme://user:password@host` with the password hidden.
pub(super) fn without_password(text: &str) -> String {
    let hidden = || {
        let (scheme, rest) = text.split_once("://")?;
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let (userinfo, _) = authority.rsplit_once('@')?;
        let (user, _) = userinfo.split_once(':')?;
        Some(format!("{scheme}://{user}:***{}", &rest[userinfo.len()..]))
    };
    hidden().unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_address_is_masked() {
        let shown = ["http://u:p@ss@proxy:3128/x", "http://u@proxy", "http://proxy:3128", "plain", "a://b/c:d@e"]
            .map(without_password);
        assert_eq!(shown, ["http://u:***@proxy:3128/x", "http://u@proxy", "http://proxy:3128", "plain", "a://b/c:d@e"]);
    }
}
