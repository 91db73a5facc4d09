fn main() -> std::process::ExitCode {
    qwd::check::network::main()
}
