#[path = "../check/libpam.rs"]
mod libpam;

fn main() -> std::process::ExitCode {
    qwd::check::pam::main(libpam::ask)
}
