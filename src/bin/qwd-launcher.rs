fn main() -> std::process::ExitCode {
    qwd::launcher::main()
}
