//! systemd over D-Bus: transient units, jobs, and their results.
