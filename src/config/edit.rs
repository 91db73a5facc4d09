//! `machines.conf` as a text that is changed: everything else in it stays as somebody wrote it. Pure.

use crate::model::MachineName;

/// The text with a section at its end, if it has none of that name yet.
pub fn with_section(text: &str, name: &MachineName, description: &str) -> String {
    if text.lines().any(|line| heads(line, name)) {
        return text.to_owned();
    }
    let gap = match text {
        "" => "",
        _ if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    format!("{text}{gap}[{name}]\ndescription={}\n", one_line(description))
}

/// A value is one line.
pub fn one_line(text: &str) -> String {
    text.split(char::is_control).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// The text with these keys in the section of that name, which it must have: what stands there is replaced where
/// it stands, and what does not is put at the section's end. A key without a value is taken out.
pub fn with_keys(text: &str, name: &MachineName, keys: &[(&str, Option<String>)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let Some(head) = lines.iter().position(|line| heads(line, name)) else { return text.to_owned() };
    let after = lines[head + 1..].iter().position(|line| begins(line));
    let mut end = after.map_or(lines.len(), |length| head + 1 + length);
    // Comments and blanks before the next section are that one's.
    let is_key = |line: &String| !line.trim().is_empty() && !line.trim().starts_with([';', '#']);
    while end > head + 1 && !is_key(&lines[end - 1]) {
        end -= 1;
    }
    let says = |line: &String, key: &str| line.split_once('=').is_some_and(|(said, _)| said.trim() == key);
    for (key, value) in keys {
        let place = lines[head + 1..end].iter().position(|line| says(line, key)).map(|at| head + 1 + at);
        match (place, value) {
            (Some(place), Some(value)) => lines[place] = format!("{key}={value}"),
            (Some(place), None) => {
                lines.remove(place);
                end -= 1;
            }
            (None, Some(value)) => {
                lines.insert(end, format!("{key}={value}"));
                end += 1;
            }
            (None, None) => {}
        }
    }
    lines.join("\n") + "\n"
}

/// The text without the sections of that name. Comments before the next section are that one's.
pub fn without_section(text: &str, name: &MachineName) -> String {
    let mut kept = Vec::new();
    // What may belong to the section that is left out, or to the one that follows.
    let mut pending = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        if begins(line) {
            inside = heads(line, name);
            kept.append(&mut pending);
        }
        let trimmed = line.trim();
        match inside {
            false => kept.push(line),
            true if trimmed.is_empty() || trimmed.starts_with([';', '#']) => pending.push(line),
            true => pending.clear(),
        }
    }
    kept.append(&mut pending);
    while kept.last().is_some_and(|line| line.trim().is_empty()) {
        kept.pop();
    }
    let mut text = kept.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

/// Return whether a section begins here, be it behind the mark that an editor put before it.
fn begins(line: &str) -> bool {
    line.trim_start().trim_start_matches(super::text::BOM).trim_start().starts_with('[')
}

fn heads(line: &str, name: &MachineName) -> bool {
    let inner = line
        .trim()
        .trim_start_matches(super::text::BOM)
        .trim_start()
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    inner.is_some_and(|inner| inner.trim() == name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Catalogue;

    const TEXT: &str = "; all\n[a]\ndescription=A\n; still a\nurl=x\n\n; about b\n[b]\ndescription=B";

    fn name(text: &str) -> MachineName {
        text.parse().unwrap()
    }

    #[test]
    fn a_section_is_added_once_and_the_rest_stays() {
        let text = with_section(TEXT, &name("c d.img"), "Of\nmine ");
        assert_eq!(text, format!("{TEXT}\n\n[c d.img]\ndescription=Of mine\n"));
        assert_eq!(with_section(&text, &name("c d.img"), "Another"), text);
        assert_eq!(Catalogue::parse(&text).machines.len(), 3);
        assert_eq!(with_section("", &name("c"), "C"), "[c]\ndescription=C\n");
    }

    #[test]
    fn sections_behind_a_mark_are_found() {
        let text = "\u{feff}[a]\r\ndescription=A\r\n[b]\r\n";
        assert_eq!(with_section(text, &name("a"), "Another"), text);
        assert_eq!(without_section(text, &name("a")), "[b]\n");
        let changed = with_keys(text, &name("a"), &[("url", Some("x".into()))]);
        assert_eq!(Catalogue::parse(&changed).machines[0].url.as_deref(), Some("x"));
    }

    #[test]
    fn keys_are_replaced_where_they_stand_or_put_at_the_end_of_their_section() {
        let set = |keys: &[(&str, Option<&str>)]| {
            let keys: Vec<_> = keys.iter().map(|(key, value)| (*key, value.map(str::to_owned))).collect();
            with_keys(TEXT, &name("a"), &keys)
        };
        let rest = "\n; about b\n[b]\ndescription=B\n";
        assert_eq!(
            set(&[("url", Some("y")), ("cpus", Some("2"))]),
            format!("; all\n[a]\ndescription=A\n; still a\nurl=y\ncpus=2\n{rest}")
        );
        assert_eq!(set(&[("url", None), ("cpus", None)]), format!("; all\n[a]\ndescription=A\n; still a\n{rest}"));
        assert_eq!(with_keys(TEXT, &name("b"), &[("x", Some("1".into()))]), format!("{TEXT}\nx=1\n"));
        assert_eq!(with_keys(TEXT, &name("c"), &[("x", Some("1".into()))]), TEXT);
    }

    #[test]
    fn a_section_goes_and_what_is_said_of_the_next_stays() {
        assert_eq!(without_section(TEXT, &name("a")), "; all\n\n; about b\n[b]\ndescription=B\n");
        assert_eq!(without_section(TEXT, &name("b")), "; all\n[a]\ndescription=A\n; still a\nurl=x\n\n; about b\n");
        assert_eq!(without_section(TEXT, &name("other")), format!("{TEXT}\n"));
        assert_eq!(without_section(&with_section(TEXT, &name("c"), "C"), &name("c")), format!("{TEXT}\n"));
        assert_eq!(without_section("[c]\nx=y\n", &name("c")), "");
    }
}
