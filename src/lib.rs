//! qemu-web-desktop: virtual machine desktops in the browser, each session a systemd unit.
//!
//! One library, and several programs in one file (`src/bin/qwd.rs`). ARCHITECTURE.md has the map and the layers.

// Layer 0: words.
pub mod model;
// Layer 1: settings; how amounts read; how names are spelled.
pub mod config;
pub mod show;
pub mod spelling;
// Layer 2: pure decisions and names.
pub mod bus;
pub mod overview;
pub mod policy;
pub mod unit;
pub mod vm;
// Layer 3: one module for each thing outside.
pub mod auth;
pub mod cgroup;
pub mod channel;
pub mod guest_agent;
pub mod handover;
pub mod host;
pub mod images;
pub mod journal;
pub mod mail;
pub mod monitor;
pub mod picture;
pub mod proxy_headers;
pub mod random;
pub mod session;
pub mod site;
pub mod systemd;
pub mod whole;
// Layer 4: the programs.
pub mod build;
pub mod check;
pub mod ctl;
pub mod display;
pub mod in_unit;
pub mod launcher;
pub mod portal;
pub mod reaper;
pub mod tap;
