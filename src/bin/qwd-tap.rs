fn main() -> std::process::ExitCode {
    qwd::tap::main()
}
