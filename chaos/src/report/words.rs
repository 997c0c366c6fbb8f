//! Plain sentences for what an evidence calls by names.

use ostraka_sim_model::checkers::Checker;

/// What a nemesis does; none where nobody has written it down.
pub(super) fn harm(nemesis: &str) -> Option<&'static str> {
    Some(match nemesis {
        "kill" => "The process is killed and started again.",
        "crash-loop" => "The process is killed again and again.",
        "pause" => "The process stands still, as if frozen, and goes on.",
        "restart" => "The process is stopped in good order and started again.",
        "rolling-restart" => "Each node in turn is stopped in good order and started again.",
        "rolling-upgrade" => {
            "Each node in turn is stopped in good order and started again with another build."
        }
        "isolate" => "The network drops all that the node and the others send each other.",
        "flap" => "The node is cut off from the others and back, again and again.",
        "one-way" => "The network drops what the node sends to the others.",
        "one-way-in" => "The network drops what the others send to the node.",
        "loss" => "The network loses packets, by chance.",
        "reset" => "Connections between the node and the others are torn down.",
        "slow-links" => "Every packet to and from the node takes tens of milliseconds longer.",
        "bandwidth" => "The node's network carries far less than it is asked to.",
        "power-cut" => "The node loses its power, and what its disk had not yet written.",
        "blackout" => "All nodes lose their power at once.",
        "disk-full" => "The node's disk is full.",
        "disk-error" => "The node's disk reports errors when data is to be made safe.",
        "disk-error-on-write" => "The node's disk reports errors when data is written.",
        "slow-disk" => "Making data safe takes the node's disk far longer.",
        "bit-flip" => "One bit of the node's log is flipped.",
        "torn-tail" => "The end of the node's log is cut off.",
        "lost-snapshot" => "The node's newest snapshot is lost.",
        "clock-jump" => "The node's clock jumps far ahead.",
        "clock-skew" => "The nodes' clocks differ from each other.",
        "cpu-quota" => "The node gets a small part of one processor core.",
        "slow-readers" => "Hundreds of viewers read so slowly that they clog their connections.",
        "connection-flood" => "Thousands of connections are opened that ask for nothing.",
        _ => return None,
    })
}

/// What a checker asks of the run.
pub(super) fn question(checker: Checker) -> &'static str {
    match checker {
        Checker::Biographies => {
            "Was every acknowledged vote counted, every counted vote cast by somebody, no voter counted twice, and no retry \
             told another outcome?"
        }
        Checker::Conservation => {
            "Were all totals that anybody was shown the counted votes of that moment, and do all nodes hold the same?"
        }
        Checker::Linearizability => {
            "Is there one order of all requests that fits what each client was told and when?"
        }
        Checker::Audience => {
            "Did every viewer's count go forward only, across reconnects and nodes, up to the final result?"
        }
        Checker::ClosingBell => {
            "Did each vote open and close at one moment for all, and was no late vote accepted?"
        }
        Checker::Durability => {
            "Was every acknowledged vote on the disks of a majority by then, and is it still there at the end?"
        }
        Checker::Liveness => {
            "Once the faults were over: did all nodes run, catch up with each other and answer again?"
        }
    }
}

/// The words of the page, each with what it means.
pub(super) const GLOSSARY: &[(&str, &str)] = &[
    (
        "vote to screen",
        "From the moment when a vote was meant to be sent until a viewer of its event was shown a count that has it. Each viewer counts.",
    ),
    (
        "acknowledgement (ack)",
        "The answer that tells a client: this vote is on the disks of a majority of the nodes. Its time counts from the moment when the request was meant to be sent, however late it was.",
    ),
    (
        "done",
        "The service did its work: it acknowledged, counted, answered, or said for good that it will not (a duplicate, a closed event).",
    ),
    (
        "shed",
        "The service said 503 with Retry-After: not now, come again. It has too much to do, no leader, no room on its disk, or is about to stop. It refuses early rather than being slow; nothing happened to the vote.",
    ),
    (
        "refused",
        "Another refusal that is not for good: the node could not be reached, or said that there were too many requests or that something failed inside it.",
    ),
    (
        "unknown",
        "No answer came in time, the connection broke, or the service said that it does not know itself. The vote may be counted or not; only asking again finds out. It is never taken for lost.",
    ),
    (
        "leader, term",
        "The node that gives votes their order. Each election begins a new term; terms only rise.",
    ),
    (
        "majority (quorum)",
        "More than half of the nodes. What it has on its disks survives the loss of the others.",
    ),
    (
        "fault, bite",
        "What was done to the cluster on purpose, and how often it did harm, counted where the harm is done. A fault that never bit has tested nothing.",
    ),
    (
        "detected",
        "From the fault's beginning until the first request failed or was left without an answer.",
    ),
    (
        "failed over",
        "From the fault's beginning until another node led, or the same one in a new term.",
    ),
    (
        "longest silence",
        "The longest time without any vote being acknowledged, from the fault's beginning until shortly after its end.",
    ),
    (
        "recovered",
        "From the fault's end until every node said that it is ready.",
    ),
    (
        "lost, doubled, late",
        "An acknowledged vote that is not in the result; a vote that was counted twice or for somebody else; a vote that was accepted after the close.",
    ),
    (
        "p50, p95, p99",
        "Half, 95 and 99 of a hundred were at most this slow.",
    ),
    (
        "open loop",
        "Requests are sent by the clock, whether or not earlier ones were answered, as real audiences do. A slow service does not get fewer of them.",
    ),
    (
        "seed, plan",
        "The number that all chance of a run comes from, and everything the run does, written out. The same plan does the same to the cluster; how a real machine takes it differs a little each time.",
    ),
    (
        "checker, fact",
        "A checker is a program that holds one rule against all that clients were told and all that the nodes' logs hold; a fact is one comparison. A checker that compared nothing has proven nothing.",
    ),
    (
        "inconclusive",
        "It could not be tested, or too little happened to say anything. Neither a pass nor a failure.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemesis;

    #[test]
    fn every_nemesis_is_told_in_words() {
        for kind in nemesis::ALL {
            assert!(harm(kind.name).is_some(), "{} has no sentence", kind.name);
        }
        assert_eq!(harm("plague"), None);
    }
}
