fn main() -> std::process::ExitCode {
    qwd::session::session_main()
}
