//! One suite for every store.

use ostraka_core::{RequestKey, UnixMs};

use super::sled_store::in_our_words;
use super::*;
use crate::identity::account::{Email, Username};
use crate::identity::grants::{Grant, Nonce};
use crate::identity::revocations::Revocation;
use crate::token::Role;

fn account(number: u32) -> Account {
    Account {
        voter: VoterNumber(number),
        role: if number == 1 { Role::Operator } else { Role::Voter },
        username: Username::new(&format!("User{number}")),
        email: (number != 1).then(|| Email::new(&format!("u{number}@example.org"))),
        date_of_birth: None,
        password_hash: None,
        registered_by: None,
        registered_at: UnixMs(u64::from(number)),
        request: RequestKey(u128::from(number)),
    }
}

fn head(applied: u64, next_voter: u32) -> Head {
    let operator = (next_voter > 1).then_some(VoterNumber(1));
    Head {
        applied: LogIndex(applied),
        next_voter: VoterNumber(next_voter),
        operator,
    }
}

/// Account n is committed at log index `base` + n.
fn fill(store: &mut dyn AccountStore, base: u64, accounts: std::ops::RangeInclusive<u32>) {
    for number in accounts {
        store.commit(
            head(base + u64::from(number), number + 1),
            &Effects::created(account(number)),
        );
    }
}

fn read(image: &dyn AccountsImage) -> Vec<Account> {
    image.accounts().collect::<io::Result<_>>().unwrap()
}

/// Everything a store promises that needs no restart.
fn conforms(store: &mut dyn AccountStore) {
    finds_what_was_put(store);
    what_is_remembered_is_kept(store);
    images_and_replacements(store);
    fill(store, 5_000, 3..=300);
    a_renewed_hash_changes_no_image_of_before(store);
}

fn finds_what_was_put(store: &mut dyn AccountStore) {
    assert_eq!(store.head(), Head::NEW);
    assert!(store.account(VoterNumber(0)).is_none() && store.account(VoterNumber(1)).is_none());
    store.commit(head(3, 1), &Effects::default());
    assert_eq!(store.head(), head(3, 1));

    fill(store, 10, 1..=300);
    assert_eq!(store.head(), head(310, 301));
    for number in [1, 2, 255, 256, 300] {
        assert_eq!(store.account(VoterNumber(number)), Some(account(number)));
        assert_eq!(
            store.voter_by_username(&format!("user{number}")),
            Some(VoterNumber(number))
        );
        let email = Email::new(&format!("u{number}@example.org"));
        assert_eq!(
            store.voter_by_email(&email.key),
            (number != 1).then_some(VoterNumber(number))
        );
    }
    assert!(store.account(VoterNumber(301)).is_none());
    assert!(
        store.voter_by_username("User1").is_none(),
        "only the unique form is a key"
    );
    assert!(
        store.voter_by_username("user").is_none(),
        "a part of a key is no key"
    );
}

fn what_is_remembered_is_kept(store: &mut dyn AccountStore) {
    let granted = GrantsChange {
        now: UnixMs(5),
        put: Some((
            Nonce([1; 16]),
            Grant {
                request: RequestKey(9),
                expires_at: UnixMs(7),
                spent: true,
            },
        )),
        forgotten: Vec::new(),
    };
    let revocation = Revocation {
        at: LogIndex(311),
        forget_at: UnixMs(8),
    };
    let revoked = RevocationsChange {
        now: UnixMs(6),
        put: Some((VoterNumber(7), revocation)),
        forgotten: Vec::new(),
    };
    let effects = Effects {
        grants: Some(granted),
        revocations: Some(revoked),
        ..Effects::default()
    };
    let next = Head {
        applied: LogIndex(311),
        ..store.head()
    };
    store.commit(next, &effects);
    let Remembered { grants, revocations } = store.remembered();
    assert_eq!((grants.now(), grants.iter().len()), (UnixMs(5), 1));
    assert_eq!(revocations.now(), UnixMs(6));
    assert!(revocations.iter().eq([(VoterNumber(7), revocation)]));
}

/// The next entry renews the hash of this account.
fn renew(store: &mut dyn AccountStore, voter: u32, password_hash: &str) {
    let head = store.head();
    let next = Head {
        applied: LogIndex(head.applied.0 + 1),
        ..head
    };
    let renewed = Renewed {
        voter: VoterNumber(voter),
        password_hash: password_hash.to_owned(),
    };
    let effects = Effects {
        renewed: Some(renewed),
        ..Effects::default()
    };
    store.commit(next, &effects);
}

fn a_renewed_hash_changes_no_image_of_before(store: &mut dyn AccountStore) {
    let before = store.image();
    renew(store, 7, "$first");
    let between = store.image();
    renew(store, 7, "$second");
    renew(store, 300, "$other");
    let hash_in = |image: &dyn AccountsImage, number: usize| read(image)[number - 1].password_hash.clone();
    assert_eq!(hash_in(&*before, 7), None);
    assert_eq!(hash_in(&*between, 7).as_deref(), Some("$first"));
    assert_eq!(hash_in(&*between, 300), None);
    assert_eq!(hash_in(&*store.image(), 7).as_deref(), Some("$second"));
    let renewed = store.account(VoterNumber(7)).unwrap();
    assert_eq!(renewed.password_hash.as_deref(), Some("$second"));
    assert_eq!(
        Account {
            password_hash: None,
            ..renewed
        },
        account(7),
        "nothing else is changed"
    );
    assert_eq!(store.voter_by_username("user7"), Some(VoterNumber(7)));
}

fn images_and_replacements(store: &mut dyn AccountStore) {
    let kept = store.remembered().clone();
    let image = store.image();
    fill(store, 11, 301..=600);
    assert_eq!(image.head(), head(311, 301));
    assert_eq!(image.remembered(), &kept);
    assert_eq!(
        read(&*image),
        (1..=300).map(account).collect::<Vec<_>>(),
        "an image does not move on"
    );

    let failing = (1..=280).map(|number| {
        if number == 270 {
            Err(io::Error::other("cut"))
        } else {
            Ok(account(number))
        }
    });
    assert!(
        store
            .replace(head(1_000, 281), Remembered::default(), &mut failing.into_iter())
            .is_err()
    );
    assert_eq!(
        store.head(),
        head(611, 601),
        "a replacement that fails leaves what was there"
    );
    assert_eq!(store.account(VoterNumber(600)), Some(account(600)));

    store
        .replace(
            head(2_000, 271),
            Remembered::default(),
            &mut (1..=270).map(|number| Ok(account(number))),
        )
        .unwrap();
    assert_eq!(store.head(), head(2_000, 271));
    assert_eq!(store.remembered(), &Remembered::default());
    assert_eq!(store.account(VoterNumber(270)), Some(account(270)));
    assert!(store.account(VoterNumber(271)).is_none());
    assert!(store.voter_by_username("user271").is_none() && store.voter_by_username("user270").is_some());
    assert_eq!(read(&*image).len(), 300, "an image outlives a replacement");
    assert_eq!(read(&*store.image()).len(), 270);
    drop(image);

    store
        .replace(head(3_000, 1), kept.clone(), &mut std::iter::empty())
        .unwrap();
    assert!(read(&*store.image()).is_empty());
    fill(store, 4_000, 1..=2);
    assert_eq!(store.head().next_voter, VoterNumber(3));
}

#[test]
fn memory_conforms() {
    conforms(&mut MemoryAccounts::default());
}

#[test]
fn sled_conforms_and_keeps_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SledAccounts::open(folder.path()).unwrap();
    conforms(&mut store);
    let (at_the_end, remembered) = (store.head(), store.remembered().clone());
    let accounts = read(&*store.image());
    assert_eq!(remembered.grants.iter().len(), 1);
    assert_eq!(remembered.revocations.iter().len(), 1);
    drop(store);
    let store = SledAccounts::open(folder.path()).unwrap();
    assert_eq!(store.remembered(), &remembered);
    assert_eq!(store.head(), at_the_end);
    assert_eq!(read(&*store.image()), accounts);
    assert_eq!(accounts.len(), 300);
}

/// What a killed process leaves: the files as they are while the store is still open.
fn copy_of(folder: &std::path::Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    copy
}

#[test]
fn a_killed_process_leaves_an_earlier_state_that_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SledAccounts::open(folder.path()).unwrap();
    let mut seen = Vec::new();
    for round in 0..20 {
        fill(&mut store, 10, round * 200 + 1..=round * 200 + 200);
        let copy = copy_of(folder.path());
        let left = SledAccounts::open(copy.path()).unwrap();
        let accounts = read(&*left.image());
        assert_eq!(accounts.len() as u32 + 1, left.head().next_voter.0);
        assert_eq!(
            left.head(),
            if accounts.is_empty() {
                Head::NEW
            } else {
                head(10 + accounts.len() as u64, accounts.len() as u32 + 1)
            }
        );
        for account in &accounts {
            assert_eq!(left.voter_by_username(&account.username.key), Some(account.voter));
        }
        seen.push(accounts.len());
    }
    assert!(
        seen.iter().any(|&count| count > 0),
        "nothing ever reached the disk: {seen:?}"
    );
    assert!(seen.last() < Some(&4_000), "nothing was ever behind: {seen:?}");
}

#[test]
fn an_image_is_on_disk_when_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SledAccounts::open(folder.path()).unwrap();
    fill(&mut store, 10, 1..=50);
    let image = store.image();
    let copy = copy_of(folder.path());
    assert_eq!(SledAccounts::open(copy.path()).unwrap().head(), image.head());
}

#[test]
fn a_crash_while_a_snapshot_is_read_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SledAccounts::open(folder.path()).unwrap();
    fill(&mut store, 10, 1..=50);
    drop(store.image());
    let mut copies = Vec::new();
    let mut accounts = (1..=5_000).map(|number| {
        if number % 1_000 == 0 {
            copies.push(copy_of(folder.path()));
        }
        Ok(account(number))
    });
    store
        .replace(head(9_000, 5_001), Remembered::default(), &mut accounts)
        .unwrap();
    drop(accounts);
    assert_eq!(copies.len(), 5);
    for copy in copies {
        let left = SledAccounts::open(copy.path()).unwrap();
        assert_eq!(left.head(), head(60, 51));
        assert_eq!(read(&*left.image()).len(), 50);
        let trees = left.tree_names();
        assert_eq!(trees.len(), 1, "the half-read snapshot is gone: {trees:?}");
    }
    let copy = copy_of(folder.path());
    assert_eq!(
        SledAccounts::open(copy.path()).unwrap().head(),
        head(9_000, 5_001)
    );
    assert_eq!(store.tree_names(), ["accounts-1"], "the replaced tree is gone");
}

#[test]
fn a_missing_account_is_found_when_opened_or_imaged() {
    for (lost, found_at_open) in [(50, true), (20, false)] {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SledAccounts::open(folder.path()).unwrap();
        fill(&mut store, 10, 1..=50);
        store.lose(VoterNumber(lost));
        let error = store
            .image()
            .accounts()
            .find_map(Result::err)
            .expect("an image notices");
        assert!(error.to_string().contains(&lost.to_string()), "{error}");
        drop(store);
        match SledAccounts::open(folder.path()) {
            Err(AccountsError::Damaged { .. }) => assert!(found_at_open),
            Err(error) => panic!("{error}"),
            Ok(_) => assert!(!found_at_open),
        }
    }
}

#[test]
fn folders_that_cannot_be_used_are_refused_with_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SledAccounts::open(folder.path()).unwrap();
    let in_use = SledAccounts::open(folder.path()).err().expect("in use");
    assert!(matches!(in_use, AccountsError::InUse(_)), "{in_use}");
    store.set_format(2);
    drop(store);
    let newer = SledAccounts::open(folder.path()).err().expect("newer");
    assert!(
        matches!(newer, AccountsError::NewerFormat { found: 2, .. }),
        "{newer}"
    );
}

fn files(folder: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .map(|path| {
            let content = std::fs::read(&path).unwrap_or_default();
            (path, content)
        })
        .collect();
    files.sort();
    files
}

/// Refused as it was, or opened as an earlier state that is whole: the log has the rest.
#[test]
fn damage_is_never_taken_for_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SledAccounts::open(folder.path()).unwrap();
    fill(&mut store, 10, 1..=2_000);
    drop(store);
    drop(SledAccounts::open(folder.path()).unwrap());
    let whole = std::fs::read(folder.path().join("db")).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let mut refused = 0;
    for part in 1..20 {
        let copy = copy_of(folder.path());
        let mut bytes = whole.clone();
        for byte in &mut bytes[used / 20 * part..][..200] {
            *byte ^= 0x55;
        }
        std::fs::write(copy.path().join("db"), &bytes).unwrap();
        let before = files(copy.path());
        match SledAccounts::open(copy.path()) {
            Err(AccountsError::Damaged { what, .. }) => {
                assert!(!what.contains("Corruption"), "{what}");
                let mut after = files(copy.path());
                after.retain(|(path, _)| !path.ends_with("blobs"));
                assert!(after == before, "part {part}: a refusal changes nothing");
                refused += 1;
            }
            Err(error) => panic!("{error}"),
            Ok(store) => {
                let accounts = read(&*store.image());
                let expected: Vec<_> = (1..=accounts.len() as u32).map(account).collect();
                assert!(accounts == expected, "part {part}");
                assert_eq!(store.head().next_voter.0, accounts.len() as u32 + 1);
            }
        }
    }
    println!("{refused} of 19 refused");
    assert!(refused > 0);
}

/// Which error a damaged page gives depends on where pages lie, so the test above met this one once in many runs.
#[test]
fn the_engines_own_words_stay_inside() {
    let inside = sled::Error::ReportableBug("Corruption at Some(17)".to_owned());
    let told = in_our_words(inside).to_string();
    assert_eq!(told, "the storage engine found its pages in disorder");
    let disk = sled::Error::Io(std::io::Error::from(std::io::ErrorKind::StorageFull));
    assert_eq!(in_our_words(disk).kind(), std::io::ErrorKind::StorageFull);
}

#[test]
#[should_panic(expected = "no gap")]
fn a_gap_in_the_numbers_stops_the_replica() {
    let mut store = MemoryAccounts::default();
    store.commit(head(1, 3), &Effects::created(account(2)));
}
