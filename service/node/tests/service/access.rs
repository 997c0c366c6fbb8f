//! Every public route, asked over HTTP by everyone who may come: who gets in is what is documented, and nobody else does.
//!
//! What is expected is written here once more, by hand, and not taken from the table that the node goes by.

use std::collections::BTreeSet;
use std::time::Duration;

use ostraka_node::http::Route;
use ostraka_node::http::route::Verb;
use serde_json::{Value, json};

use crate::support::http::Call;
use crate::support::stage::{Stage, vote_call};

/// Who asks, and in whose name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    NoToken,
    Garbage,
    Expired,
    /// The token of one who has logged out.
    Revoked,
    /// A registration token: another purpose.
    OtherPurpose,
    /// An organizer's valid token, in the cookie and not in the header.
    CookieOnly,
    /// A voter, for himself.
    Voter,
    /// A voter who gives himself out as the organizer.
    Impostor,
    /// Who owns the event and the vote.
    Organizer,
    /// For himself, and over an event of the organizer's.
    Operator,
}

const EVERYONE: [Who; 10] = [
    Who::NoToken,
    Who::Garbage,
    Who::Expired,
    Who::Revoked,
    Who::OtherPurpose,
    Who::CookieOnly,
    Who::Voter,
    Who::Impostor,
    Who::Organizer,
    Who::Operator,
];

/// What the documentation says. A route without an arm does not compile.
fn expected(route: Route, who: Who) -> u16 {
    let by_token = |voter, impostor, organizer, operator| match who {
        Who::NoToken | Who::Garbage | Who::Expired | Who::Revoked => 401,
        Who::OtherPurpose | Who::CookieOnly => 401,
        Who::Voter => voter,
        Who::Impostor => impostor,
        Who::Organizer => organizer,
        Who::Operator => operator,
    };
    match route {
        Route::Login | Route::Challenge | Route::OpenApi => 200,
        // The impostor has the token with which the voter has logged out just before.
        Route::Logout => by_token(204, 401, 204, 204),
        // What is sent there is no solution, whoever sends it.
        Route::Solve => 400,
        Route::Register if who == Who::OtherPurpose => 201,
        Route::Register => by_token(403, 403, 403, 201),
        Route::EventCreate => by_token(200, 403, 200, 200),
        Route::EventOpen | Route::EventClose => by_token(403, 403, 200, 200),
        Route::EventStream if who == Who::CookieOnly => 200,
        Route::EventStream | Route::Leaderboard | Route::Contestants => by_token(200, 200, 200, 200),
        Route::VoteSubmit => by_token(200, 403, 200, 200),
        Route::VoteStatus => by_token(404, 404, 200, 404),
        Route::Other => 404,
    }
}

/// A node with an organizer, who has an event and a vote, and a voter.
struct Scene {
    stage: Stage,
    organizer: u32,
    voter: u32,
    logged_out: u32,
    event: String,
    vote: String,
    /// Names given to whom the tries register.
    registered: std::cell::Cell<u32>,
}

impl Scene {
    fn new() -> Self {
        let stage = Stage::new();
        let [organizer, voter, logged_out] =
            ["organizer", "voter", "logged-out"].map(|name| register(&stage, name));
        let logout = Call::post("/v1/auth/logout", &json!({})).token(&stage.issuer.voter(logged_out));
        assert_eq!(stage.send(&logout).status, 204);
        let event = create(&stage, organizer);
        let vote = vote_call(&stage.issuer.voter(organizer), organizer, &event, 0);
        let vote = stage.send(&vote).json()["vote_id"].as_str().unwrap().to_owned();
        Self {
            stage,
            organizer,
            voter,
            logged_out,
            event,
            vote,
            registered: std::cell::Cell::new(0),
        }
    }

    /// In whose name somebody asks.
    fn user(&self, who: Who) -> u32 {
        match who {
            Who::Voter => self.voter,
            Who::Operator => 1,
            _ => self.organizer,
        }
    }

    fn call(&self, route: Route, who: Who) -> Call {
        let user = format!("u{}", self.user(who));
        // Who may close one closes it for good.
        let event = match (route, who) {
            (Route::EventClose, Who::Organizer | Who::Operator) => create(&self.stage, self.organizer),
            _ => self.event.clone(),
        };
        let path = route
            .path()
            .replace("{event_id}", &event)
            .replace("{vote_id}", &self.vote);
        let body = match route {
            Route::Login => {
                json!({"username": "operator", "password": crate::support::process::OPERATOR_PASSWORD})
            }
            Route::Register => {
                let number = self.registered.replace(self.registered.get() + 1);
                person(&format!("person{number}"))
            }
            Route::EventCreate => {
                json!({"user_id": user, "event_name": "Mine", "contestants": [{"contestant_name": "A"}, {"contestant_name": "B"}]})
            }
            Route::VoteSubmit => {
                json!({"user_id": user, "event_id": event, "contestant_id": format!("{event}-c0")})
            }
            _ => json!({}),
        };
        let call = match route.verb() {
            Verb::Get => Call::get(&path),
            Verb::Post => Call::post(&path, &body),
        };
        self.shown(call, who)
    }

    fn shown(&self, call: Call, who: Who) -> Call {
        let issuer = &self.stage.issuer;
        match who {
            Who::NoToken => call,
            Who::Garbage => call.token("x.y.z"),
            Who::Expired => call.token(&issuer.expired(self.organizer)),
            Who::Revoked => call.token(&issuer.voter(self.logged_out)),
            Who::OtherPurpose => call.token(&registration_token(&self.stage)),
            Who::CookieOnly => {
                let cookie = format!("ostraka_token={}", issuer.voter(self.organizer));
                call.header("cookie", &cookie)
            }
            Who::Voter | Who::Impostor => call.token(&issuer.voter(self.voter)),
            Who::Organizer => call.token(&issuer.voter(self.organizer)),
            Who::Operator => call.token(&self.stage.operator_token),
        }
    }

    /// What is wrong with the answer, if anything.
    fn judge(&self, route: Route, who: Who, expected: u16) -> Option<String> {
        let mut answer = self.call(route, who).send_for_head(self.stage.public());
        // All of them log in as the same user, whose guesses are counted: one more is let through every six seconds.
        if route == Route::Login && answer.status == 429 {
            std::thread::sleep(Duration::from_millis(6_500));
            answer = self.call(route, who).send_for_head(self.stage.public());
        }
        (answer.status != expected)
            .then(|| format!("{route:?}, {who:?}: {expected} expected, got {}", answer.status))
    }
}

fn person(name: &str) -> Value {
    json!({"username": name, "email": format!("{name}@example.org"), "date_of_birth": "1990-05-17"})
}

fn register(stage: &Stage, name: &str) -> u32 {
    let call = Call::post("/v1/auth/register", &person(name)).token(&stage.operator_token);
    let answer = stage.send(&call).json();
    let user_id = answer["user_id"].as_str().unwrap();
    user_id.strip_prefix('u').unwrap().parse().unwrap()
}

/// An open event of this owner's.
fn create(stage: &Stage, owner: u32) -> String {
    let body = json!({"user_id": format!("u{owner}"), "event_name": "Song", "contestants": [{"contestant_name": "A"}, {"contestant_name": "B"}]});
    let call = Call::post("/v1/event/create", &body).token(&stage.issuer.voter(owner));
    let answer = stage.send(&call);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["event_id"].as_str().unwrap().to_owned()
}

fn registration_token(stage: &Stage) -> String {
    let answer = stage.send(&Call::post("/v1/auth/challenge", &json!({})));
    let challenge = serde_json::from_slice(&answer.body).unwrap();
    let solved = serde_json::to_value(ostraka_client::solve(challenge).unwrap()).unwrap();
    let answer = stage
        .send(&Call::post("/v1/auth/challenge/solve", &solved))
        .json();
    answer["token"].as_str().unwrap().to_owned()
}

#[test]
fn every_route_lets_in_whom_it_should_and_nobody_else() {
    let scene = Scene::new();
    // Whoever has logged out gets in nowhere, so that these come last.
    let (last, first): (Vec<Route>, Vec<Route>) =
        Route::ALL.iter().partition(|route| **route == Route::Logout);
    let routes: Vec<Route> = first.into_iter().chain(last).collect();
    let wrong: Vec<String> = routes
        .iter()
        .flat_map(|route| EVERYONE.map(|who| (*route, who)))
        .filter_map(|(route, who)| scene.judge(route, who, expected(route, who)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_judge_of_who_gets_in_can_fail() {
    let scene = Scene::new();
    assert!(scene.judge(Route::Leaderboard, Who::NoToken, 200).is_some());
    assert!(scene.judge(Route::Leaderboard, Who::Voter, 401).is_some());
}

/// What the node says of itself, and so what its routers serve, is what the table has.
#[test]
fn the_table_and_the_document_have_the_same_routes() {
    let stage = Stage::new();
    let document = stage.send(&Call::get("/openapi.json")).json();
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap();
            methods.keys().map(|method| (method.clone(), path.clone()))
        })
        .collect();
    let listed: BTreeSet<(String, String)> = Route::ALL
        .iter()
        // The document does not describe itself.
        .filter(|route| **route != Route::OpenApi)
        .map(|route| {
            let verb = format!("{:?}", route.verb()).to_lowercase();
            (verb, route.path().to_owned())
        })
        .collect();
    assert_eq!(described, listed);
}

/// docs/security.md has the table as it is.
#[test]
fn the_table_is_written_down() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/security.md");
    let page = std::fs::read_to_string(page).unwrap();
    for route in Route::ALL {
        let (shows, own) = route.rule().in_words();
        let verb = format!("{:?}", route.verb()).to_uppercase();
        let row = format!("| `{verb} {}` | {shows} | {own} |", route.path());
        assert!(page.contains(&row), "docs/security.md lacks the row\n{row}");
    }
}
