//! `qwd-powerdown SOCKET SECONDS`, the `ExecStop=` of a session.

use crate::monitor::Monitor;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(3);

/// Presses the guest's power button and waits for its QEMU to end. Always successful: when it comes
/// back, systemd sends SIGTERM to what is left, and a guest that does not listen is no failure.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (Some(socket), Some(Ok(grace))) = (arguments.next(), arguments.next().map(|s| s.parse())) else {
        eprintln!("qwd-powerdown: usage: qwd-powerdown SOCKET SECONDS");
        return ExitCode::from(2);
    };
    let end = Monitor::connect(Path::new(&socket), CONNECT).and_then(|mut monitor| {
        // A paused guest does not hear the power button.
        if matches!(monitor.status()?.as_str(), "paused" | "io-error") {
            return Ok(None);
        }
        monitor.powerdown()?;
        Ok(Some(monitor.wait_for_end(Duration::from_secs(grace))))
    });
    match end {
        Ok(Some(true)) => {}
        Ok(None) => println!("The guest is paused, and is cut off."),
        Ok(Some(false)) => println!("The guest did not shut down within {grace} s, and is cut off."),
        // The usual case here: the guest has ended by itself, and there is nobody to ask.
        Err(_) => println!("The guest has ended."),
    }
    ExitCode::SUCCESS
}
