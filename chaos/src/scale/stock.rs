//! A data folder with so many votes, made once and copied for each measurement.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use loadtest::fill::Fill;
use ostraka_core::ids::{ContestantId, ContestantIndex, EventId};
use ostraka_sim_model::ids::NodeIndex;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::limits::{
    FAILOVER_REQUEST_WAIT, FAILOVER_VOTE_PATIENCE, LOAD_CONTESTANTS, LOAD_FIRST_VOTER, SCALE_FILL_CHUNK,
    SCALE_FILL_CHUNK_WAIT,
};
use crate::load::{Polls, PollsOptions};
use crate::rig::{Rig, RigOptions};
use crate::{Trouble, tools};

/// Names in a stock's folder.
const DATA: &str = "data";
const SECRETS: &str = "secrets.json";
const NOTE: &str = "stock.json";

/// What is in a stock, as its note says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// The third number of the address that the node has in its log.
    pub subnet: u8,
    /// The event of all votes, by its number.
    pub event: u32,
    /// Votes that were acknowledged as counted.
    pub acked: u64,
    /// Votes of which nobody knows: counted or not, both are right.
    pub in_doubt: u64,
    /// The first voter who has not voted.
    pub next_voter: u32,
    /// What the filling took, seconds.
    pub seconds: u64,
}

impl Stock {
    pub fn event(&self) -> EventId {
        EventId(self.event)
    }

    /// What lies in `folder`; none where nothing does.
    ///
    /// # Errors
    /// Where there is something else, or a stock of fewer votes.
    pub(super) fn read(folder: &Path, votes: u32) -> Result<Option<Self>, Trouble> {
        let path = folder.join(NOTE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !folder.exists() => {
                return Ok(None);
            }
            Err(error) => return Err(Trouble::with_file(&path)(error)),
        };
        let stock: Self = serde_json::from_slice(&text).map_err(Trouble::with_file(&path))?;
        if stock.acked < u64::from(votes) {
            let folder = folder.display();
            return Err(Trouble::failed(format!(
                "{folder} holds {} votes, not {votes}: remove it, or name another folder",
                stock.acked
            )));
        }
        Ok(Some(stock))
    }

    /// Fills a fresh node and keeps its folder in `folder`.
    ///
    /// # Errors
    /// Where the node does not take the votes.
    pub(super) fn make(runtime: &Runtime, rig: &Rig, folder: &Path, votes: u32) -> Result<Self, Trouble> {
        let begun = Instant::now();
        let first = NodeIndex(0);
        rig.start(first)?;
        let polls = runtime.block_on(Polls::open(polls_of(rig)?))?;
        let mut stock = Self {
            subnet: rig.place(first)?.address.octets()[2],
            event: polls.event().0,
            acked: 0,
            in_doubt: 0,
            next_voter: LOAD_FIRST_VOTER,
            seconds: 0,
        };
        while stock.acked < u64::from(votes) {
            let left = u64::from(votes) - stock.acked;
            let chunk = u32::try_from(left.min(u64::from(SCALE_FILL_CHUNK))).unwrap_or(SCALE_FILL_CHUNK);
            stock.pour(rig, chunk)?;
            stock.seconds = begun.elapsed().as_secs();
            println!(
                "{} of {votes} votes after {} s ({} votes/s)",
                stock.acked,
                stock.seconds,
                stock.acked / stock.seconds.max(1)
            );
        }
        rig.stop(first)?;
        stock.keep(rig, folder)?;
        Ok(stock)
    }

    fn pour(&mut self, rig: &Rig, votes: u32) -> Result<(), Trouble> {
        let contestant = ContestantId {
            event: self.event(),
            contestant: ContestantIndex(0),
        };
        let fill = Fill {
            addr: rig.place(NodeIndex(0))?.public_socket(),
            secrets_file: rig.secrets_path(),
            event: self.event().to_string(),
            contestant: contestant.to_string(),
            voters: self.next_voter..self.next_voter + votes,
            patience: SCALE_FILL_CHUNK_WAIT,
        };
        let filled = fill
            .run()
            .map_err(|error| Trouble::failed(format!("the node is not filled: {error}")))?;
        if filled.acked == 0 {
            let why = filled.complaints.join("; ");
            return Err(Trouble::failed(format!("the node takes no votes: {why}")));
        }
        for complaint in &filled.complaints {
            println!("  {complaint}");
        }
        self.acked += filled.acked;
        self.in_doubt += filled.in_doubt;
        self.next_voter += votes;
        Ok(())
    }

    /// The note is written last: a folder without one is no stock.
    fn keep(&self, rig: &Rig, folder: &Path) -> Result<(), Trouble> {
        std::fs::create_dir_all(folder).map_err(Trouble::with_file(folder))?;
        let data = rig.data(NodeIndex(0))?;
        copy(data.path(), &folder.join(DATA))?;
        copy(&rig.secrets_path(), &folder.join(SECRETS))?;
        let note = serde_json::to_vec_pretty(self).map_err(Trouble::with_file(folder))?;
        std::fs::write(folder.join(NOTE), note).map_err(Trouble::with_file(folder))
    }

    /// Puts a copy of it under the first node of a rig in which nothing was started.
    pub(super) fn lay_out(folder: &Path, rig: &Rig) -> Result<(), Trouble> {
        let data = rig.data(NodeIndex(0))?;
        copy(&folder.join(DATA), data.path())?;
        copy(&folder.join(SECRETS), &rig.secrets_path())?;
        // Else the kernel writes this gigabyte back half a minute later, and the barriers of votes wait behind it.
        let copied = File::open(data.path()).map_err(Trouble::with_file(data.path()))?;
        rustix::fs::syncfs(&copied).map_err(Trouble::with_file(data.path()))
    }

    /// The rig in which its node finds its own address again.
    pub(super) fn options(&self, mut options: RigOptions) -> RigOptions {
        options.subnet = Some(self.subnet);
        options
    }
}

/// Everybody votes at the first node: the other one is only there for a part of the time.
pub(super) fn polls_of(rig: &Rig) -> Result<PollsOptions, Trouble> {
    let mut options = PollsOptions::of(
        rig,
        LOAD_CONTESTANTS,
        FAILOVER_REQUEST_WAIT,
        FAILOVER_VOTE_PATIENCE,
    );
    options.endpoints = vec![rig.place(NodeIndex(0))?.public()];
    Ok(options)
}

fn copy(from: &Path, to: &Path) -> Result<(), Trouble> {
    let arguments = [PathBuf::from("-a"), from.to_path_buf(), to.to_path_buf()];
    tools::run("cp", arguments).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stock_is_what_its_note_says_and_a_folder_without_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stock");
        assert_eq!(Stock::read(&path, 5).unwrap(), None);
        std::fs::create_dir(&path).unwrap();
        assert!(
            Stock::read(&path, 5).is_err(),
            "cut short, or somebody else's folder"
        );
        let stock = Stock {
            subnet: 7,
            event: 1,
            acked: 5,
            in_doubt: 0,
            next_voter: 1_005,
            seconds: 1,
        };
        std::fs::write(path.join(NOTE), serde_json::to_vec(&stock).unwrap()).unwrap();
        assert_eq!(Stock::read(&path, 5).unwrap(), Some(stock));
        let error = Stock::read(&path, 6).unwrap_err().to_string();
        assert!(error.contains("holds 5 votes, not 6"), "{error}");
    }
}
