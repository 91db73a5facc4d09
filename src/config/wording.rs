//! What a person reads where a value has the wrong type: the parser speaks of its own types.

/// Return a message of the parser without its types: "expected a whole number, found "five"".
pub(super) fn reword(message: &str) -> String {
    let plain = || {
        let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
        let (found, expected) = rest.rsplit_once(", expected ")?;
        Some(format!("expected {}, found {}", describe_type(expected), describe_value(found)))
    };
    plain().unwrap_or_else(|| message.trim_end().replace('\n', " "))
}

fn describe_type(expected: &str) -> &str {
    match expected {
        "u16" => "a whole number from 0 to 65535",
        "u8" | "u32" | "u64" | "usize" => "a whole number",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a string" => "text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list in [ ]",
        other if other.starts_with("struct ") || other == "a map" => "a section",
        other => other,
    }
}

/// `string "five"` without its type, and what is written in backquotes without them.
fn describe_value(found: &str) -> &str {
    match found.split_once(' ') {
        Some(("string", text)) => text,
        Some((_, value)) if value.contains('`') => value.split('`').nth(1).unwrap_or(value),
        _ if found == "sequence" => "a list",
        _ if found == "map" => "a section",
        _ => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_of_the_parser_are_named_as_people_do() {
        for (message, expected) in [
            ("invalid type: string \"five\", expected u32", "expected a whole number, found \"five\""),
            ("invalid value: integer `-1`, expected u32", "expected a whole number, found -1"),
            ("invalid type: floating point `0.5`, expected u32", "expected a whole number, found 0.5"),
            ("invalid type: integer `7`, expected a string", "expected text in quotes, found 7"),
            ("invalid type: string \"no\", expected a boolean", "expected true or false, found \"no\""),
            (
                "invalid type: string \"a, expected b\", expected a sequence",
                "expected a list in [ ], found \"a, expected b\"",
            ),
            ("invalid type: sequence, expected f64", "expected a number, found a list"),
            ("duplicate key", "duplicate key"),
        ] {
            assert_eq!(reword(message), expected);
        }
    }
}
