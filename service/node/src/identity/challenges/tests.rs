//! What is signed cannot be changed, and what was made elsewhere by the same protocol is read the same.

use ostraka_api::{Solution, Work};
use proptest::prelude::*;

use super::*;
use crate::identity::testing::SeededEntropy;
use crate::token::{Role, Tokens};

const NOW: UnixMs = UnixMs(1_700_000_000_123);

fn challenges() -> Challenges {
    Challenges::new(&secrets())
}

fn secrets() -> Secrets {
    Secrets::derive(&[7; 32], &["k1".to_owned()])
}

fn challenge(step: u32) -> Challenge {
    challenges().issue(Purpose::Register, step, NOW, &SeededEntropy::new(1))
}

/// Made and solved by the crate `altcha` 1.1.0 with this key.
#[test]
fn the_protocol_is_altchas() {
    let text = r#"{"parameters":{"algorithm":"ARGON2ID","cost":1,"data":{"purpose":"register"},"expiresAt":4000000000,"keyLength":32,"keyPrefix":"00","memoryCost":64,"nonce":"7e7541c1c70b40d34b4ad293b22310dc","parallelism":1,"salt":"e507a2c927cd23667a7d61fa8f6c2deb"},"signature":"50efdee350d07abdb50f554a011b6f5efa7fb8d2358de2e3689294fab3f2e78a"}"#;
    let challenge: Challenge = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&challenge).unwrap(), text);
    let theirs = Challenges {
        challenge_mac: Hmac::new_from_slice(b"a key for this vector alone").unwrap(),
        token_mac: challenges().token_mac,
    };
    let known = theirs.check(&challenge, NOW).unwrap();
    assert_eq!(known.expires_at, UnixMs(4_000_000_000_000));
    let solution = Solution {
        counter: 312,
        derived_key: "00a181c1339514c33df80784df8aed8229556d02bbe0518922cbdd9e00f20b90".to_owned(),
    };
    let work = Work::new(&challenge.parameters).unwrap();
    assert!(work.is_solved_by(&solution));
    assert_eq!(work.solve(), Ok(solution));
}

#[test]
fn each_step_doubles_the_work() {
    let mut before = 0;
    for step in 0..=PROOF_STEPS_MAX {
        let parameters = challenge(step).parameters;
        let work = u64::from(parameters.cost) << (4 * parameters.key_prefix.len());
        assert!(
            before == 0 || work == 2 * before,
            "step {step}: {work} after {before}"
        );
        before = work;
        assert!(
            Work::new(&parameters).is_ok(),
            "a client takes what the service gives"
        );
    }
    assert_eq!(
        challenge(u32::MAX).parameters.cost,
        challenge(PROOF_STEPS_MAX).parameters.cost
    );
}

#[test]
fn no_part_of_a_challenge_can_be_changed() {
    let challenges = challenges();
    let good = challenge(3);
    assert!(challenges.check(&good, NOW).is_ok());
    let changes: [fn(&mut Challenge); 10] = [
        |c| c.parameters.cost = 1,
        |c| c.parameters.key_prefix = "0".to_owned(),
        |c| c.parameters.memory_cost = 8,
        |c| c.parameters.parallelism = 2,
        |c| c.parameters.key_length = 16,
        |c| c.parameters.expires_at += 1_000_000,
        |c| c.parameters.nonce = "00".repeat(16),
        |c| c.parameters.salt = "00".repeat(16),
        |c| c.parameters.algorithm = "SHA-256".to_owned(),
        |c| c.signature = "00".repeat(32),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = good.clone();
        change(&mut changed);
        assert_eq!(
            challenges.check(&changed, NOW),
            Err(BadChallenge::Forged),
            "change {number}"
        );
    }
    let foreign = Challenges::new(&Secrets::derive(&[8; 32], &["k1".to_owned()]));
    assert_eq!(foreign.check(&good, NOW), Err(BadChallenge::Forged));
}

#[test]
fn challenges_and_tokens_expire() {
    let challenges = challenges();
    let good = challenge(0);
    let end = UnixMs(good.parameters.expires_at * 1_000);
    assert!(challenges.check(&good, UnixMs(end.0 - 1)).is_ok());
    assert_eq!(challenges.check(&good, end), Err(BadChallenge::Expired));
    let token = challenges.token(Nonce([3; 16]), end);
    assert_eq!(
        challenges.check_token(&token, UnixMs(end.0 - 1)),
        Ok(Nonce([3; 16]))
    );
    assert_eq!(challenges.check_token(&token, end), Err(BadToken::Expired));
}

#[test]
fn a_token_for_one_purpose_is_none_for_another() {
    let (challenges, tokens) = (challenges(), Tokens::new(&secrets()));
    let registration = challenges.token(Nonce([3; 16]), UnixMs(NOW.0 + 1_000));
    assert!(tokens.verify(&registration, NOW).is_err());
    let access = tokens.sign(
        ostraka_core::VoterNumber(1),
        Role::Operator,
        NOW,
        std::time::Duration::from_secs(60),
    );
    assert!(!Challenges::looks_like_token(&access));
    assert_eq!(challenges.check_token(&access, NOW), Err(BadToken::Forged));
    // A challenge's signature is none of a token, though both are HMACs of one cluster.
    assert_ne!(secrets().challenge_key, secrets().registration_key);
}

proptest! {
    #[test]
    fn any_flipped_bit_of_a_token_is_refused(position in 0usize..10_000, bit in 0u8..7) {
        let challenges = challenges();
        let mut bytes = challenges.token(Nonce([3; 16]), UnixMs(NOW.0 + 1_000)).into_bytes();
        let position = position % bytes.len();
        bytes[position] ^= 1 << bit;
        let flipped = String::from_utf8(bytes).expect("seven bits are ASCII");
        prop_assert_eq!(challenges.check_token(&flipped, NOW), Err(BadToken::Forged));
    }

    #[test]
    fn garbage_never_panics(text in ".{0,200}", tail in "[-_.A-Za-z0-9]{0,200}") {
        let challenges = challenges();
        prop_assert!(challenges.check_token(&text, NOW).is_err());
        let with_head = format!("{TOKEN_HEAD}{tail}");
        prop_assert!(challenges.check_token(&with_head, NOW).is_err());
        let mut changed = challenge(0);
        changed.signature = text;
        prop_assert!(challenges.check(&changed, NOW).is_err());
    }
}
