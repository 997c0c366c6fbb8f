//! Runs the plan of one file and leaves digest and history in another: the process that a test needs for each run. Logs to
//! stderr what a filter lets pass, if it is given one.

use std::path::PathBuf;

use ostraka_sim_model::plan::Plan;

fn main() {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(plan_file), Some(history_file)) = (arguments.next(), arguments.next()) else {
        eprintln!("give a plan's file and where the history goes");
        std::process::exit(2);
    };
    if let Some(filter) = arguments.next() {
        ostraka_sim_turmoil::show_logs(&filter.to_string_lossy()).expect("a test's filter is one");
    }
    let done = std::fs::read_to_string(&plan_file)
        .map_err(|error| format!("{}: {error}", plan_file.display()))
        .and_then(|text| Plan::from_json(&text).map_err(|error| format!("{}: {error}", plan_file.display())))
        .and_then(|plan| {
            let run = ostraka_sim_turmoil::run(&plan);
            let bytes = postcard::to_stdvec(&(run.trace_digest, run.history)).expect("plain data");
            std::fs::write(&history_file, bytes)
                .map_err(|error| format!("{}: {error}", history_file.display()))
        });
    if let Err(sentence) = done {
        eprintln!("{sentence}");
        std::process::exit(2);
    }
}
