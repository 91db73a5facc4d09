fn main() -> std::process::ExitCode {
    qwd::images::main()
}
