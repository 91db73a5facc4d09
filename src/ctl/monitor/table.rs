//! The monitor as text: a summary of the server, and a table of the sessions, fitted to the width.
//!
//! Pure. Names come from outside: whatever could steer a terminal is taken out of every line.

use super::super::out;
use crate::host;
use crate::model::State;
use crate::overview::{Gauge, Line, Overview, Server, Used};
use crate::show;

const HEADS: [&str; 8] = ["ID", "OWNER", "MACHINE", "AGE", "CPU", "MEMORY", "VIEWERS", "LEFT"];
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[m";
/// Between two figures of the summary.
const GAP: &str = "   ";

/// What was read last.
pub(super) struct Seen {
    /// The figures.
    pub(super) overview: Overview,
    /// When they were read, in seconds since 1970.
    pub(super) at: u64,
    /// Why there are none since.
    pub(super) problem: Option<String>,
}

/// For a terminal of so many columns, or for whatever reads it.
pub(super) fn listing(overview: &Overview, now: u64, width: Option<usize>) -> String {
    let mut lines = summary(overview, width.unwrap_or(usize::MAX));
    lines.push(String::new());
    lines.extend(sessions(overview, now, width));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// One screen of a terminal.
pub(super) fn frame(seen: &Seen, now: u64, columns: usize, rows: usize) -> Vec<String> {
    let cut = |line: &str| line.chars().take(columns).collect::<String>();
    let title = format!("{}{GAP}{}{GAP}q ends", host::name(), show::second(seen.at));
    let mut lines = vec![format!("{BOLD}{}{PLAIN}", cut(&out::plain(&title)))];
    lines.extend(seen.problem.iter().map(|problem| cut(&out::plain(&format!("Not refreshed since then: {problem}")))));
    lines.extend(summary(&seen.overview, columns).iter().map(|line| cut(line)));
    lines.push(String::new());
    let mut sessions = sessions(&seen.overview, now, Some(columns)).into_iter();
    lines.extend(sessions.next().map(|head| format!("{BOLD}{}{PLAIN}", cut(&head))));
    lines.extend(fitting(sessions.map(|line| cut(&line)).collect(), rows.saturating_sub(lines.len())));
    lines.truncate(rows);
    lines
}

/// As many as there is room for; the last one says how many are not shown.
fn fitting(mut lines: Vec<String>, room: usize) -> Vec<String> {
    if lines.len() > room {
        let kept = room.saturating_sub(1);
        let more = lines.len() - kept;
        lines.truncate(kept);
        lines.push(format!("… {more} more"));
    }
    lines
}

/// The server in figures, and what is wrong with it.
fn summary(overview: &Overview, width: usize) -> Vec<String> {
    let Server { load, memory, cpus, places, accel } = Server::from(&overview.status);
    let figures = [
        format!("Load {}", load.words()),
        format!("Memory {}", memory.words()),
        format!("CPUs given out {}", cpus.words()),
        format!("Places taken {}", places.words()),
        accel.to_owned(),
    ];
    let mut lines = vec![String::new()];
    for figure in figures {
        let last = lines.last_mut().expect("there is a line from the start");
        if last.is_empty() {
            *last = figure;
        } else if last.chars().count() + GAP.len() + figure.chars().count() <= width {
            *last = format!("{last}{GAP}{figure}");
        } else {
            lines.push(figure);
        }
    }
    let problem = Some(&overview.status.config_problem).filter(|problem| !problem.is_empty());
    lines.extend(problem.map(|problem| format!("The settings from before the last change are in use: {problem}")));
    lines.extend(overview.status.warnings.iter().cloned());
    lines.iter().map(|line| out::plain(line).replace('\n', " ")).collect()
}

fn sessions(overview: &Overview, now: u64, width: Option<usize>) -> Vec<String> {
    if overview.sessions.is_empty() {
        return vec!["Nothing is running.".to_owned()];
    }
    let rows: Vec<Vec<String>> = overview.sessions.iter().map(|used| row(used, now)).collect();
    out::table(&HEADS, &rows, width).lines().map(str::to_owned).collect()
}

fn row(used: &Used, now: u64) -> Vec<String> {
    let Line { age, busy, memory } = Line::new(used, now);
    let session = &used.usage.session;
    // What is coming or going has no time left that anybody could use.
    let left = match session.state {
        State::Running => show::left(session.expires_at, now),
        state => show::state(state).to_lowercase(),
    };
    let [cpu, memory] = [busy, memory].map(|gauge: Gauge| gauge.short());
    let texts =
        [session.id.as_str(), &session.owner_shown(), session.machine.as_str()].map(|text| text.replace('\n', " "));
    texts.into_iter().chain([age, cpu, memory, used.usage.viewers.to_string(), left]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::Status;
    use crate::model::Acceleration;
    use crate::overview::a_usage;
    use crate::policy::Readings;

    fn id(number: usize) -> String {
        crate::model::SessionId::from_bytes([number as u8; 10]).to_string()
    }

    fn overview(owners: &[&str]) -> Overview {
        let mut readings = Readings::default();
        let mut at = |at| {
            let usages = owners.iter().enumerate().map(|(n, owner)| a_usage(&id(n), owner, at, at / 2));
            let status =
                Status { sessions_max: 10, host_cpus: 2, load: 0.25, accel: Acceleration::Kvm, ..Status::default() };
            Overview::new(&mut readings, (status, usages.collect()))
        };
        at(1_000_000);
        at(3_000_000)
    }

    fn seen(owners: &[&str]) -> Seen {
        Seen { overview: overview(owners), at: 1_060, problem: None }
    }

    #[test]
    fn a_session_takes_a_line_of_80_columns() {
        let text = listing(&overview(&["alice"]), 1_060 + 7_440, Some(80));
        let last = text.lines().last().unwrap();
        assert_eq!(last, "aaaaaaaaaa  alice  slax.iso  2 h 5 min  0.50/2  200 MiB/1 GiB  1        no end");
        assert!(
            text.starts_with(
                "Load 0.5 (2 CPUs)   Memory 0 B   CPUs given out 0 of 0   Places taken 0 of 10\nKVM\n\nID"
            )
        );
    }

    #[test]
    fn what_is_not_running_says_so_in_the_place_of_its_end() {
        let mut overview = overview(&["alice"]);
        overview.sessions[0].usage.session.state = State::Stopping;
        assert!(listing(&overview, 1_060, None).ends_with("shutting down\n"));
    }

    #[test]
    fn an_idle_service_says_so() {
        assert!(listing(&overview(&[]), 1_060, None).ends_with("\n\nNothing is running.\n"));
    }

    #[test]
    fn a_screen_is_filled_and_no_more() {
        let seen = seen(&["alice"; 30]);
        for (columns, rows) in [(80, 24), (30, 10), (8, 3)] {
            let frame = frame(&seen, 1_060, columns, rows);
            assert!(frame.len() <= rows, "{columns}x{rows}: {frame:?}");
            let shown = |line: &String| line.replace(BOLD, "").replace(PLAIN, "").chars().count();
            assert!(frame.iter().all(|line| shown(line) <= columns), "{columns}x{rows}: {frame:?}");
        }
        assert_eq!(frame(&seen, 1_060, 80, 24).last().unwrap(), "… 12 more");
        assert!(!frame(&seen, 1_060, 80, 60).last().unwrap().contains("more"));
    }

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        let mut seen = seen(&["\x1b[2J\u{9b}31mbob\r\n"]);
        seen.problem = Some("\x1b]0;x\x07".into());
        seen.overview.status.warnings = vec!["\x1bc\nx".into()];
        let lines = frame(&seen, 1_060, 100, 24);
        let text = lines.join("").replace(BOLD, "").replace(PLAIN, "");
        assert!(!text.contains(char::is_control), "{text:?}");
        assert_eq!(lines.len(), 7);
        let listed = listing(&seen.overview, 1_060, None);
        assert!(!listed.contains(|c: char| c.is_control() && c != '\n') && listed.lines().count() == 5, "{listed:?}");
    }
}
