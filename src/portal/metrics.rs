//! The service in figures for Prometheus, in its text format (version 0.0.4): sums, and nobody's name.
//!
//! Counts are of this portal since its start, and begin again with it, as such counts may; the CPU time
//! of sessions is the kernel's, since the host's start.

use super::ask::Ask;
use super::counters::{Count, Counters};
use super::http::Reply;
use super::refusal::Refusal;
use crate::bus::{Figures, Status, seconds};
use crate::model::{Acceleration, Word};
use std::fmt::{Display, Write};

/// GET metrics
pub fn metrics(ask: &Ask<'_>) -> Result<Reply, Refusal> {
    // A launcher that does not answer is a figure like any other.
    let figures = ask.app.launcher.ask(|l| l.figures()).ok();
    let body = text(figures.as_ref(), &ask.app.counters).into_bytes();
    let kind = "text/plain; version=0.0.4; charset=utf-8".to_owned();
    Ok(Reply { status: 200, headers: vec![("Content-Type", kind)], body })
}

/// All metrics.
fn text(figures: Option<&Figures>, counters: &Counters) -> String {
    let mut page = Page::default();
    page.gauge("qwd_up", "Whether the launcher of sessions answers.", u8::from(figures.is_some()));
    page.family("qwd_build_info", "gauge", "The version of the service.");
    page.sample("qwd_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    if let Some(figures) = figures {
        sessions(&mut page, figures);
        host(&mut page, &figures.status);
    }
    happened(&mut page, counters);
    page.0
}

fn sessions(page: &mut Page, figures: &Figures) {
    page.family("qwd_sessions", "gauge", "Sessions that exist, by their state.");
    let states = [("starting", figures.starting), ("running", figures.running), ("stopping", figures.stopping)];
    states.iter().for_each(|(state, count)| page.sample("qwd_sessions", &[("state", state)], count));
    let status = &figures.status;
    page.gauge("qwd_sessions_limit", "Sessions that the configuration admits at the same time.", status.sessions_max);
    page.gauge("qwd_sessions_viewers", "People who have a session on the screen.", figures.viewers);
    page.gauge("qwd_sessions_cpus", "Virtual CPUs given to sessions.", status.cpus_given);
    page.gauge("qwd_sessions_cpus_limit", "Virtual CPUs that are given out together, at most.", status.cpus_max);
    page.gauge("qwd_sessions_memory_bytes", "Guest memory given to sessions.", status.memory_given);
    page.gauge("qwd_sessions_memory_used_bytes", "Memory that sessions take at this moment.", figures.memory_used);
    page.counter("qwd_sessions_cpu_seconds_total", "CPU time used by all sessions.", seconds(figures.cpu_microseconds));
}

fn host(page: &mut Page, status: &Status) {
    page.gauge("qwd_host_cpus", "CPUs of the host.", status.host_cpus);
    page.gauge("qwd_host_load_ratio", "Present load of the host; 1 is all CPUs busy.", status.load);
    page.gauge("qwd_host_memory_bytes", "Memory of the host.", status.memory_total);
    page.gauge("qwd_host_memory_available_bytes", "Memory that could be had at once.", status.memory_available);
    page.gauge("qwd_kvm", "Whether the next session runs under KVM.", u8::from(status.accel == Acceleration::Kvm));
    let good = u8::from(status.config_problem.is_empty());
    page.gauge("qwd_config_good", "Whether the configuration on disk is the one in force.", good);
}

fn happened(page: &mut Page, counters: &Counters) {
    page.family("qwd_sign_ins_total", "counter", "Sign-ins since the portal's start, by what became of them.");
    for (result, count) in [("accepted", &counters.signed_in), ("refused", &counters.turned_away)] {
        page.sample("qwd_sign_ins_total", &[("result", result)], count.get());
    }
    page.family("qwd_creations_total", "counter", "Requests for a session, by what became of them.");
    page.sample("qwd_creations_total", &[("result", "accepted")], counters.created.get());
    for (word, count) in Word::ALL.iter().zip(&counters.not_created) {
        page.sample("qwd_creations_total", &[("result", word.as_str())], count.get());
    }
    page.family("qwd_http_requests_total", "counter", "Requests to the portal, by the class of their answer.");
    for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(&counters.answers) {
        page.sample("qwd_http_requests_total", &[("status", class)], Count::get(count));
    }
}

/// The text as it grows.
#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// Label values are words of ours: none needs escaping.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Problem;

    fn golden(name: &str, text: &str) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "{name}");
    }

    #[test]
    fn the_text_is_as_it_is_held() {
        let status = Status {
            sessions_max: 10,
            host_cpus: 4,
            cpus_given: 3,
            cpus_max: 16,
            load: 0.25,
            memory_total: 8 << 30,
            memory_available: 5 << 30,
            memory_given: 3 << 30,
            accel: Acceleration::Kvm,
            ..Status::default()
        };
        let figures = Figures {
            status,
            starting: 1,
            running: 2,
            cpu_microseconds: 1_500_001,
            memory_used: 2 << 30,
            viewers: 3,
            ..Figures::default()
        };
        let counters = Counters::default();
        counters.accepted();
        counters.creation(&Ok(()));
        counters.creation::<()>(&Err(Problem::new(Word::LimitReached, "Full.").into()));
        [200, 303, 404].into_iter().for_each(|status| counters.answered(status));
        // The version is the package's, and changes with it.
        golden("metrics.txt", &text(Some(&figures), &counters).replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    }

    #[test]
    fn without_the_launcher_there_are_still_the_portal_s_own_counts() {
        let text = text(None, &Counters::default());
        assert!(text.contains("\nqwd_up 0\n") && text.contains("qwd_http_requests_total{status=\"2xx\"} 0\n"));
        assert!(!text.contains("qwd_sessions"));
    }
}
