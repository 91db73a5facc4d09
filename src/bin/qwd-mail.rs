fn main() -> std::process::ExitCode {
    qwd::check::mail::main()
}
