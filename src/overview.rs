//! What the monitor shows, on the portal's page and in `qwdctl` alike: the launcher's figures, rates
//! made of two readings of them, and both in words and as bars.
//!
//! Pure: who reads the figures, and on what they are shown, is the affair of those two.

use crate::bus::{Session, Status, Usage};
use crate::model::Acceleration;
use crate::policy::{Reading, Readings};
use crate::show;
use serde_json::{Value, json};

/// The service at one moment.
#[derive(Clone, Debug)]
pub struct Overview {
    /// The service and its host.
    pub status: Status,
    /// The sessions, the oldest first.
    pub sessions: Vec<Used>,
}

/// A session's figures.
#[derive(Clone, Debug)]
pub struct Used {
    /// What the launcher has read.
    pub usage: Usage,
    /// The CPUs that it keeps busy now, where two readings tell.
    pub busy: Option<f64>,
}

impl Overview {
    /// From what the launcher says, and what it has said before.
    pub fn new(readings: &mut Readings, (status, usages): (Status, Vec<Usage>)) -> Self {
        readings.keep(|id| usages.iter().any(|usage| usage.session.id.as_str() == id));
        let with_rate = |usage: Usage| {
            let reading = Reading { at: usage.read_at_microseconds, used: usage.cpu_microseconds };
            Used { busy: readings.busy(usage.session.id.as_str(), reading), usage }
        };
        Self { status, sessions: usages.into_iter().map(with_rate).collect() }
    }

    /// As JSON; `object` is how the one who prints it has a session.
    pub fn json(&self, object: impl Fn(&Session) -> Value) -> Value {
        let session = |used: &Used| {
            let mut value = object(&used.usage.session);
            if let (Some(value), Value::Object(figures)) = (value.as_object_mut(), used.usage.figures(used.busy)) {
                value.extend(figures);
            }
            value
        };
        json!({"status": self.status.json(), "sessions": self.sessions.iter().map(session).collect::<Vec<_>>()})
    }
}

/// An amount of something, in words and as a bar.
#[derive(Clone, Debug)]
pub struct Gauge {
    /// How much, in words.
    pub amount: String,
    /// Of how much at most, in words; empty: there is no such bound, or nobody needs to be told.
    pub of: String,
    /// The bar.
    pub value: f64,
    /// Where the bar ends.
    pub most: f64,
}

impl Gauge {
    /// So much of at most so much; nothing at most is a bar that stays empty.
    fn new(amount: String, of: String, value: f64, most: f64) -> Self {
        Self { amount, of, value, most: if most > 0.0 { most } else { 1.0 } }
    }

    fn count(value: u32, most: u32) -> Self {
        Self::new(value.to_string(), most.to_string(), value.into(), most.into())
    }

    fn bytes(value: u64, most: u64) -> Self {
        let of = if most == 0 { String::new() } else { show::bytes(most) };
        Self::new(show::bytes(value), of, value as f64, most as f64)
    }

    /// `3 of 16`
    pub fn words(&self) -> String {
        self.joined(" of ")
    }

    /// `3/16`
    pub fn short(&self) -> String {
        self.joined("/")
    }

    fn joined(&self, by: &str) -> String {
        if self.of.is_empty() { self.amount.clone() } else { format!("{}{by}{}", self.amount, self.of) }
    }

    /// Where the bar changes its colour.
    pub fn high(&self) -> f64 {
        self.most * 0.9
    }
}

/// The host and the service as a whole.
#[derive(Clone, Debug)]
pub struct Server {
    /// Present load of the host.
    pub load: Gauge,
    /// Memory of the host that is in use.
    pub memory: Gauge,
    /// Virtual CPUs given out.
    pub cpus: Gauge,
    /// Sessions.
    pub places: Gauge,
    /// What the next session runs under.
    pub accel: &'static str,
}

impl From<&Status> for Server {
    fn from(status: &Status) -> Self {
        Self {
            load: Gauge::new(show::load(status.load, status.host_cpus), String::new(), status.load, 1.0),
            memory: Gauge::bytes(status.memory_total.saturating_sub(status.memory_available), status.memory_total),
            cpus: Gauge::count(status.cpus_given, status.cpus_max),
            places: Gauge::count(status.sessions, status.sessions_max),
            accel: match status.accel {
                Acceleration::Kvm => "KVM",
                Acceleration::Tcg => "TCG, in software",
            },
        }
    }
}

/// What a session uses, in words.
#[derive(Clone, Debug)]
pub struct Line {
    /// Time since it was made.
    pub age: String,
    /// CPUs that it keeps busy.
    pub busy: Gauge,
    /// Memory of its control group.
    pub memory: Gauge,
}

impl Line {
    /// At this moment, in seconds since 1970.
    pub fn new(used: &Used, now: u64) -> Self {
        let Session { cpus, created_at, .. } = used.usage.session;
        let busy = used.busy.map_or_else(|| "…".to_owned(), |busy| format!("{busy:.2}"));
        Self {
            age: show::span(now.saturating_sub(created_at)),
            busy: Gauge::new(busy, cpus.to_string(), used.busy.unwrap_or(0.0), cpus.into()),
            memory: Gauge::bytes(used.usage.memory_used, used.usage.memory_limit),
        }
    }
}

/// A usage for tests: a session of `owner` that has used so many microseconds of CPU time at this moment.
#[cfg(test)]
pub(crate) fn a_usage(id: &str, owner: &str, at: u64, used: u64) -> Usage {
    use crate::bus::tests::a_session;
    use crate::model::Owner;
    Usage {
        session: Session {
            owner: owner.into(),
            owner_id: Owner::recorded(&format!("pam:{owner}"), owner),
            machine: "slax.iso".parse().unwrap(),
            cpus: 2,
            created_at: 1_000,
            ..a_session(id)
        },
        read_at_microseconds: at,
        cpu_microseconds: used,
        memory_used: 200 << 20,
        memory_limit: 1 << 30,
        tasks: 5,
        viewers: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn an_amount_without_a_limit_has_an_empty_bar() {
        let gauge = Gauge::bytes(5 << 20, 0);
        assert_eq!((gauge.words().as_str(), gauge.most), ("5 MiB", 1.0));
        assert_eq!(Gauge::bytes(3 << 29, 2 << 30).words(), "1.5 GiB of 2 GiB");
        assert_eq!((Gauge::count(2, 10).words(), Gauge::count(2, 10).short()), ("2 of 10".into(), "2/10".into()));
    }

    #[test]
    fn a_rate_takes_two_readings() {
        let mut readings = Readings::default();
        let mut look =
            |at, used| Overview::new(&mut readings, (Status::default(), vec![a_usage("aaaaaaaaaa", "x", at, used)]));
        let words = |overview: &Overview| Line::new(&overview.sessions[0], 1_060).busy.words();
        assert_eq!(words(&look(SECOND, 0)), "… of 2");
        let second = look(3 * SECOND, 3 * SECOND);
        assert_eq!(words(&second), "1.50 of 2");
        let value = second.json(|session| json!({"id": session.id}));
        assert_eq!(value["sessions"][0]["id"], "aaaaaaaaaa");
        assert_eq!((&value["sessions"][0]["cpus_busy"], &value["status"]["sessions"]), (&json!(1.5), &json!(0)));
        let line = Line::new(&second.sessions[0], 1_060);
        assert_eq!((line.age.as_str(), line.memory.short().as_str()), ("1 min", "200 MiB/1 GiB"));
    }
}
