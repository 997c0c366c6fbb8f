//! Each way to tamper with a trail is planted and found.

use proptest::prelude::*;

use super::*;

fn key() -> SecretKey {
    SecretKey([7; 32])
}

/// The lines of a trail of so many actions, each with its newline.
fn trail(lines: u64, key: &SecretKey) -> Vec<String> {
    let mut head = Head::default();
    (0..lines)
        .map(|number| {
            let what = format!("e{number}");
            let fields = Fields {
                at: "2026-12-01T00:00:00Z",
                node: 1,
                who: "u7",
                action: "event_closed",
                what: Some(&what),
                certainty: "done",
                trace_id: None,
            };
            let (line, next) = next_line(key, &head, &fields);
            head = next;
            line
        })
        .collect()
}

fn judge(lines: &[String], known: Option<&Head>) -> Verdict {
    verify(&key(), lines.concat().as_bytes(), known).unwrap()
}

/// These bytes lie on disks, and other people's programs read them.
#[test]
fn a_line_is_these_bytes() {
    let line = &trail(1, &key())[0];
    let (signed, mac) = line.trim_end().rsplit_once(MAC_FIELD).unwrap();
    assert_eq!(
        signed,
        r#"{"seq":1,"at":"2026-12-01T00:00:00Z","node":1,"who":"u7","action":"event_closed","what":"e0","certainty":"done","prev":"""#
    );
    assert_eq!(mac.len(), 66);
}

#[test]
fn a_whole_trail_has_nothing_wrong_and_says_where_it_ends() {
    let lines = trail(5, &key());
    let verdict = judge(&lines, None);
    assert_eq!((verdict.lines, verdict.head.seq), (5, 5));
    assert_eq!(verdict.findings, []);
    let head: Head = verdict.head.to_string().parse().unwrap();
    assert_eq!(head, verdict.head);
    assert_eq!(judge(&trail(9, &key()), Some(&head)).findings, []);
    assert_eq!(judge(&[], None).findings, []);
}

#[test]
fn every_planted_fault_is_found() {
    let lines = trail(6, &key());
    let changed = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        judge(&lines, None).findings
    };
    let line_of = |change: &dyn Fn(&mut Vec<String>)| changed(change).first().map(|finding| finding.line);
    assert_eq!(
        line_of(&|lines| drop(lines.remove(0))),
        Some(1),
        "the first removed"
    );
    assert_eq!(line_of(&|lines| drop(lines.remove(3))), Some(4), "one removed");
    assert_eq!(
        line_of(&|lines| lines.swap(1, 2)),
        Some(2),
        "two in another order"
    );
    assert_eq!(
        line_of(&|lines| lines[2] = lines[2].replace("\"who\":\"u7\"", "\"who\":\"u8\"")),
        Some(3),
        "changed"
    );
    assert_eq!(
        line_of(&|lines| lines.insert(4, lines[3].clone())),
        Some(5),
        "told twice"
    );
    assert_eq!(line_of(&|lines| lines[5].truncate(40)), Some(6), "cut");
    assert_eq!(
        line_of(&|lines| lines[5] = trail(6, &SecretKey([8; 32]))[5].clone()),
        Some(6),
        "written with another secret"
    );
    assert_eq!(
        line_of(&|lines| lines[1] = lines[1].replace("{\"seq\"", "{ \"seq\"")),
        Some(2),
        "the same to JSON, other bytes"
    );
    assert_eq!(
        line_of(&|lines| lines.insert(2, "\n".to_owned())),
        Some(3),
        "an empty line"
    );
}

/// What the chain alone cannot show: its end cut off. Whoever has noted a head finds it.
#[test]
fn a_cut_tail_is_found_by_a_head_that_was_noted() {
    let lines = trail(6, &key());
    let head = judge(&lines, None).head;
    assert_eq!(judge(&lines[..4], None).findings, []);
    assert_eq!(judge(&lines[..4], Some(&head)).findings.len(), 1);
    assert_eq!(judge(&[], Some(&head)).findings.len(), 1);
}

#[test]
fn a_head_is_a_number_and_a_mac() {
    for bad in [
        "",
        "1",
        "1:",
        "0:",
        "x:y",
        &format!("0:{}", "a".repeat(64)),
        &format!("1:{}", "g".repeat(64)),
    ] {
        assert_eq!(bad.parse::<Head>(), Err(NotAHead), "{bad}");
    }
}

proptest! {
    /// Whatever byte is changed, it is found, and whatever bytes come, nothing panics.
    #[test]
    fn any_changed_byte_is_found(position in any::<prop::sample::Index>(), change in 1u8..=255) {
        let mut bytes = trail(4, &key()).concat().into_bytes();
        let place = position.index(bytes.len());
        bytes[place] ^= change;
        prop_assert!(!verify(&key(), &bytes[..], None).unwrap().findings.is_empty());
    }

    #[test]
    fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let verdict = verify(&key(), &bytes[..], None).unwrap();
        prop_assert_eq!(verdict.findings.is_empty(), bytes.is_empty());
        let _ = head_of(&String::from_utf8_lossy(&bytes));
    }
}
