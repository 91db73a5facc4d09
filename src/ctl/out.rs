//! What qwdctl prints: tables fitted to the terminal, amounts with units, JSON, sentences.

use crate::model::Problem;
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write};

/// Prints bytes on standard output. A reader who has gone away has read enough.
pub(super) fn bytes(bytes: &[u8]) -> Result<(), Problem> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(Problem::failed(format!("The result cannot be printed: {e}.")))
        }
        _ => Ok(()),
    }
}

/// Prints a line on standard output.
pub(super) fn line(text: &str) -> Result<(), Problem> {
    bytes(format!("{}\n", plain(text)).as_bytes())
}

/// Prints a value as JSON on standard output.
pub(super) fn json(value: &impl Serialize) -> Result<(), Problem> {
    let text = serde_json::to_string_pretty(value).expect("our records become JSON");
    bytes(format!("{text}\n").as_bytes())
}

/// Says a sentence on standard error.
pub(super) fn complain(sentence: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "qwdctl: {}", plain(sentence));
}

/// Without control characters other than the end of a line: some texts come from configuration or images.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}

/// Columns of the terminal on standard output, if it is one.
pub(super) fn width() -> Option<usize> {
    let out = std::io::stdout();
    if !out.is_terminal() {
        return None;
    }
    rustix::termios::tcgetwinsize(&out).ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// An aligned table, its widest columns cut with … where the terminal is too narrow.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>], fit: Option<usize>) -> String {
    let mut widths: Vec<usize> = heads.iter().map(|head| head.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    if let Some(fit) = fit {
        shrink(&mut widths, fit.max(40));
    }
    let head: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    std::iter::once(&head).chain(rows).map(|row| table_line(row, &widths)).collect()
}

/// Takes from the widest column until the sum fits.
fn shrink(widths: &mut [usize], fit: usize) {
    const NARROWEST: usize = 8;
    while widths.iter().sum::<usize>() + 2 * (widths.len() - 1) > fit {
        match widths.iter_mut().max() {
            Some(widest) if *widest > NARROWEST => *widest -= 1,
            _ => return,
        }
    }
}

fn table_line(row: &[String], widths: &[usize]) -> String {
    let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| fitted(&plain(cell), *width)).collect();
    format!("{}\n", cells.join("  ").trim_end())
}

fn fitted(cell: &str, width: usize) -> String {
    if cell.chars().count() <= width {
        return format!("{cell:<width$}");
    }
    let kept: String = cell.chars().take(width - 1).collect();
    format!("{kept}…")
}

/// Names and values below each other, the values aligned. What has no value is left out.
pub(super) fn pairs(rows: &[(&str, String)]) -> String {
    let shown = || rows.iter().filter(|(_, value)| !value.is_empty());
    let width = shown().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    shown().map(|(name, value)| format!("{name:<width$}{}\n", plain(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_fits() {
        let rows = vec![vec!["a".to_owned(), "x".repeat(60)], vec!["bbbb".to_owned(), "y".to_owned()]];
        let wide = table(&["ID", "TEXT"], &rows, None);
        assert_eq!(wide.lines().next(), Some("ID    TEXT"));
        assert_eq!(wide.lines().nth(2), Some("bbbb  y"));
        let narrow = table(&["ID", "TEXT"], &rows, Some(40));
        assert!(narrow.lines().all(|l| l.chars().count() <= 40), "{narrow}");
        assert!(narrow.contains('…'));
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        let row = vec![vec!["\u{1b}[2Jx\ty".to_owned()]];
        assert!(!table(&["A"], &row, None).contains('\u{1b}'));
        assert!(!pairs(&[("A", "\u{1b}]0;x\u{7}".to_owned())]).contains('\u{1b}'));
    }
}
