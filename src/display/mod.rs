//! The display: carries a screen over a WebSocket, and drops what a role may not send.
//!
//! ```text
//! Apache ──> listener ──> server ──> handshake, origin    who may come in
//!                           │  └───> link ──D-Bus──> launcher: a ticket becomes QEMU's stream
//!                           └──────> relay: up (frame, rfb) and down (frame)
//! ```
//!
//! It keeps nothing: restarted, it loses the screens, and the pages come back with new tickets.

pub mod down;
pub mod frame;
pub mod handshake;
pub mod handshakes;
pub mod link;
pub mod listener;
pub mod origin;
pub mod relay;
pub mod rfb;
pub mod screens;
pub mod server;
#[cfg(test)]
mod testing;
pub mod up;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Runs the program, which ends only by a signal or if it cannot begin.
pub fn main() -> ExitCode {
    crate::journal::init();
    match run() {
        Ok(never) => match never {},
        Err(error) => {
            log::error!("The display cannot start: {error}.");
            ExitCode::FAILURE
        }
    }
}

fn run() -> std::io::Result<std::convert::Infallible> {
    let listener = listener::take()?;
    let screens = Arc::default();
    let launcher = Arc::new(link::Link::new(zbus::blocking::connection::Builder::system));
    launcher.listen(&screens)?;
    let server = Arc::new(server::Server {
        launcher,
        screens,
        settings: crate::config::Watched::new(Path::new("/")),
        own_names: crate::host::names(Path::new("/")),
        proxy_secret: crate::proxy_headers::ProxySecret::from_credential(),
        patience: relay::Patience::default(),
        viewers: server::Viewers::default(),
        lines: server::Lines::default(),
        looks: Arc::default(),
    });
    sd_notify::notify(&[sd_notify::NotifyState::Ready])?;
    server.serve(&listener)
}
