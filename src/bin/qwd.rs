//! All programs but one, in one file: what they share is on the disk, in the package and in memory once.
//! Each is called by its own name, a link to this file. What speaks to libpam is a file of its own.

use std::env::args_os;
use std::path::Path;
use std::process::ExitCode;

type Main = fn() -> ExitCode;

const PROGRAMS: [(&str, Main); 15] = [
    ("qwd-auth-command", qwd::check::command::main),
    ("qwd-auth-network", qwd::check::network::main),
    ("qwd-build", qwd::build::main),
    ("qwd-convert", qwd::images::convert_main),
    ("qwd-display", qwd::display::main),
    ("qwd-inspect", qwd::images::main),
    ("qwd-launcher", qwd::launcher::main),
    ("qwd-mail", qwd::check::mail::main),
    ("qwd-portal", qwd::portal::main),
    ("qwd-powerdown", qwd::in_unit::powerdown_main),
    ("qwd-reaper", qwd::reaper::main),
    ("qwd-session", qwd::in_unit::session_main),
    ("qwd-tap", qwd::tap::main),
    ("qwd-unpack", qwd::images::unpack_main),
    ("qwdctl", qwd::ctl::main),
];

fn main() -> ExitCode {
    let called = args_os().next().unwrap_or_default();
    let called = Path::new(&called).file_name();
    match PROGRAMS.iter().find(|(name, _)| called == Some(name.as_ref())) {
        Some((_, program)) => program(),
        None => own(),
    }
}

/// By its own name it tells the others, for who makes the links.
fn own() -> ExitCode {
    if args_os().nth(1).is_some_and(|word| word == "--list") {
        PROGRAMS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    eprintln!("qwd: it is called by the name of one of its programs, through a link; 'qwd --list' tells them.");
    ExitCode::from(2)
}
