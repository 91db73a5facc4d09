fn main() -> std::process::ExitCode {
    qwd::ctl::main()
}
