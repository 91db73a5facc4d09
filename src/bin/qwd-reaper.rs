fn main() -> std::process::ExitCode {
    qwd::reaper::main()
}
