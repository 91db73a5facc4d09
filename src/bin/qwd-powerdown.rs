fn main() -> std::process::ExitCode {
    qwd::session::powerdown_main()
}
