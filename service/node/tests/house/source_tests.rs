//! Each rule on sources finds its planted fault, and lets pass what only looks like one.

use super::*;

fn places(path: &str, text: &str) -> Vec<String> {
    check(path, text).into_iter().map(|found| found.place).collect()
}

/// The text, in that file, has exactly one fault, on that line.
fn assert_found(path: &str, text: &str, line: usize) {
    assert_eq!(places(path, text), [format!("{path}:{line}")], "{text}");
}

fn assert_passes(path: &str, text: &str) {
    assert_eq!(check(path, text), [], "{text}");
}

const CORE: &str = "service/core/src/state.rs";
const NODE: &str = "service/node/src/ingest.rs";

#[test]
fn core_stays_pure() {
    assert_found(CORE, "\nuse std::collections::HashMap;", 2);
    assert_found(CORE, "use std::collections::HashSet;", 1);
    assert_found(CORE, "async fn wait() {}", 1);
    assert_found(CORE, "fn f() { std::fs::read(p); }", 1);
    assert_found(CORE, "fn f() { std::net::lookup(p); }", 1);
    assert_found(CORE, "fn f() { std::thread::spawn(g); }", 1);
    assert_found(CORE, "fn f(r: rand::Rng) {}", 1);
    assert!(!places(CORE, "use std::time::Instant;").is_empty());
    assert!(!places(CORE, "use std::time::{Duration, Instant};").is_empty());
    assert!(!places(CORE, "use std::time::SystemTime;").is_empty());
    assert_passes(
        CORE,
        "/// Not a HashMap.\nfn f() { let text = \"HashMap Instant\"; } // SystemTime",
    );
    assert_passes(NODE, "use std::collections::HashMap;");
}

#[test]
fn tests_may_do_what_the_code_may_not() {
    assert_passes(
        CORE,
        "fn f() {}\n#[cfg(test)]\nmod tests { use std::collections::HashMap; }",
    );
    assert_passes(CORE, "#[cfg(test)]\nuse std::collections::HashMap;\nfn f() {}");
    assert_passes("service/core/tests/model.rs", "use std::collections::HashMap;");
    assert_passes("service/replication/examples/bench.rs", "use std::time::Instant;");
    // What follows the tests is not a test.
    assert_found(
        CORE,
        "#[cfg(test)]\nmod tests { }\nuse std::collections::HashMap;",
        3,
    );
}

#[test]
fn time_and_chance_come_from_env() {
    assert_found(NODE, "\n\nfn f() { SystemTime::now(); }", 3);
    assert_found(NODE, "fn f() { rand::thread_rng(); }", 1);
    assert_found(NODE, "fn f() { rand::rng().next(); }", 1);
    assert_found(NODE, "fn f() { rand::random::<u8>(); }", 1);
    assert_found(NODE, "use rand::rngs::SysRng;", 1);
    assert_found(NODE, "use argon2::OsRng;", 1);
    assert_found(NODE, "fn f() { getrandom::fill(b); }", 1);
    assert_found(NODE, "fn f() { uuid::new(); }", 1);
    assert_found(NODE, "use std::time::Instant;", 1);
    assert_found(NODE, "use std::time::{Duration, Instant};", 1);
    assert_found(NODE, "fn f() { OffsetDateTime::now_utc(); }", 1);
    assert_found(
        "service/client/src/stream.rs",
        "fn f() { std::time::Instant::now(); }",
        1,
    );
    assert_passes(NODE, "use tokio::time::Instant;\nuse std::time::Duration;");
    assert_passes(NODE, "fn f(r: rand::rngs::StdRng) {}");
    assert_passes("service/node/src/env.rs", "fn f() { SystemTime::now(); }");
    assert_passes("loadtest/src/main.rs", "fn f() { std::time::Instant::now(); }");
}

#[test]
fn no_dice_in_select() {
    assert_found(NODE, "fn f() {\n tokio::select! { a = b => {} } }", 2);
    assert_found(NODE, "fn f() { tokio::select! { biased_a = b => {} } }", 1);
    assert_passes(NODE, "fn f() { tokio::select! { biased; a = b => {} } }");
}

#[test]
fn no_watch_of_tokio() {
    assert_found(NODE, "use tokio::sync::watch;", 1);
    assert_found(NODE, "fn f() { tokio::sync::watch::channel(0); }", 1);
    assert_found(NODE, "use tokio::sync::{mpsc, watch};", 1);
    assert_found(NODE, "use tokio::{sync::{\nmpsc, watch}, net};", 2);
    assert_passes(
        NODE,
        "use ostraka_replication::runtime::watch;\nuse tokio::sync::{mpsc, oneshot};\nfn watch() {}",
    );
}

#[test]
fn nothing_unfinished() {
    assert_found(NODE, "fn f() { todo!() }", 1);
    assert_found("loadtest/src/main.rs", "fn f() { unimplemented!(\"later\") }", 1);
    assert_passes(NODE, "fn todo() { todo(); } // todo!");
}

#[test]
fn the_model_does_not_judge_with_the_services_logic() {
    assert_found("sim/model/src/oracle.rs", "use ostraka_core::State;", 1);
    assert_found("sim/model/src/oracle.rs", "fn f() { ostraka_core::apply(s); }", 1);
    assert_passes("sim/model/src/oracle.rs", "use ostraka_core::VoterNumber;");
}

#[test]
fn long_files_and_broken_files_are_found() {
    let long = "fn f() {}\n".repeat(FILE_LINES_MAX);
    assert_passes(NODE, &long);
    assert_eq!(places(NODE, &(long + "\n")), [NODE]);
    assert_eq!(places(NODE, "fn f( {"), [NODE]);
}

#[test]
fn limits_stand_in_one_module() {
    assert_found(NODE, "const QUEUE_MAX: usize = 4_096;", 1);
    assert_found(
        NODE,
        "\nconst CALL_TIMEOUT: Duration = Duration::from_secs(1);",
        2,
    );
    assert_found(NODE, "impl A { pub(crate) const PAUSE_MS_MIN: u64 = 7; }", 1);
    assert_found(
        "service/api/src/vote.rs",
        "pub const ID_CHARS_MAX: usize = 64;",
        1,
    );
    for place in [".rs", "/clients.rs"] {
        assert_passes(&format!("{LIMITS}{place}"), "pub const QUEUE_MAX: usize = 4_096;");
    }
    assert_found(
        &format!("{LIMITS}_of_ours.rs"),
        "pub const QUEUE_MAX: usize = 4_096;",
        1,
    );
    assert_passes("sim/model/src/plan.rs", "const QUEUE_MAX: usize = 4_096;");
    // Made of limits, or no limit.
    assert_passes(NODE, "const LOOKS_MAX: u64 = HTTP_STALL_MS_MAX / HTTP_WATCH_MS;");
    assert_passes(
        NODE,
        "const CALL_TIMEOUT: Duration = Duration::from_millis(CALL_MS_MAX);",
    );
    assert_passes(NODE, "const MAC_BYTES: usize = 8;");
    assert_passes(
        NODE,
        "fn f<T, const BYTES_MAX: usize>(a: T) { g::<7>(a); }\nstruct B<const N_MAX: usize = LOG_MAX>;",
    );
    assert_passes(
        NODE,
        "fn f() {}\n#[cfg(test)]\nmod tests { const QUEUE_MAX: usize = 1; }",
    );
}
