//! The four journeys. Each is told from one user's view, and checks what that user can see.

use goose::goose::GooseMethod;
use ostraka_api::ids::{ContestantId, EventId, UnixMs};
use ostraka_api::{
    ContestantDraft, ContestantsResponse, CreateEventRequest, CreateEventResponse, EventStatus,
    EventStatusResponse, LeaderboardResponse, LoginRequest, LoginResponse, VoteId, VoteStatus,
    VoteStatusResponse,
};
use tokio::time::Instant;

use super::books::{Standing, Told, standing};
use super::findings::Broken;
use super::standings::Standings;
use super::stream::{Seen, Stream};
use super::visit::{Ballot, Call, Visit, Voted};
use super::world::{Person, up_to};
use crate::session::{self, Ledger};

fn fault<T>(sentence: impl Into<String>) -> Result<T, Broken> {
    Err(Broken::Fault(sentence.into()))
}

/// Comes in, looks around, opens the stream, votes, and stays until the vote is on it.
pub(crate) async fn voter(visit: &mut Visit<'_>) -> Result<(), Broken> {
    let stage = visit.world.stage.clone();
    let person = come_in(visit).await?;
    let path = format!("/v1/contestants/{}", stage.event);
    let shown: ContestantsResponse = visit.ask(Call::get("contestants", path, &person.token)).await?;
    let shown: Vec<_> = shown
        .contestants
        .iter()
        .map(|entry| entry.contestant_id)
        .collect();
    if shown != stage.contestants {
        return fault(format!(
            "{} has other contestants than it was created with",
            stage.event
        ));
    }
    let mut stream = Stream::open(visit, "stream", stage.event, &person.token, None).await?;
    stream.snapshot(visit, visit.world.pace.seen_max).await?;
    visit.world.think().await;

    let ballot = Ballot::new("vote", stage.event, visit.world.a_contestant());
    let (before, sent) = (stream.standings().total(ballot.contestant), Instant::now());
    let voted = visit.vote(&person, &ballot).await;
    enter(visit, &[voted.told])?;
    let answer = voted.expect("a first vote", VoteStatus::Processed)?;
    see_own_vote(visit, &person, &mut stream, &ballot, (before, sent)).await?;
    check_status(visit, &person, &answer.vote_id, VoteStatus::Processed).await?;
    stream.watch(visit, up_to(visit.world.pace.watch_max)).await?;
    compare_with_leaderboard(visit, &person, stream.leave()).await
}

/// With a password if there is an account for him, else with a token that he has kept.
async fn come_in(visit: &mut Visit<'_>) -> Result<Person, Broken> {
    let Some(account) = visit.world.accounts.next() else {
        return Ok(visit.world.newcomer());
    };
    let login = LoginRequest {
        username: account.username.clone(),
        password: account.password.clone(),
    };
    let call = Call::post("login", "/v1/auth/login", None).json(&login);
    let answer: LoginResponse = visit.ask(call).await?;
    visit.world.findings.logged_in();
    Ok(Person {
        user: answer.user_id,
        token: answer.token,
    })
}

/// Enters a voter of the shared event into the books.
fn enter(visit: &Visit<'_>, told: &[Told]) -> Result<(), Broken> {
    let judged = standing(told);
    // A voter on whom the service lied has a vote that counts or has not.
    let standing = *judged.as_ref().unwrap_or(&Standing::InDoubt);
    visit.world.books.enter(standing);
    judged.map(drop).map_err(Broken::Fault)
}

/// Whether an own vote was seen on the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Seen,
    NotYet,
    /// More votes came at once than the stream lists the traces of, so it may have been among them.
    PerhapsOmitted,
}

/// Who votes sees his vote. One that is late is no fault while the whole service is: it is one if the service answers, and
/// the stream still does not show it.
async fn see_own_vote(
    visit: &mut Visit<'_>,
    person: &Person,
    stream: &mut Stream,
    ballot: &Ballot,
    (before, sent): (u64, Instant),
) -> Result<(), Broken> {
    let within = visit.world.pace.seen_max;
    let mut look = look_for(visit, stream, ballot, before, sent + within).await?;
    if look == Look::NotYet {
        leaderboard(visit, person, ballot.event).await?;
        look = look_for(visit, stream, ballot, before, Instant::now() + within).await?;
    }
    match look {
        Look::Seen => visit.own_vote_seen(sent.elapsed()).await,
        Look::PerhapsOmitted => visit.world.findings.not_listed(),
        Look::NotYet => {
            return fault(format!(
                "a vote that was told `processed` was not on the stream for {within:?}, nor for as long after the leaderboard was shown"
            ));
        }
    }
    Ok(())
}

async fn look_for(
    visit: &Visit<'_>,
    stream: &mut Stream,
    ballot: &Ballot,
    before: u64,
    until: Instant,
) -> Result<Look, Broken> {
    let mut look = Look::NotYet;
    while let Some(seen) = stream.next(visit, until).await? {
        let Seen::Tally { traces, omitted } = seen else {
            continue;
        };
        if traces.contains(&ballot.trace) {
            if stream.standings().total(ballot.contestant) > before {
                return Ok(Look::Seen);
            }
            return fault(
                "the stream lists a vote whose contestant's total has not grown since before it was sent",
            );
        }
        if omitted {
            look = Look::PerhapsOmitted;
        }
    }
    Ok(look)
}

async fn check_status(
    visit: &mut Visit<'_>,
    person: &Person,
    vote: &VoteId,
    expected: VoteStatus,
) -> Result<(), Broken> {
    let call = Call::get("status", format!("/v1/vote/{vote}/status"), &person.token);
    let status: VoteStatusResponse = visit.ask(call).await?;
    if status.vote_id != *vote || status.vote_status != expected {
        let VoteStatusResponse {
            vote_id, vote_status, ..
        } = status;
        return fault(format!(
            "vote {vote} was told {expected:?}, and its status is {vote_status:?} (of {vote_id})"
        ));
    }
    Ok(())
}

async fn leaderboard(
    visit: &mut Visit<'_>,
    person: &Person,
    event: EventId,
) -> Result<LeaderboardResponse, Broken> {
    let path = format!("/v1/event/{event}/leaderboard");
    visit.ask(Call::get("leaderboard", path, &person.token)).await
}

/// Who asks after he has watched is shown no less than he has seen.
async fn compare_with_leaderboard(
    visit: &mut Visit<'_>,
    person: &Person,
    mut seen: Standings,
) -> Result<(), Broken> {
    let board = leaderboard(visit, person, visit.world.stage.event).await?;
    seen.take_leaderboard(&board).map_err(Broken::Fault)
}

/// Watches, loses the connection, and goes on where it was cut.
pub(crate) async fn watcher(visit: &mut Visit<'_>) -> Result<(), Broken> {
    let (event, pace) = (visit.world.stage.event, visit.world.pace);
    let person = visit.world.newcomer();
    let mut stream = Stream::open(visit, "stream", event, &person.token, None).await?;
    stream.snapshot(visit, pace.seen_max).await?;
    stream.watch(visit, up_to(pace.watch_max)).await?;
    let seen = stream.leave();
    visit.world.think().await;
    let mut stream = Stream::open(visit, "resumed", event, &person.token, Some(seen)).await?;
    stream.watch(visit, up_to(pace.watch_max)).await?;
    compare_with_leaderboard(visit, &person, stream.leave()).await
}

/// Votes twice at the same moment, a third time after that, and sends the first once more.
pub(crate) async fn attacker(visit: &mut Visit<'_>) -> Result<(), Broken> {
    let world = visit.world;
    let person = world.newcomer();
    let [first, second, third] = three_ballots(world.stage.event, &world.stage.contestants);
    world.think().await;
    let [one, two] = visit.vote_twice(&person, [&first, &second]).await;
    let three = visit.vote(&person, &third).await;
    enter(visit, &[one.told, two.told, three.told])?;

    let again = visit.vote(&person, &first).await;
    same_answer(&one, &again)?;
    let (one, two, three) = (one.answer?, two.answer?, three.answer?);
    again.answer?;
    for answer in [one, two, three] {
        check_status(visit, &person, &answer.vote_id, answer.vote_status).await?;
    }
    Ok(())
}

/// Each with a key of its own, and each for another contestant than the one before.
fn three_ballots(event: EventId, contestants: &[ContestantId]) -> [Ballot; 3] {
    let from = rand::random_range(0..contestants.len());
    [("vote", 0), ("rival vote", 1), ("third vote", 2)]
        .map(|(name, step)| Ballot::new(name, event, contestants[(from + step) % contestants.len()]))
}

/// A request that is sent again, key and all, is answered as the first time.
fn same_answer(first: &Voted, again: &Voted) -> Result<(), Broken> {
    match (&first.answer, &again.answer) {
        (Ok(first), Ok(again)) if first != again => fault(format!(
            "a vote was told {:?} as {}, and when it was sent again {:?} as {}",
            first.vote_status, first.vote_id, again.vote_status, again.vote_id
        )),
        _ => Ok(()),
    }
}

/// Voters of an organizer's own event.
const OWN_VOTERS: usize = 3;
/// A day: the event is opened by hand long before.
const OPENS_IN_S: u64 = 86_400;

/// Creates an event, opens it, has it voted in, closes it, and sees that the result stands.
pub(crate) async fn organizer(visit: &mut Visit<'_>) -> Result<(), Broken> {
    let organizer = visit.world.newcomer();
    let created = create_event(visit, &organizer).await?;
    let event = created.event_id;
    let Some(contestant) = created.contestants.first().map(|first| first.contestant_id) else {
        return fault(format!("{event} was created without contestants"));
    };
    let early = visit.world.newcomer();
    let ballot = Ballot::new("early vote", event, contestant);
    let voted = visit.vote(&early, &ballot).await;
    voted.expect("a vote before the opening", VoteStatus::Rejected)?;

    turn(visit, &organizer, event, "open", EventStatus::Open).await?;
    let mut ledger = Ledger {
        acked: 0,
        counted: None,
        in_doubt: 0,
    };
    for _ in 0..OWN_VOTERS {
        let voter = visit.world.newcomer();
        let voted = visit.vote(&voter, &Ballot::new("vote", event, contestant)).await;
        match standing(&[voted.told]).map_err(Broken::Fault)? {
            Standing::Counted => ledger.acked += 1,
            Standing::InDoubt => ledger.in_doubt += 1,
            Standing::NotCounted => {}
        }
    }
    visit.world.think().await;
    turn(visit, &organizer, event, "close", EventStatus::Closed).await?;

    let late = visit.world.newcomer();
    let voted = visit
        .vote(&late, &Ballot::new("late vote", event, contestant))
        .await;
    voted.expect("a vote after the close", VoteStatus::Rejected)?;
    result_stands(visit, &organizer, event, ledger).await
}

async fn create_event(visit: &mut Visit<'_>, organizer: &Person) -> Result<CreateEventResponse, Broken> {
    let contestants = ["Ada", "Bo"].map(|name| ContestantDraft {
        contestant_name: name.to_string(),
        contestant_description: String::new(),
        contestant_image_url: String::new(),
    });
    let event = CreateEventRequest {
        user_id: organizer.user,
        event_name: "A journey of its own".to_string(),
        contestants: contestants.to_vec(),
        opens_at: Some(UnixMs((session::now_s() + OPENS_IN_S) * 1_000)),
        closes_at: None,
        results: None,
        canary: false,
    };
    let call = Call::post("create", "/v1/event/create", Some(&organizer.token)).json(&event);
    visit.ask(call).await
}

/// Opens or closes the event.
async fn turn(
    visit: &mut Visit<'_>,
    organizer: &Person,
    event: EventId,
    name: &'static str,
    expected: EventStatus,
) -> Result<(), Broken> {
    let call = Call {
        method: GooseMethod::Post,
        ..Call::get(name, format!("/v1/event/{event}/{name}"), &organizer.token)
    };
    let answer: EventStatusResponse = visit.ask(call).await?;
    if answer.status == expected {
        Ok(())
    } else {
        fault(format!("{event} was told to {name} and is {:?}", answer.status))
    }
}

/// The closed result has every vote that was acknowledged, is what the stream ends with, and does not change.
async fn result_stands(
    visit: &mut Visit<'_>,
    organizer: &Person,
    event: EventId,
    ledger: Ledger,
) -> Result<(), Broken> {
    let mut result = Standings::new(event);
    let board = leaderboard(visit, organizer, event).await?;
    result.take_leaderboard(&board).map_err(Broken::Fault)?;
    if result.version() == 0 {
        return Err(Broken::Trouble(
            "organizer: the leaderboard was stale".to_string(),
        ));
    }
    if !result.closed() {
        return fault(format!(
            "{event} was closed, and its leaderboard says {:?}",
            board.status
        ));
    }
    let ledger = Ledger {
        counted: Some(result.sum()),
        ..ledger
    };
    if let Some(sentence) = ledger.unbalanced() {
        return fault(format!("{event}: {sentence}"));
    }
    let mut stream = Stream::open(visit, "last stream", event, &organizer.token, None).await?;
    stream.watch(visit, visit.world.pace.seen_max).await?;
    let streamed = stream.leave();
    if !streamed.closed() {
        return Err(Broken::Trouble(
            "organizer: the stream of a closed event did not end".to_string(),
        ));
    }
    if streamed.totals() != result.totals() {
        return fault(format!(
            "{event}: the stream ends with another result than the leaderboard has"
        ));
    }
    visit.world.think().await;
    let board = leaderboard(visit, organizer, event).await?;
    result.take_leaderboard(&board).map_err(Broken::Fault)
}
