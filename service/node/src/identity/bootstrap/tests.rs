use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use ostraka_api::LoginRequest;
use ostraka_core::VoterNumber;
use ostraka_replication::Refusal;

use super::*;
use crate::identity::testing::{Bench, Fault, bench};
use crate::token::Role;

async fn login(bench: &Bench, password: &str) -> Option<VoterNumber> {
    let request = LoginRequest {
        username: OPERATOR_USERNAME.to_owned(),
        password: password.to_owned(),
    };
    bench
        .service
        .login(request, [127, 0, 0, 1].into())
        .await
        .ok()
        .map(|(voter, _)| voter)
}

/// Runs `ensure_operator` without a password and returns what was announced.
async fn announced(bench: &Bench) -> Vec<String> {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&said);
    ensure_operator(&bench.service, None, move |text| {
        heard.lock().unwrap().push(text.to_owned())
    })
    .await
    .unwrap();
    let said = said.lock().unwrap();
    said.clone()
}

#[tokio::test]
async fn a_random_password_is_announced_once_and_opens_the_account() {
    let bench = bench(|_| {});
    let said = announced(&bench).await;
    let [sentence] = said.as_slice() else {
        panic!("{said:?}")
    };
    let password = sentence
        .split(' ')
        .find(|word| word.len() == PASSWORD_CHARS)
        .unwrap();
    assert_eq!(login(&bench, password).await, Some(VoterNumber(1)));
    assert!(announced(&bench).await.is_empty(), "there is an operator now");
    assert_eq!(bench.machine.read().accounts(), 1);
    assert_eq!(
        bench.machine.read().account(VoterNumber(1)).unwrap().role,
        Role::Operator
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_does_not_lose_the_password() {
    let bench = bench(|_| {});
    bench.log.quorum.store(true, Ordering::Relaxed);
    // The answer is lost and the replica lags: only a resubmission can tell whose account it is.
    bench
        .log
        .faults
        .lock()
        .extend([Fault::Refused(SubmitError::NoLeader), Fault::AnswerLost]);
    let said = announced(&bench).await;
    assert_eq!(said.len(), 1, "{said:?}");
    let password = said[0]
        .split(' ')
        .find(|word| word.len() == PASSWORD_CHARS)
        .unwrap();
    assert_eq!(login(&bench, password).await, Some(VoterNumber(1)));
}

/// A disk that is full stays so until a person does something, and each attempt is a line in the log.
#[tokio::test(start_paused = true)]
async fn a_refusal_is_not_met_again_ten_times_a_second() {
    let bench = bench(|_| {});
    let refused = || Fault::Refused(SubmitError::Refused(Refusal::StorageFull));
    bench.log.faults.lock().extend([refused(), refused(), refused()]);
    let begun = tokio::time::Instant::now();
    assert_eq!(announced(&bench).await.len(), 1);
    assert!(
        begun.elapsed() >= RETRY_INTERVAL * 3,
        "three refusals took {:?}",
        begun.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_waits_and_announces_nothing() {
    let bench = bench(|_| {});
    bench.log.leads.store(false, Ordering::Relaxed);
    let service = Arc::clone(&bench.service);
    let waiting =
        tokio::spawn(async move { ensure_operator(&service, None, |_| panic!("not ours to say")).await });
    tokio::time::sleep(LOOK_INTERVAL * 5).await;
    assert!(!waiting.is_finished());
    bench.log.leads.store(true, Ordering::Relaxed);
    bench.log.quorum.store(false, Ordering::Relaxed);
    tokio::time::sleep(LOOK_INTERVAL * 5).await;
    assert!(!waiting.is_finished(), "a leader without a quorum may be none");
    bench.log.leads.store(false, Ordering::Relaxed);
    bench.log.quorum.store(true, Ordering::Relaxed);
    // Another node makes it.
    let command = Command::CreateOperator(CreateOperator {
        request: RequestKey(9),
        username: Username::new(OPERATOR_USERNAME),
        password_hash: "$other".to_owned(),
    });
    bench.service.submit(&command).await.unwrap();
    bench.log.bring_replica_to(bench.log.committed());
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_weak_given_password_is_refused_with_a_sentence() {
    let bench = bench(|_| {});
    let refused = ensure_operator(&bench.service, Some("short".to_owned()), |_| {
        panic!("nothing to say")
    })
    .await;
    assert!(refused.unwrap_err().contains("8 to 128"));
    assert_eq!(bench.log.committed().0, 0);
}
