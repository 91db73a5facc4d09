//! The known word nearest to a mistyped one.

/// The candidate with the fewest edits to `word`, if any is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // All known words are lower case.
    let word = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(edits, candidate)| *edits <= candidate.len().max(word.len()) / 2)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance over bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_meant_is_found() {
        let known = ["service_max_load", "service_max_session_nb", "cpu_overcommit"];
        assert_eq!(nearest("service_max_laod", known), Some("service_max_load"));
        assert_eq!(nearest("cpu_over_commit", known), Some("cpu_overcommit"));
        assert_eq!(nearest("CPU_Overcommit", known), Some("cpu_overcommit"));
        assert_eq!(nearest("URL", ["url", "sha256"]), Some("url"));
        assert_eq!(nearest("banana", known), None);
    }
}
