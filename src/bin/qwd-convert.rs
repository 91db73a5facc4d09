fn main() -> std::process::ExitCode {
    qwd::images::convert_main()
}
