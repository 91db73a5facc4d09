//! qemu-web-desktop: virtual machine desktops in the browser, each session a systemd unit.
//!
//! One library, several thin programs (`src/bin`). ARCHITECTURE.md has the map and the layers.

pub mod bus;
pub mod config;
pub mod journal;
pub mod model;
