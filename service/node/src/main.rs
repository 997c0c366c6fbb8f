//! The binary. All it does is in the library, where the simulators and tests find it too.

fn main() -> std::process::ExitCode {
    ostraka_node::cli::main()
}
