//! stub
pub(crate) fn main() -> std::process::ExitCode { 
 let seed: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
 let plan = crate::simulation::playable(&ostraka_sim_model::plan::Plan::of_seed(ostraka_sim_model::ids::Seed(seed)));
 let t = std::process::Command::new("true");drop(t);
 let run = crate::simulation::check(plan.clone()).unwrap();
 let j = ostraka_sim_model::verdict::judge(&plan, &run.history);
 println!("{:016x} {} ms {} messages", run.trace_digest, run.sim_ms, run.messages);
 println!("{j:#?}");
 std::process::ExitCode::SUCCESS }
