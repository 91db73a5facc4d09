//! Characters written as HTML does: the predecessor put descriptions into its pages as they were. Pure.

use html_escape::decode_html_entities;

/// Return the text with each entity as the character that it stands for; as it is, if one is not `allowed`.
pub(super) fn decode(text: &str, allowed: impl Fn(char) -> bool) -> String {
    // A blank that does not break is of use in a page only.
    let decoded = decode_html_entities(text).replace('\u{a0}', " ");
    if decoded.chars().all(allowed) { decoded } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_become_characters_once() {
        for (text, wanted) in [
            ("M&uuml;nchen &amp; K&ouml;ln &ndash; &eacute;t&eacute;&nbsp;&yuml;", "München & Köln – été ÿ"),
            ("&#233; &#xE9; &#XE9; &#8364;", "é é é €"),
            ("&amp;lt;b&amp;gt;", "&lt;b&gt;"),
            ("&lt;b&gt;", "<b>"),
            ("R&D & more; a&b;", "R&D & more; a&b;"),
            ("&unknown; &; &#; &#x; &#99999999; &#xD800;", "&unknown; &; &#; &#x; &#99999999; &#xD800;"),
            ("&", "&"),
            ("&é;", "&é;"),
        ] {
            assert_eq!(decode(text, |_| true), wanted, "{text}");
        }
    }

    #[test]
    fn no_character_comes_in_that_would_be_refused() {
        assert_eq!(decode("a&#27;b&#10;c", |c| !c.is_control()), "a&#27;b&#10;c");
    }
}
