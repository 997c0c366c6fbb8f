use proptest::prelude::*;

use super::*;

const PATIENCE: u64 = 10_000_000;

fn contestant(place: u32) -> ContestantId {
    format!("e1-c{place}").parse().expect("a contestant's id")
}

fn trace(number: u64) -> TraceId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&(number + 1).to_be_bytes());
    TraceId(bytes)
}

fn at(ms: u64) -> Micros {
    Micros(ms * 1_000)
}

/// A tally with the total of contestant 1, naming these votes.
fn tally(total: u64, traces: &[TraceId]) -> Sight {
    Sight {
        totals: vec![(contestant(1), total)],
        traces: traces.to_vec(),
        traces_missing: false,
    }
}

fn snapshot(total: u64) -> Sight {
    Sight {
        traces_missing: true,
        ..tally(total, &[])
    }
}

fn processed() -> Answer {
    Answer::Acknowledged(VoteStatus::Processed)
}

/// Books of a place that has seen a total of 5.
fn opened() -> Books {
    let mut books = Books::default();
    assert_eq!(books.saw(&snapshot(5), at(0)), []);
    books
}

fn outcomes(finished: &[Finished]) -> Vec<&'static str> {
    finished.iter().map(|probe| probe.outcome.name()).collect()
}

#[test]
fn a_probe_that_is_acknowledged_seen_and_processed_is_complete() {
    let mut books = opened();
    books.sent(trace(1), contestant(1), at(90), at(100));
    books.answered(trace(1), processed(), at(103));
    assert_eq!(books.to_check(), []);
    assert_eq!(books.saw(&tally(6, &[trace(1)]), at(150)), []);
    assert_eq!(books.to_check(), [trace(1)]);
    assert_eq!(
        books.close(at(160), PATIENCE),
        [],
        "its status was not asked for yet"
    );
    books.checked(trace(1), Checked::Is(VoteStatus::Processed));
    let finished = books.close(at(161), PATIENCE);
    let expected = Finished {
        trace: trace(1),
        outcome: Outcome::Complete,
        due_at: at(90),
        sent_at: at(100),
        acked_at: Some(at(103)),
        seen_at: Some(at(150)),
        status_unanswered: false,
    };
    assert_eq!(finished, [expected]);
    assert!(books.are_closed());
}

#[test]
fn the_stream_may_be_faster_than_the_answer() {
    let mut books = opened();
    books.sent(trace(1), contestant(1), at(100), at(100));
    assert_eq!(books.saw(&tally(6, &[trace(1)]), at(150)), []);
    books.answered(trace(1), processed(), at(180));
    books.checked(trace(1), Checked::Unanswered);
    let finished = books.close(at(190), PATIENCE);
    assert_eq!(outcomes(&finished), ["complete"]);
    assert!(finished[0].status_unanswered);
}

#[test]
fn what_is_acknowledged_and_never_shown_is_missing() {
    let mut books = opened();
    books.sent(trace(1), contestant(1), at(100), at(100));
    books.answered(trace(1), processed(), at(103));
    assert_eq!(books.close(at(10_099), PATIENCE), []);
    assert_eq!(outcomes(&books.close(at(10_100), PATIENCE)), ["missing"]);
    // It comes after all: late, and not one too many.
    assert_eq!(books.saw(&tally(6, &[trace(1)]), at(11_000)), []);
}

#[test]
fn a_vote_that_counts_twice_is_found() {
    let mut books = opened();
    books.sent(trace(1), contestant(1), at(100), at(100));
    books.answered(trace(1), processed(), at(103));
    let findings = books.saw(&tally(7, &[trace(1)]), at(150));
    let expected = Finding::TooMany {
        contestant: contestant(1),
        most: 6,
        shown: 7,
    };
    assert_eq!(findings, [expected]);
    assert_eq!(books.saw(&tally(7, &[]), at(200)), [], "it is told once");
}

#[test]
fn a_total_that_goes_back_is_found() {
    let mut books = opened();
    let expected = Finding::WentBack {
        contestant: contestant(1),
        from: 5,
        to: 4,
    };
    assert_eq!(books.saw(&snapshot(4), at(150)), [expected]);
    assert_eq!(books.saw(&snapshot(4), at(250)), [], "it is told once");
}

#[test]
fn a_vote_that_is_named_and_not_in_the_total_is_found() {
    let mut books = opened();
    books.sent(trace(1), contestant(1), at(100), at(100));
    let findings = books.saw(&tally(5, &[trace(1)]), at(150));
    assert!(
        matches!(findings[..], [Finding::NotInTotal { .. }]),
        "{findings:?}"
    );
}

#[test]
fn duplicates_and_rejections_are_wrong_for_a_probe() {
    for status in [VoteStatus::Duplicate, VoteStatus::Rejected] {
        let mut books = opened();
        books.sent(trace(1), contestant(1), at(100), at(100));
        books.answered(trace(1), Answer::Acknowledged(status), at(103));
        assert_eq!(outcomes(&books.close(at(20_000), PATIENCE)), ["wrong"]);
        let mut books = opened();
        books.sent(trace(1), contestant(1), at(100), at(100));
        books.answered(trace(1), processed(), at(103));
        books.saw(&tally(6, &[trace(1)]), at(150));
        books.checked(trace(1), Checked::Is(status));
        assert_eq!(outcomes(&books.close(at(160), PATIENCE)), ["wrong"]);
    }
}

#[test]
fn an_unknown_outcome_may_be_in_the_total_and_may_not() {
    for counted in [false, true] {
        let mut books = opened();
        books.sent(trace(1), contestant(1), at(100), at(100));
        books.answered(trace(1), Answer::Unknown("it hung up".to_owned()), at(103));
        assert_eq!(outcomes(&books.close(at(10_100), PATIENCE)), ["unanswered"]);
        let shown = 5 + u64::from(counted);
        assert_eq!(books.saw(&snapshot(shown), at(11_000)), []);
        assert!(matches!(
            books.saw(&snapshot(7), at(12_000))[..],
            [Finding::TooMany { most: 6, .. }]
        ));
    }
}

#[test]
fn a_refused_probe_is_over_at_once_and_in_no_total() {
    let mut books = opened();
    books.sent(trace(1), contestant(1), at(100), at(100));
    books.answered(trace(1), Answer::Refused("503".to_owned()), at(103));
    assert_eq!(outcomes(&books.close(at(104), PATIENCE)), ["refused"]);
    assert!(matches!(
        books.saw(&snapshot(6), at(200))[..],
        [Finding::TooMany { .. }]
    ));
}

#[test]
fn what_was_there_before_the_first_sight_is_taken_as_it_is() {
    let mut books = Books::default();
    for number in 1..3 {
        books.sent(trace(number), contestant(1), at(100), at(100));
    }
    books.answered(trace(1), processed(), at(103));
    assert_eq!(
        outcomes(&books.close(at(10_100), PATIENCE)),
        ["missing", "unanswered"]
    );
    assert_eq!(books.saw(&snapshot(900), at(10_200)), []);
    // The one in doubt may come yet.
    assert_eq!(books.saw(&snapshot(901), at(10_300)), []);
    assert!(matches!(
        books.saw(&snapshot(902), at(10_400))[..],
        [Finding::TooMany { .. }]
    ));
}

#[test]
fn after_a_cut_the_total_tells_who_was_seen() {
    let mut books = opened();
    books.sent(trace(1), contestant(1), at(100), at(100));
    books.answered(trace(1), processed(), at(103));
    books.saw(&snapshot(5), at(150));
    assert_eq!(books.to_check(), []);
    books.saw(&snapshot(6), at(200));
    assert_eq!(books.to_check(), [trace(1)]);
}

/// The stream was cut, two votes were counted meanwhile, and their answers come after the snapshot that has them.
#[test]
fn after_a_cut_answers_may_come_later_than_the_total() {
    let mut books = opened();
    for number in 1..4 {
        books.sent(trace(number), contestant(1), at(number), at(number));
    }
    books.saw(&snapshot(7), at(200));
    books.answered(trace(1), processed(), at(210));
    books.answered(trace(2), processed(), at(220));
    books.answered(trace(3), Answer::Unknown(String::new()), at(230));
    assert_eq!(books.to_check(), [trace(1), trace(2)]);
    // Its own tally names a later one, which is none of the earlier.
    books.sent(trace(4), contestant(1), at(300), at(300));
    books.answered(trace(4), processed(), at(310));
    assert_eq!(books.to_check().len(), 2);
    assert_eq!(books.saw(&tally(8, &[trace(4)]), at(320)), []);
    assert_eq!(books.to_check().len(), 3);
}

#[test]
fn a_total_without_room_for_what_is_acknowledged_hides_nothing() {
    let mut books = opened();
    for number in 1..3 {
        books.sent(trace(number), contestant(1), at(number), at(number));
        books.answered(trace(number), processed(), at(100));
    }
    books.saw(&snapshot(6), at(200));
    assert_eq!(
        outcomes(&books.close(at(20_000), PATIENCE)),
        ["missing", "missing"]
    );
}

#[test]
fn a_vote_that_is_not_known_any_more_is_missing_whatever_the_total_says() {
    let mut books = opened();
    books.sent(trace(1), contestant(1), at(100), at(100));
    books.answered(trace(1), processed(), at(103));
    books.saw(&tally(6, &[trace(1)]), at(150));
    books.checked(trace(1), Checked::Gone);
    assert_eq!(outcomes(&books.close(at(160), PATIENCE)), ["missing"]);
}

proptest! {
    /// A service that does as it should never makes a finding, in whatever order things become known.
    #[test]
    fn an_honest_service_is_never_accused(
        fates in prop::collection::vec((0_u8..4, any::<bool>(), 1_u64..3), 1..60)
    ) {
        let mut books = opened();
        let mut total = 5;
        for (number, (fate, cut, contestant_of)) in fates.iter().enumerate() {
            let (id, now) = (trace(number as u64), at(4_000 * number as u64));
            let contestant = contestant(*contestant_of as u32);
            books.sent(id, contestant, now, now);
            let counts = *fate < 2 || (*fate == 2 && *cut);
            if counts && *contestant_of == 1 {
                total += 1;
            }
            books.answered(id, match fate {
                0 | 1 => processed(),
                2 => Answer::Unknown(String::new()),
                _ => Answer::Refused(String::new()),
            }, now);
            if *contestant_of == 1 {
                let sight = if *cut { snapshot(total) } else { tally(total, if counts { std::slice::from_ref(&id) } else { &[] }) };
                prop_assert_eq!(books.saw(&sight, now.plus(50_000)), []);
            }
            for id in books.to_check() {
                books.checked(id, Checked::Is(VoteStatus::Processed));
            }
            books.close(now.plus(60_000), if *fate == 2 { 0 } else { PATIENCE });
        }
    }
}
