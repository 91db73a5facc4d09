fn main() -> std::process::ExitCode {
    qwd::display::main()
}
