//! `qwd-tap --bridge=NAME [--isolated]`: makes the network card of a session that is on a bridge.
//!
//! A tap device is made and put on the bridge by QEMU's own helper, which needs `CAP_NET_ADMIN`; so it
//! happens in a unit that has this and nothing else, and is over before the session begins. What goes on
//! to the session is the device's descriptor, by the socket that is standard input. The device has no
//! other hold: with the last copy of the descriptor it is gone from the bridge and from the host, however
//! the session ended, without anybody clearing up.

use crate::handover;
use crate::model::BridgeName;
use crate::vm::{BRIDGE_HELPER, BRIDGE_TOOL};
use clap::Parser;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode, Stdio};

/// Makes a tap device on a bridge and hands it over on standard input, a socket. Started by systemd alone.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The bridge.
    #[arg(long)]
    bridge: BridgeName,
    /// Keep it from other isolated ports of the bridge.
    #[arg(long)]
    isolated: bool,
}

/// Hands over the device, or words that say why there is none.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let made = make(&arguments);
    let (words, fd) = match &made {
        Ok(tap) => ("tap", Some(tap.as_fd())),
        Err(why) => {
            eprintln!("qwd-tap: {why}");
            (why.as_str(), None)
        }
    };
    match handover::give(std::io::stdin(), words, fd) {
        Ok(()) if made.is_ok() => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("qwd-tap: nobody takes the device: {e}");
            ExitCode::FAILURE
        }
    }
}

fn make(arguments: &Arguments) -> Result<OwnedFd, String> {
    let (ours, theirs) = UnixStream::pair().map_err(|e| format!("a socket pair cannot be made: {e}"))?;
    let mut helper = Command::new(BRIDGE_HELPER);
    helper.args(["--use-vnet", &format!("--br={}", arguments.bridge), "--fd=0"]);
    run(helper.stdin(Stdio::from(OwnedFd::from(theirs))))?;
    let tap = handover::take(&ours).map_err(|e| format!("the device did not arrive: {e}"))?.1;
    let tap = tap.ok_or("the helper handed over no device")?;
    if arguments.isolated {
        let about = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", tap.as_raw_fd()));
        let about = about.map_err(|e| format!("the device's name cannot be read: {e}"))?;
        let name = interface(&about).ok_or("the device has no name")?;
        run(Command::new(BRIDGE_TOOL).args(["link", "set", "dev", name, "isolated", "on"]).stdin(Stdio::null()))?;
    }
    Ok(tap)
}

/// Runs it to its end; what it printed on standard error is why it failed.
fn run(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let done = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().and_then(|child| child.wait_with_output());
    let done = done.map_err(|e| format!("{program} cannot be run: {e}"))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let said: String = said.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
    Err(if said.is_empty() { format!("{program} failed ({})", done.status) } else { said })
}

/// The interface's name in what the kernel tells about a descriptor of /dev/net/tun.
fn interface(about: &str) -> Option<&str> {
    about.lines().find_map(|line| line.strip_prefix("iff:")).map(str::trim).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_devices_name_is_read_from_its_descriptor() {
        assert_eq!(interface("pos:\t0\nflags:\t0104002\nmnt_id:\t25\niff:\ttap3\n"), Some("tap3"));
        assert_eq!(interface("pos:\t0\niff:\t\n"), None);
        assert_eq!(interface("pos:\t0\n"), None);
    }

    #[test]
    fn a_programs_own_words_say_why_it_failed() {
        let fails = |script: &str| run(Command::new("sh").args(["-c", script])).unwrap_err();
        assert_eq!(fails("echo 'no such\nbridge' >&2; exit 1"), "no such bridge");
        assert!(fails("exit 3").contains("exit status: 3"));
        assert!(run(&mut Command::new("/nowhere/helper")).unwrap_err().contains("/nowhere/helper cannot be run"));
        assert_eq!(run(&mut Command::new("true")), Ok(()));
    }
}
