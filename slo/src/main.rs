//! `slo`: decides whether a release keeps its objectives, and makes rules and dashboards of them.

fn main() -> std::process::ExitCode {
    slo::command::run()
}
