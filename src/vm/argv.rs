//! From a virtual machine to QEMU's argument list. A golden test holds the result.

use super::Vm;
use super::hardware::{Board, Chipset};
use crate::config::{Architecture, Clock};

/// A growing argument list.
#[derive(Default)]
pub struct Arguments(Vec<String>);

impl Arguments {
    /// Append arguments.
    pub fn push<const N: usize>(&mut self, more: [&str; N]) {
        self.0.extend(more.map(String::from));
    }

    /// Append `-device` with its properties.
    pub fn device(&mut self, device: &str) {
        self.push(["-device", device]);
    }

    /// Append `-blockdev` with a node.
    pub fn node(&mut self, node: &serde_json::Value) {
        self.push(["-blockdev", &node.to_string()]);
    }
}

/// Return the command line, program first.
pub(super) fn argv(vm: &Vm) -> Vec<String> {
    let mut arguments = Arguments::default();
    arguments.push([vm.shape.hardware.board.program.as_str()]);
    base(vm, &mut arguments);
    for device in vm.shape.hardware.devices() {
        device.arguments(vm, &mut arguments);
    }
    arguments.0
}

fn base(vm: &Vm, arguments: &mut Arguments) {
    let (shape, id) = (&vm.shape, &vm.identity.id);
    let board = &shape.hardware.board;
    arguments.push(["-name", &format!("guest=qwd-{id},process=qwd-{id}")]);
    arguments.push(["-nodefaults", "-no-user-config", "-msg", "timestamp=off"]);
    arguments.push(["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]);
    arguments.push(["-machine", &machine(vm)]);
    arguments.push(["-accel", &shape.accel.option()]);
    arguments.push(["-cpu", &shape.accel.cpu(board)]);
    arguments.push(["-smp", &shape.cpus.to_string()]);
    arguments.push(["-m", &format!("size={}k", shape.memory.0 >> 10)]);
    if let Some(clock) = clock(board) {
        arguments.push(["-rtc", clock]);
    }
    arguments.push(["-display", "none", "-vnc", "none"]);
}

fn machine(vm: &Vm) -> String {
    let board = &vm.shape.hardware.board;
    let mut machine = vm.shape.machine_type.clone();
    if board.chipset == Chipset::Q35 {
        // System management mode protects the variables that only the firmware may change.
        machine += ",smm=on";
    }
    if board.windows && board.architecture == Architecture::X86 {
        // Windows polls this timer where it finds it.
        machine += ",hpet=off";
    }
    for option in vm.shape.hardware.devices().flat_map(|device| device.machine_options()) {
        machine += ",";
        machine += option;
    }
    machine
}

fn clock(board: &Board) -> Option<&'static str> {
    match (board.clock, board.windows) {
        (Clock::Utc, _) => None,
        (Clock::Local, false) => Some("base=localtime"),
        // Windows counts its clock's ticks: the timer catches up on those that were missed.
        (Clock::Local, true) => Some("base=localtime,driftfix=slew"),
    }
}
