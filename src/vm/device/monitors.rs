//! QEMU's two monitors: one for the launcher, and one that ends the session.

use super::{Choice, ChooseDevice, VirtualDevice};
use crate::model::Word;
use crate::unit::{Properties, SESSIONS_DIR, bind_optional};
use crate::vm::Vm;
use crate::vm::document::{Descriptor, DescriptorKind, FD, SocketFile};
use crate::vm::exit::Failure;

/// The name of the monitor socket that the launcher uses, in the session's directory, which is root's alone.
pub const LAUNCHER_SOCKET: &str = "launcher.sock";
/// The name of the monitor socket that ends a session: QEMU serves one client a socket at a time.
pub const STOP_SOCKET: &str = "stop.sock";
/// Where that one is bound in the session's unit.
pub const STOP_SOCKET_PATH: &str = "/run/stop.sock";

/// QEMU's monitors could not be served.
pub const NO_SOCKET: Failure = Failure {
    code: 123,
    word: Word::Failed,
    message: "Its monitors could not be served. The server's journal says why.",
};

/// Both monitors.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Monitors;

impl ChooseDevice for Monitors {
    const FAILURES: &'static [Failure] = &[NO_SOCKET];

    fn choose(_: &Choice<'_>) -> Result<Option<Self>, String> {
        Ok(Some(Self))
    }
}

impl VirtualDevice for Monitors {
    fn properties(&self, vm: &Vm) -> Properties {
        // In a directory that the session's user cannot enter. Without it the end is less gentle.
        let stop = format!("{SESSIONS_DIR}/{}/{STOP_SOCKET}", vm.identity.id);
        vec![("BindReadOnlyPaths", bind_optional(stop, STOP_SOCKET_PATH))]
    }

    fn descriptors(&self, _: &Vm) -> Vec<Descriptor> {
        // The session's user opens the second one, which systemd binds into the unit, when the session ends.
        let files = [(LAUNCHER_SOCKET, 0o600), (STOP_SOCKET, 0o666)];
        let descriptor = |(index, (name, mode)): (usize, (&'static str, u32))| Descriptor {
            kind: DescriptorKind::Socket,
            arguments: vec![
                "-chardev".into(),
                format!("socket,id=monitor{index},fd={FD},server=on,wait=off"),
                "-mon".into(),
                format!("chardev=monitor{index},mode=control"),
            ],
            file: Some(SocketFile { name, mode }),
        };
        files.into_iter().enumerate().map(descriptor).collect()
    }
}
