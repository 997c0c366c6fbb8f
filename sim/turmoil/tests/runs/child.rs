//! A process for one run.

use std::process::{Child, Command, Stdio};

use ostraka_sim_model::history::{Happening, History};
use ostraka_sim_model::ids::{FaultId, NodeIndex};
use ostraka_sim_model::plan::Plan;

/// What a run in another process gave, byte for byte and as what it means.
pub(crate) struct Ran {
    pub(crate) bytes: Vec<u8>,
    pub(crate) history: History,
}

pub(crate) fn run(plan: &Plan) -> Ran {
    run_as(plan, &[], |_| {})
}

/// With what the nodes log, as far as the filter lets it.
pub(crate) fn run_logged(plan: &Plan, filter: &str) -> Ran {
    run_as(plan, &[filter], |_| {})
}

/// Does something to the process while it runs.
pub(crate) fn run_beside(plan: &Plan, meanwhile: impl FnMut(&mut Child)) -> Ran {
    run_as(plan, &[], meanwhile)
}

fn run_as(plan: &Plan, further: &[&str], mut meanwhile: impl FnMut(&mut Child)) -> Ran {
    plan.validate().expect("a test's plan is possible");
    let folder = tempfile::tempdir().expect("a folder");
    let (plan_file, history_file) = (folder.path().join("plan"), folder.path().join("history"));
    std::fs::write(&plan_file, plan.to_json()).expect("the plan is written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_sim-one-run"))
        .args([&plan_file, &history_file])
        .args(further)
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process can be started");
    meanwhile(&mut child);
    let output = child.wait_with_output().expect("it ends");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the run broke: {words}");
    let bytes = std::fs::read(&history_file).expect("the run has left its history");
    let (_digest, history) = postcard::from_bytes::<(u64, History)>(&bytes).expect("it can be read");
    Ran { bytes, history }
}

impl Ran {
    pub(crate) fn all<T>(&self, pick: impl FnMut(&Happening) -> Option<T>) -> Vec<T> {
        self.history
            .records
            .iter()
            .map(|record| &record.what)
            .filter_map(pick)
            .collect()
    }

    pub(crate) fn bites(&self, fault: u16) -> u64 {
        let ended = self.all(|what| match what {
            Happening::FaultEnded { fault: of, bites } if *of == FaultId(fault) => Some(*bites),
            _ => None,
        });
        assert_eq!(ended.len(), 1, "a fault ends once");
        ended[0]
    }

    pub(crate) fn hit(&self, fault: u16) -> Option<NodeIndex> {
        let began = self.all(|what| match what {
            Happening::FaultBegan { fault: of, node } if *of == FaultId(fault) => Some(*node),
            _ => None,
        });
        began[0]
    }
}
