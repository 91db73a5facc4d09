fn main() -> std::process::ExitCode {
    qwd::portal::main()
}
