fn main() -> std::process::ExitCode {
    qwd::images::unpack_main()
}
