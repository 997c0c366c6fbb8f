//! What a client works for, and what it refuses to.

use proptest::prelude::*;

use super::*;
use crate::challenge::ChallengeData;
use crate::identity::Purpose;

fn parameters() -> ChallengeParameters {
    ChallengeParameters {
        algorithm: PROOF_ALGORITHM.to_owned(),
        cost: 1,
        data: ChallengeData {
            purpose: Purpose::Register,
        },
        expires_at: 4_000_000_000,
        key_length: PROOF_KEY_BYTES,
        key_prefix: "0".to_owned(),
        memory_cost: 8,
        nonce: "7e7541c1c70b40d34b4ad293b22310dc".to_owned(),
        parallelism: 1,
        salt: "e507a2c927cd23667a7d61fa8f6c2deb".to_owned(),
    }
}

#[test]
fn a_solution_is_the_only_one_that_passes() {
    let work = Work::new(&parameters()).unwrap();
    let solution = work.solve().unwrap();
    assert!(work.is_solved_by(&solution));
    let next = Solution {
        counter: solution.counter + 1,
        ..solution.clone()
    };
    assert!(!work.is_solved_by(&next), "the key is another counter's");
    let unsolved = (0..)
        .map(|counter| Solution {
            counter,
            derived_key: work.derived_key(counter).unwrap(),
        })
        .find(|solution| !solution.derived_key.starts_with('0'))
        .unwrap();
    assert!(
        !work.is_solved_by(&unsolved),
        "a true key that does not begin as asked"
    );
    let elsewhere = ChallengeParameters {
        salt: "00".repeat(16),
        ..parameters()
    };
    assert!(
        !Work::new(&elsewhere).unwrap().is_solved_by(&solution),
        "worked out for another challenge"
    );
}

/// Makes a challenge one that nobody should work for.
type Change = fn(&mut ChallengeParameters);

#[test]
fn unreasonable_work_is_refused() {
    let changes: [(Change, ProofError); 8] = [
        (|p| p.algorithm = "SCRYPT".to_owned(), ProofError::Algorithm),
        (
            |p| p.memory_cost = CLIENT_PROOF_MEMORY_KIB_MAX + 1,
            ProofError::Cost,
        ),
        (|p| p.memory_cost = 1, ProofError::Cost),
        (|p| p.cost = CLIENT_PROOF_PASSES_MAX + 1, ProofError::Cost),
        (
            |p| p.key_prefix = "0".repeat(CLIENT_PROOF_DIGITS_MAX + 1),
            ProofError::Cost,
        ),
        (|p| p.key_length = 64, ProofError::Cost),
        (|p| p.key_prefix = "x".to_owned(), ProofError::NotHex),
        (|p| p.nonce = "abc".to_owned(), ProofError::NotHex),
    ];
    for (number, (change, expected)) in changes.into_iter().enumerate() {
        let mut changed = parameters();
        change(&mut changed);
        assert_eq!(Work::new(&changed).err(), Some(expected), "change {number}");
    }
}

proptest! {
    #[test]
    fn hex_round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..40), text in ".{0,40}") {
        prop_assert_eq!(from_hex(&to_hex(&bytes)), Some(bytes.clone()));
        prop_assert_eq!(from_hex(&to_hex(&bytes).to_uppercase()), Some(bytes));
        if let Some(read) = from_hex(&text) {
            prop_assert_eq!(to_hex(&read), text.to_lowercase());
        }
    }
}
