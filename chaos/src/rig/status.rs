//! What a node says of itself at `/v1/cluster/status`; only what the harness needs, read by its own rules.

use ostraka_sim_model::ids::NodeIndex;
use serde::Deserialize;

use super::Answer;
use crate::Trouble;

/// One replicated log as a node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct GroupView {
    pub name: String,
    leader: Option<u64>,
    pub term: u64,
    pub last_log_index: u64,
    pub committed_index: u64,
    pub applied_index: u64,
    pub snapshot_index: u64,
}

impl GroupView {
    /// Nodes are numbered from 1 where people read it.
    pub fn leader(&self) -> Option<NodeIndex> {
        let index = self.leader?.checked_sub(1)?;
        u8::try_from(index).ok().map(NodeIndex)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct NodeStatus {
    pub groups: Vec<GroupView>,
}

impl NodeStatus {
    pub fn group(&self, name: &str) -> Option<&GroupView> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The log of votes.
    pub fn vote(&self) -> Option<&GroupView> {
        self.group("Vote")
    }
}

pub(super) fn parse(answer: &Answer) -> Result<NodeStatus, Trouble> {
    if answer.status != 200 {
        return Err(Trouble::failed(format!(
            "the status of a node was answered with {}",
            answer.status
        )));
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| Trouble::failed(format!("the status of a node cannot be read: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaders_are_read_as_places_from_zero() {
        let body = br#"{"groups": [{"name": "Vote", "leader": 3, "term": 1, "last_log_index": 9, "committed_index": 9,
            "applied_index": 8, "snapshot_index": 0, "more": []}]}"#;
        let answer = Answer {
            status: 200,
            headers: Vec::new(),
            body: body.to_vec(),
        };
        let status = parse(&answer).unwrap();
        assert_eq!(status.vote().and_then(GroupView::leader), Some(NodeIndex(2)));
        assert_eq!(status.vote().map(|vote| vote.applied_index), Some(8));
        assert!(
            parse(&Answer {
                status: 503,
                ..answer
            })
            .is_err()
        );
    }
}
