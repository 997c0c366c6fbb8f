//! Each role's journey through a small service in this process: an honest one lets it pass, and each lie is found.

use std::net::SocketAddr;
use std::time::Duration;

use goose::config::GooseConfiguration;
use goose::goose::GooseUser;

use super::findings::Broken;
use super::lying_service::{self, Lie};
use super::plan::Role;
use super::visit::{Ballot, Visit};
use super::world::{Accounts, Pace, Stage, World};
use crate::issuer::Issuer;
use crate::session;

const HASTY: Pace = Pace {
    think_max: Duration::from_millis(10),
    watch_max: Duration::from_millis(250),
    seen_max: Duration::from_millis(500),
};

fn world(addr: SocketAddr) -> World {
    let stage = Stage {
        event: "e1".parse().unwrap(),
        contestants: ["e1-c0", "e1-c1", "e1-c2"].map(|id| id.parse().unwrap()).to_vec(),
    };
    let accounts = Accounts::new(Vec::new(), 1);
    let tokens = (Issuer::new(&[7; 32], "k1", 0), 1_000);
    World::new(stage, accounts, tokens, session::client(addr), HASTY)
}

/// One journey of that role, and the world after it.
async fn walk(role: Role, lie: Lie) -> (Result<(), Broken>, World) {
    let addr = lying_service::start(lie).await;
    let world = world(addr);
    let base_url = format!("http://{addr}");
    let configuration = GooseConfiguration::default();
    let mut user = GooseUser::single(base_url.parse().unwrap(), &configuration).unwrap();
    let mut voter = GooseUser::single(base_url.parse().unwrap(), &configuration).unwrap();
    let mut visit = Visit::new(&mut user, &world, role);
    // Others vote meanwhile, so that there is something to watch.
    let others = async {
        let mut visit = Visit::new(&mut voter, &world, Role::Voter);
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let ballot = Ballot::new("vote", world.stage.event, world.a_contestant());
            let person = world.newcomer();
            let _ = visit.vote(&person, &ballot).await;
        }
    };
    let (result, ()) = tokio::join!(super::journey(role, &mut visit), others);
    let _ = visit.end(result.clone());
    (result, world)
}

#[tokio::test]
async fn nobody_finds_fault_with_an_honest_service() {
    for role in Role::ALL {
        let (result, world) = walk(role, Lie::None).await;
        assert_eq!(result, Ok(()), "{role:?}");
        let found = world.findings.taken();
        assert_eq!((found.faults, found.journeys[&role].finished), (0, 1));
        let votes = u64::from(matches!(role, Role::Voter | Role::Attacker));
        assert_eq!(
            (world.books.acked(), world.books.in_doubt()),
            (votes, 0),
            "{role:?}"
        );
        assert_eq!(
            world.findings.own_votes_seen().len(),
            u64::from(role == Role::Voter)
        );
    }
}

#[tokio::test]
async fn every_lie_is_found_by_whom_it_is_told() {
    for (role, lie, words) in [
        (
            Role::Attacker,
            Lie::SecondVoteProcessed,
            "told `processed` 3 times",
        ),
        (Role::Attacker, Lie::FirstVoteDuplicate, "told `duplicate`"),
        (Role::Attacker, Lie::OpenEventRejects, "told `rejected`"),
        (Role::Attacker, Lie::RetryGetsAnotherId, "when it was sent again"),
        (Role::Attacker, Lie::StatusDiffers, "its status is Rejected"),
        (
            Role::Attacker,
            Lie::OtherAnswer,
            "something else than the API has",
        ),
        (Role::Voter, Lie::FirstVoteDuplicate, "told `duplicate`"),
        (Role::Voter, Lie::OpenEventRejects, "told `rejected`"),
        (Role::Voter, Lie::OtherContestants, "other contestants"),
        // Whether the vote that is taken back is his own is chance.
        (Role::Voter, Lie::TotalGoesBack, "total "),
        (Role::Voter, Lie::ListedNotCounted, "has not grown"),
        (Role::Voter, Lie::NotShown, "was not on the stream"),
        (Role::Voter, Lie::StatusDiffers, "its status is Rejected"),
        (Role::Voter, Lie::LeaderboardBehind, "the total went back"),
        (Role::Watcher, Lie::TotalGoesBack, "the total went back"),
        (Role::Watcher, Lie::LeaderboardBehind, "the total went back"),
        (
            Role::Organizer,
            Lie::EarlyVoteCounts,
            "before the opening was told Processed",
        ),
        (Role::Organizer, Lie::OpenEventRejects, "told `rejected`"),
        (
            Role::Organizer,
            Lie::LateVoteCounts,
            "after the close was told Processed",
        ),
        (Role::Organizer, Lie::NotClosed, "its leaderboard says Open"),
        (
            Role::Organizer,
            Lie::ResultLacksVote,
            "the books do not balance: 3 votes acknowledged, 2 counted, 0 in doubt",
        ),
        (
            Role::Organizer,
            Lie::StreamEndsOtherwise,
            "ends with another result",
        ),
        (Role::Organizer, Lie::ResultChanges, "after the close"),
    ] {
        let (result, world) = walk(role, lie).await;
        let Err(Broken::Fault(fault)) = result else {
            panic!("{lie:?} got through a {role:?}: {result:?}");
        };
        assert!(fault.contains(words), "{lie:?}, {role:?}: {fault}");
        assert_eq!(world.findings.taken().faults, 1);
    }
}

#[tokio::test]
async fn who_is_sent_away_has_trouble_and_a_vote_in_doubt_but_finds_no_fault() {
    for role in [Role::Voter, Role::Attacker] {
        let (result, world) = walk(role, Lie::Overloaded).await;
        let Err(Broken::Trouble(trouble)) = result else {
            panic!("{role:?}: {result:?}");
        };
        assert!(trouble.contains("was answered 503"), "{trouble}");
        assert_eq!((world.books.acked(), world.books.in_doubt()), (0, 1));
    }
}
