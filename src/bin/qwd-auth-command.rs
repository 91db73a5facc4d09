fn main() -> std::process::ExitCode {
    qwd::check::command::main()
}
