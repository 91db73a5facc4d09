//! Spellings of a name: one person must not become several, or be guessed at under several, by typing a
//! name in another way. Servers fold names by rules of their own, so what is left after ours, and is not
//! of the alphabet of names, is asked of none.

use icu_normalizer::ComposingNormalizerBorrowed;

/// Bytes of the longest text that is looked at: a longer one is no name.
pub const LONGEST: usize = 256;

/// Return the text in compatibility form (NFKC), with single blanks within and none around.
pub fn plain(text: &str) -> String {
    let text = nfkc(text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Return the one spelling of a name: [`plain`], in lower case, a domain in it as the DNS has it; nothing
/// where that cannot be a domain.
pub fn fold(text: &str) -> String {
    // The form of what is in lower case may be another one.
    let folded = plain(&plain(text).to_lowercase());
    match folded.rsplit_once('@') {
        Some((local, name)) => domain(name).map_or(String::new(), |domain| format!("{local}@{domain}")),
        None => folded,
    }
}

/// Return a domain as the DNS has it, if it can be one: in lower case, in ASCII, without a dot at its end.
pub fn domain(text: &str) -> Option<String> {
    let text = nfkc(text);
    idna::domain_to_ascii(text.trim_end_matches('.')).ok().map(|name| name.trim_end_matches('.').to_owned())
}

/// Return a name or address without its sub-address: `alice@example.org` of `alice+desk@example.org`.
pub fn without_tag(name: &str) -> String {
    let (local, domain) = name.find('@').map_or((name, ""), |at| name.split_at(at));
    match local.split_once('+') {
        Some((before, _)) if !before.is_empty() && !before.ends_with('\\') => format!("{before}{domain}"),
        _ => name.to_owned(),
    }
}

/// Return what failures are counted under: a folded name without what servers may add or leave out, which
/// is the domain or realm on either side, a sub-address and dots at the end. A plus stands before a sub-address
/// where names are `tagged`, and after a domain where they are `prefixed`, as Samba may write them. Where it can be
/// either, nothing tells the two apart, and failures are counted under both halves.
pub fn cores(folded: &str, tagged: bool, prefixed: bool) -> Vec<&str> {
    let name = folded.rsplit('\\').next().unwrap_or_default();
    let (name, has_domain) = name.split_once('@').map_or((name, false), |(name, _)| (name, true));
    let (before, after) = (name.split('+').next().unwrap_or_default(), name.rsplit('+').next().unwrap_or_default());
    let may_be_after = prefixed && before.len() < name.len() && !after.is_empty();
    let halves = [(before, tagged || has_domain || !may_be_after), (after, may_be_after)];
    let counted = halves.into_iter().filter(|(_, counts)| *counts);
    let mut cores: Vec<&str> = counted.map(|(half, _)| half.trim_end_matches('.')).collect();
    cores.dedup();
    cores
}

fn nfkc(text: &str) -> String {
    let text = if text.len() > LONGEST { "" } else { text };
    ComposingNormalizerBorrowed::new_nfkc().normalize(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::UserName;

    #[test]
    fn spellings_of_a_name_are_one() {
        let all =
            ["alice", "ALICE", " alice\t", "ａlice", "ⓐlice", "𝐚lice", "𝔞𝔩𝔦𝔠𝔢", "Ａｌｉｃｅ", "ａＬＩＣＥ\u{3000}"];
        for text in all {
            assert_eq!(fold(text), "alice", "{text}");
        }
        assert_eq!(fold("\u{212a}ate"), "kate");
        assert_eq!(fold("al\u{2003} \u{a0}ice"), "al ice");
        assert_eq!(plain("ＡLice"), "ALice");
    }

    #[test]
    fn what_servers_may_leave_out_is_in_no_name() {
        let hidden = [
            "alice\u{200b}",
            "al\u{ad}ice",
            "alice\u{301}",
            "alıce",
            "aliİce",
            "\u{202e}alice",
            "alice\u{feff}",
            "alic\u{435}",
            "ali\u{200d}ce",
            "alice\u{fe0f}",
            "al ice",
            "alice\0",
            "\"alice\"",
            "al*",
            "alice)(uid=*",
            "(alice)",
            "straße",
            "alice\u{e0061}",
            "a\u{34f}lice",
            "alice\u{7f}",
            "alice@exam\u{200b}ple.org@",
            "alice\u{20dd}",
            "\u{2066}alice",
        ];
        for text in hidden {
            assert!(fold(text).parse::<UserName>().is_err(), "{text:?}: {:?}", fold(text));
        }
    }

    #[test]
    fn a_domain_is_as_the_dns_has_it() {
        for text in
            ["alice@exämple.org", "Alice@EXÄMPLE.org.", "alice@xn--exmple-cua.org", "alice＠exa\u{308}mple。org"]
        {
            assert_eq!(fold(text), "alice@xn--exmple-cua.org", "{text}");
        }
        assert_eq!(fold("alice@Example.org.."), "alice@example.org");
        assert_eq!(domain("xn--a"), None);
        assert_eq!(fold("alice@"), "alice@");
    }

    #[test]
    fn a_sub_address_is_its_address() {
        for name in ["alice+1@example.org", "alice+@example.org", "alice+a+b@example.org", "alice@example.org"] {
            assert_eq!(without_tag(name), "alice@example.org", "{name}");
        }
        for (name, without) in
            [("alice+1", "alice"), ("+1@example.org", "+1@example.org"), ("exp\\a+b", "exp\\a"), ("exp\\+b", "exp\\+b")]
        {
            assert_eq!(without_tag(name), without);
        }
        // A plus in the domain is none.
        assert_eq!(without_tag("alice@a+b"), "alice@a+b");
    }

    #[test]
    fn failures_of_one_name_are_counted_together() {
        for text in
            ["alice", "EXP\\alice", "alice@REALM", "a.b\\alice@realm", "alice+1@x", "alice+1", "alice..", "alice.@x."]
        {
            assert_eq!(cores(&fold(text), true, false), ["alice"], "{text}");
        }
        assert_ne!(cores("alice.b", true, true), cores("alice", true, true));
        // Samba may write EXP+alice.
        for text in ["alice", "exp+alice", "exp+alice.", "EXP\\alice", "alice@realm"] {
            assert_eq!(cores(text, false, true), ["alice"], "{text}");
        }
        assert_eq!(cores("exp+bob", false, true), ["bob"]);
        assert_eq!(cores("exp+alice", true, true), ["exp", "alice"]);
        assert_eq!(cores("alice+alice", true, true), ["alice"]);
        assert_eq!(cores("alice+1@x", false, true), ["alice", "1"]);
        assert_eq!((cores("alice+", true, true), cores("alice", true, true)), (vec!["alice"], vec!["alice"]));
        assert_eq!((cores("alice+", false, true), cores("", true, true)), (vec!["alice"], vec![""]));
    }

    #[test]
    fn a_text_without_end_costs_little() {
        assert_eq!(fold(&"\u{fdfa}".repeat(100_000)), "");
        assert_eq!(domain(&"a".repeat(LONGEST + 1)).unwrap_or_default(), "");
        assert_eq!(fold(&format!("alice{}", " ".repeat(LONGEST))), "");
    }
}
