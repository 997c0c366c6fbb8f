//! Challenges, login and registration.

use serde_json::{Value, json};

use super::{row, run};
use crate::support::http::Call;
use crate::support::stage::Stage;

#[test]
fn login() {
    let stage = Stage::new();
    let login = |body: Value| Call::post("/v1/auth/login", &body);
    let password = crate::support::process::OPERATOR_PASSWORD;
    run(
        &stage,
        &[
            row(
                "right",
                login(json!({"username": "operator", "password": password})),
                200,
                "",
            ),
            row(
                "extra fields",
                login(json!({"username": "operator", "password": password, "x": 1})),
                200,
                "",
            ),
            row(
                "wrong password",
                login(json!({"username": "operator", "password": "no"})),
                401,
                "wrong-credentials",
            ),
            row(
                "unknown user",
                login(json!({"username": "nobody", "password": "no"})),
                401,
                "wrong-credentials",
            ),
            row(
                "no password",
                login(json!({"username": "operator"})),
                400,
                "invalid-field",
            ),
            row(
                "wrong type",
                login(json!({"username": 7, "password": "no"})),
                400,
                "invalid-field",
            ),
            row(
                "not JSON",
                Call::post_bytes("/v1/auth/login", b"{"),
                400,
                "malformed-json",
            ),
            row(
                "nothing",
                Call::post_bytes("/v1/auth/login", b""),
                400,
                "malformed-json",
            ),
            row(
                "wrong method",
                Call::get("/v1/auth/login"),
                405,
                "method-not-allowed",
            ),
        ],
    );
    let answer = stage.send(&login(json!({"username": "operator", "password": password})));
    assert_eq!(answer.json()["userId"], "u1");
    let cookie = answer.header("set-cookie").unwrap();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
}

#[test]
fn too_many_logins() {
    let stage = Stage::new();
    let call = Call::post(
        "/v1/auth/login",
        &json!({"username": "victim", "password": "guess"}),
    );
    let refused = (0..200)
        .map(|_| stage.send(&call))
        .find(|answer| answer.status == 429)
        .expect("a limit");
    assert_eq!(
        refused.assert_problem()["type"],
        "urn:ostraka:problem:too-many-requests"
    );
    assert!(
        refused
            .header("retry-after")
            .is_some_and(|seconds| seconds.parse::<u32>().is_ok())
    );
}

#[test]
fn logout() {
    let stage = Stage::new();
    let ada = registration("ada");
    stage.send(&Call::post("/v1/auth/register", &ada).token(&stage.operator_token));
    let log_in = || crate::support::stage::login(stage.public(), "ada", "a long enough password");
    let (token, other) = (log_in(), log_in());
    let call = || Call::post("/v1/auth/logout", &json!({}));
    let look = || Call::get("/v1/contestants/e1");
    let (nobody, cookie) = (stage.issuer.voter(4_000_000), format!("ostraka_token={token}"));
    run(
        &stage,
        &[
            row("no token", call(), 401, "unauthenticated"),
            row("bad token", call().token("x.y.z"), 401, "unauthenticated"),
            row(
                "expired",
                call().token(&stage.issuer.expired(2)),
                401,
                "unauthenticated",
            ),
            row(
                "by cookie",
                call().header("cookie", &cookie),
                401,
                "unauthenticated",
            ),
            row("user gone", call().token(&nobody), 404, "user-gone"),
            row(
                "wrong method",
                Call::get("/v1/auth/logout"),
                405,
                "method-not-allowed",
            ),
            row("still in", look().token(&token), 404, "event-not-found"),
            row("right", call().token(&token), 204, ""),
            row("again", call().token(&token), 401, "unauthenticated"),
            row("the other token", look().token(&other), 401, "unauthenticated"),
        ],
    );
    let token = log_in();
    assert_eq!(stage.send(&look().token(&token)).status, 404, "logged in anew");
    let cookie = stage.send(&call().token(&token));
    let cookie = cookie.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("ostraka_token=;") && cookie.contains("Max-Age=0"),
        "{cookie}"
    );
    let again = call().token(&stage.issuer.never_revoked(2));
    let logouts = || stage.send(&again).status;
    let refused = (0..20).map(|_| logouts()).find(|status| *status != 204);
    assert_eq!(refused, Some(429));
}

fn registration(username: &str) -> Value {
    json!({
        "username": username,
        "email": format!("{username}@example.org"),
        "date_of_birth": "1990-05-17",
        "password": "a long enough password",
    })
}

#[test]
fn register() {
    let stage = Stage::new();
    let operator = stage.operator_token.clone();
    let register = |body: &Value| Call::post("/v1/auth/register", body);
    let with = |body: &Value| register(body).token(&operator);
    let mut camel = registration("camel");
    camel["dateOfBirth"] = camel["date_of_birth"].take();
    camel.as_object_mut().unwrap().remove("date_of_birth");
    let changed = |field: &str, value: Value| {
        let mut body = registration("changed");
        body[field] = value;
        body
    };
    let without = |field: &str| {
        let mut body = registration("without");
        body.as_object_mut().unwrap().remove(field);
        body
    };
    let mut same_email = registration("other");
    same_email["email"] = "Ada@example.org".into();
    run(
        &stage,
        &[
            row("right", with(&registration("ada")), 201, ""),
            row("camelCase", with(&camel), 201, ""),
            row("no password", with(&without("password")), 201, ""),
            row(
                "taken username",
                with(&registration("ADA")),
                409,
                "username-taken",
            ),
            row("taken email", with(&same_email), 409, "email-taken"),
            row("no username", with(&without("username")), 400, "invalid-field"),
            row("no email", with(&without("email")), 400, "invalid-field"),
            row(
                "no date of birth",
                with(&without("date_of_birth")),
                400,
                "invalid-field",
            ),
            row(
                "wrong email",
                with(&changed("email", "nowhere".into())),
                400,
                "invalid-field",
            ),
            row(
                "wrong date",
                with(&changed("date_of_birth", "1990-02-31".into())),
                400,
                "invalid-field",
            ),
            row(
                "wrong type",
                with(&changed("username", 5.into())),
                400,
                "invalid-field",
            ),
            row(
                "short password",
                with(&changed("password", "short".into())),
                400,
                "invalid-field",
            ),
            row(
                "common password",
                with(&changed("password", "Password123".into())),
                400,
                "invalid-field",
            ),
            row(
                "the username in the password",
                with(&changed("password", "changed-2026".into())),
                400,
                "invalid-field",
            ),
            row(
                "not JSON",
                Call::post_bytes("/v1/auth/register", b"nope").token(&operator),
                400,
                "malformed-json",
            ),
            row("no token", register(&registration("bo")), 401, "unauthenticated"),
            row(
                "bad token",
                register(&registration("bo")).token("x.y.z"),
                401,
                "unauthenticated",
            ),
            row(
                "expired",
                register(&registration("bo")).token(&stage.issuer.expired(1)),
                401,
                "unauthenticated",
            ),
            row(
                "user gone",
                register(&registration("bo")).token(&stage.issuer.voter(4_000_000)),
                404,
                "user-gone",
            ),
            row(
                "a voter",
                register(&registration("bo")).token(&stage.issuer.voter(2)),
                403,
                "not-permitted",
            ),
        ],
    );
    let answer = stage.send(&with(&registration("eve")));
    assert!(
        answer.json()["user_id"].as_str().unwrap().starts_with('u'),
        "{answer:?}"
    );
    let token = crate::support::stage::login(stage.public(), "eve", "a long enough password");
    assert_ne!(token, stage.operator_token);
}

/// A challenge of this node, solved.
fn solved(stage: &Stage) -> Value {
    let answer = stage.send(&Call::post("/v1/auth/challenge", &json!({})));
    assert_eq!(answer.status, 200, "{answer:?}");
    let challenge = serde_json::from_slice(&answer.body).unwrap();
    serde_json::to_value(ostraka_client::solve(challenge).unwrap()).unwrap()
}

#[test]
fn challenge_and_solve() {
    let stage = Stage::new();
    let challenge = |body: Value| Call::post("/v1/auth/challenge", &body);
    let solve = |body: &Value| Call::post("/v1/auth/challenge/solve", body);
    let good = solved(&stage);
    let with = |pointer: &str, value: Value| {
        let mut body = good.clone();
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let counter = good["solution"]["counter"].as_u64().unwrap();
    let expired = with("/challenge/parameters/expiresAt", 1.into());
    let easier = with("/challenge/parameters/keyPrefix", "".into());
    let another = json!({"challenge": solved(&stage)["challenge"], "solution": good["solution"]});
    run(
        &stage,
        &[
            row("right", challenge(json!({})), 200, ""),
            row(
                "named purpose",
                challenge(json!({"purpose": "register"})),
                200,
                "",
            ),
            row(
                "other purpose",
                challenge(json!({"purpose": "vote"})),
                400,
                "invalid-field",
            ),
            row(
                "not JSON",
                Call::post_bytes("/v1/auth/challenge", b"{"),
                400,
                "malformed-json",
            ),
            row(
                "wrong method",
                Call::get("/v1/auth/challenge"),
                405,
                "method-not-allowed",
            ),
            row("an end put off", solve(&expired), 400, "challenge-invalid"),
            row("made easier", solve(&easier), 400, "challenge-invalid"),
            row(
                "forged",
                solve(&with("/challenge/signature", "00".repeat(32).into())),
                400,
                "challenge-invalid",
            ),
            row(
                "wrong number",
                solve(&with("/solution/counter", (counter + 1).into())),
                400,
                "solution-wrong",
            ),
            row("another's solution", solve(&another), 400, "solution-wrong"),
            row(
                "no solution",
                solve(&json!({"challenge": good["challenge"]})),
                400,
                "invalid-field",
            ),
            row(
                "not JSON",
                Call::post_bytes("/v1/auth/challenge/solve", b"{"),
                400,
                "malformed-json",
            ),
            row("solved", solve(&good), 200, ""),
            row("solved again", solve(&good), 409, "challenge-used"),
        ],
    );
    let token = stage.send(&solve(&solved(&stage))).json()["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let register = |name: &str| Call::post("/v1/auth/register", &registration(name)).token(&token);
    let operator = registration("operator");
    run(
        &stage,
        &[
            row(
                "no other route takes it",
                Call::get("/v1/contestants/e1").token(&token),
                401,
                "unauthenticated",
            ),
            row(
                "a changed token",
                Call::post("/v1/auth/register", &registration("ann")).token(&format!("{token}A")),
                401,
                "unauthenticated",
            ),
            row(
                "a taken name leaves it",
                Call::post("/v1/auth/register", &operator).token(&token),
                409,
                "username-taken",
            ),
            row("registers one", register("ann"), 201, ""),
            row("and no second", register("bob"), 401, "registration-token-used"),
        ],
    );
    crate::support::stage::login(stage.public(), "ann", "a long enough password");
}

#[test]
fn too_many_challenges() {
    let stage = Stage::new();
    let call = Call::post("/v1/auth/challenge", &json!({}));
    let call = &call;
    let stage = &stage;
    let refused = std::thread::scope(|scope| {
        let ask = || {
            (0..100)
                .map(|_| stage.send(call))
                .find(|answer| answer.status == 429)
        };
        let crowd: Vec<_> = (0..16).map(|_| scope.spawn(ask)).collect();
        crowd
            .into_iter()
            .filter_map(|thread| thread.join().unwrap())
            .next()
    });
    let refused = refused.expect("a limit");
    refused.assert_problem();
    assert!(refused.header("retry-after").is_some());
}

#[test]
fn who_is_too_young_is_refused_as_the_operator_says() {
    let stage = Stage::with(&["--minimum-age-years", "99"]);
    let call = Call::post("/v1/auth/register", &registration("ann")).token(&stage.operator_token);
    run(&stage, &[row("too young", call, 400, "invalid-field")]);
}

#[test]
fn too_many_registrations() {
    let stage = Stage::new();
    // Without a password nothing is hashed, so that a crowd on slow hardware is still quicker than the refill.
    let register = |number: u32| {
        let mut body = registration(&format!("crowd{number}"));
        body.as_object_mut().unwrap().remove("password");
        stage.send(&Call::post("/v1/auth/register", &body).token(&stage.operator_token))
    };
    let register = &register;
    let refused = std::thread::scope(|scope| {
        let crowd: Vec<_> = (0..8)
            .map(|thread| {
                let mut numbers = thread * 1_000..thread * 1_000 + 300;
                scope.spawn(move || {
                    numbers.find_map(|number| Some(register(number)).filter(|a| a.status == 429))
                })
            })
            .collect();
        crowd
            .into_iter()
            .filter_map(|thread| thread.join().unwrap())
            .next()
    });
    let refused = refused.expect("a limit");
    assert_eq!(
        refused.assert_problem()["type"],
        "urn:ostraka:problem:too-many-requests"
    );
    assert!(refused.header("retry-after").is_some());
}
