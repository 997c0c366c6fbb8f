//! What is in an evidence is on the page, as text, and the page says no more than the evidence holds.

mod markup;

use ostraka_sim_model::checkers::{Checker, Class, Violation};
use ostraka_sim_model::ids::Seed;

use super::{About, page};
use crate::Verdict;
use crate::rig::Fs;
use crate::storm::{Evidence, testing};

const HOSTILE: &str = "<script>alert(\"1\")</script> & 'so'";
const HOSTILE_ESCAPED: &str = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;so&#39;";

fn shown(evidence: &Evidence) -> String {
    page(evidence, &About::default())
}

fn heading(page: &str) -> &str {
    let begins = page.find("<h1").expect("it has a heading");
    let ends = page[begins..].find("</h1>").expect("which ends");
    &page[begins..begins + ends]
}

fn violation(checker: Checker, sentence: &str) -> Violation {
    Violation {
        checker,
        class: Class::Safety,
        sentence: sentence.to_owned(),
        record: Some(4_711),
    }
}

/// Everything a stranger could have put words into.
fn hostile() -> Evidence {
    let planted = |place: u8| format!("planted{place} {HOSTILE}");
    let mut evidence = testing::sample();
    evidence.verdict = Verdict::Broken;
    evidence.reasons = vec![planted(1)];
    evidence.faults[0].felt = planted(2);
    evidence.faults[1].trouble = Some(planted(3));
    evidence.faults[1].nemesis = planted(4);
    evidence.plan.faults[0].nemesis = planted(5);
    evidence.strays.lost = vec![planted(6)];
    evidence.strays.doubled = vec![planted(7)];
    evidence.strays.late = vec![planted(8)];
    evidence.judgement.violations = vec![violation(Checker::Audience, &planted(9))];
    evidence.judgement.missed = vec![planted(10)];
    evidence
}

fn hostile_about() -> About {
    let planted = |place: u8| Some(format!("planted{place} {HOSTILE}"));
    About {
        at_s: Some(u64::MAX),
        commit: planted(11),
        machine: planted(12),
        binary_sha256: planted(13),
        plan_file: planted(14),
    }
}

#[test]
fn whatever_is_planted_is_shown_as_text() {
    let page = page(&hostile(), &hostile_about());
    assert_eq!(markup::check(&page), Ok(()));
    assert!(!page.contains("<script"));
    for place in (1..=14).filter(|place| *place != 5) {
        let planted = format!("planted{place} {HOSTILE_ESCAPED}");
        assert!(page.contains(&planted), "{planted} is missing");
    }
    // In JSON, which escapes quotes in its own way before.
    assert!(page.contains("planted5 &lt;script&gt;alert(\\&quot;1"));
}

#[test]
fn a_page_is_well_formed_and_fetches_nothing() {
    for evidence in [testing::sample(), testing::empty(), hostile()] {
        let page = page(&evidence, &hostile_about());
        assert_eq!(markup::check(&page), Ok(()));
        for foreign in [
            "<script", " src=", " href=", "@import", "http:", "https:", "NaN", "inf",
        ] {
            let own = page.replace("info", "");
            assert!(!own.contains(foreign), "{foreign}");
        }
        assert_eq!(page.matches("url(").count(), page.matches("url(#").count());
    }
}

#[test]
fn what_holds_nothing_is_inconclusive_whatever_it_says_of_itself() {
    let empty = testing::empty();
    let page = shown(&empty);
    assert!(heading(&page).contains("INCONCLUSIVE"));
    assert!(page.contains("no checker compared anything"), "it says why");
    assert!(page.contains("nothing was run"));
    let boastful = Evidence {
        verdict: Verdict::Held,
        ..empty
    };
    let page = shown(&boastful);
    assert!(heading(&page).contains("INCONCLUSIVE") && !page.contains("PASS"));
    assert!(page.contains("the evidence holds no request before the storm"));
    assert!(!page.contains("none of"), "nothing can be said of votes");
}

#[test]
fn a_verdict_is_never_better_than_what_stands_below_it() {
    let sample = testing::sample();
    assert!(heading(&shown(&sample)).contains("PASS"));
    let with = |change: fn(&mut Evidence)| {
        let mut evidence = sample.clone();
        change(&mut evidence);
        let page = shown(&evidence);
        ["PASS", "FAIL", "INCONCLUSIVE"]
            .into_iter()
            .find(|word| heading(&page).contains(word))
    };
    assert_eq!(with(|evidence| evidence.verdict = Verdict::Broken), Some("FAIL"));
    assert_eq!(
        with(|evidence| evidence.strays.late.push("v1".to_owned())),
        Some("FAIL")
    );
    let violated = |evidence: &mut Evidence| {
        evidence.verdict = Verdict::Inconclusive;
        evidence.judgement.violations = vec![violation(Checker::Liveness, "stuck")];
    };
    assert_eq!(with(violated), Some("FAIL"));
    assert_eq!(
        with(|evidence| evidence.judgement.compared.clear()),
        Some("INCONCLUSIVE")
    );
    assert_eq!(
        with(|evidence| evidence.windows.retain(|name, _| name != "after")),
        Some("INCONCLUSIVE")
    );
    let toothless = |evidence: &mut Evidence| evidence.faults.iter_mut().for_each(|fault| fault.bites = 0);
    assert_eq!(with(toothless), Some("INCONCLUSIVE"));
}

#[test]
fn votes_are_said_to_be_well_only_where_that_was_checked() {
    let mut evidence = testing::sample();
    assert_eq!(shown(&evidence).matches("✓ none of 12,800 votes").count(), 3);
    evidence.judgement.compared.insert(Checker::Durability, 0);
    let page = shown(&evidence);
    assert_eq!(page.matches("✓ none of").count(), 2);
    assert!(page.contains("? not known: the checker durability compared nothing"));
    assert!(page.contains("? compared nothing, so nothing is known"));
    evidence.strays.lost = (0..30).map(|vote| format!("vote v{vote} is gone")).collect();
    let page = shown(&evidence);
    assert!(page.contains("✗ 30 findings") && page.contains("vote v29 is gone"));
    assert_eq!(page.matches("✓ none of").count(), 2);
}

#[test]
fn of_many_findings_the_first_are_shown_and_all_are_counted() {
    let mut evidence = testing::sample();
    evidence.strays.lost = (0..327).map(|vote| format!("vote v{vote} is gone")).collect();
    let violations = (0..327).map(|vote| violation(Checker::Durability, &format!("w{vote} is gone")));
    evidence.judgement.violations = violations.collect();
    let page = shown(&evidence);
    assert!(page.contains("✗ 327 findings, the first 40 shown"));
    assert!(page.contains("9,000 facts compared, 327 violations, the first 40 shown"));
    for name in ["v", "w"] {
        assert!(page.contains(&format!("{name}39 is gone")));
        assert!(!page.contains(&format!("{name}40 is gone")));
    }
    // More than the evidence itself could keep.
    evidence.judgement.found.insert(Checker::Durability, 5_000);
    assert!(shown(&evidence).contains("✗ 5,000 findings, the first 40 shown"));
}

#[test]
fn a_violation_stands_with_its_checker() {
    let mut evidence = testing::sample();
    assert!(!shown(&evidence).contains("1 violation"));
    evidence.judgement.violations = vec![violation(Checker::Conservation, "7 is not 8")];
    let page = shown(&evidence);
    assert!(page.contains("✗ 9,000 facts compared, 1 violation"));
    assert!(page.contains("7 is not 8 (never may happen; record 4711 of the history)"));
}

#[test]
fn faults_and_leaders_are_drawn_twice_and_told_once() {
    let mut evidence = testing::sample();
    let bands = |page: &str| page.matches("class=\"band\"").count();
    let changes = |page: &str| page.matches("<line class=\"leader-change\"").count();
    let before = shown(&evidence);
    assert_eq!((bands(&before), changes(&before)), (4, 2));
    assert!(before.contains("<b>1. isolate</b>") && before.contains("10.0\u{a0}–\u{a0}15.0"));
    assert!(before.contains("1 change of leader"));
    // Seconds 10 to 15 of 60, on 1,048 pixels from 58 on.
    let band = &before[before.find("class=\"band\"").expect("a band")..];
    assert!(band.starts_with("class=\"band\" x=\"232.7\""), "{}", &band[..60]);
    assert!(band[..band.find('>').expect("ends")].contains("width=\"87.3\""));
    evidence.leaders.push(testing::leading(31_000, 2, 9));
    evidence.faults.push(testing::fault(2, "flap", 1, (40, 44), None));
    let after = shown(&evidence);
    assert_eq!((bands(&after), changes(&after)), (6, 4));
    assert!(after.contains("31.0 s: node 3 leads, term 9"));
    assert!(after.contains("3 flap, node 2</text>"), "the band has its name");
}

#[test]
fn errors_and_silence_are_drawn_where_they_were() {
    let page = shown(&testing::sample());
    // 95 of half a second are 190 a second; once in each of the two drawings.
    assert_eq!(page.matches("10.0 s: 190 a second unknown").count(), 2);
    assert_eq!(page.matches("10.5 s: 40 a second refused").count(), 2);
    assert_eq!(page.matches("12.5 s: 140 a second shed").count(), 2);
    assert!(!page.contains("13.0 s: 140 a second shed"));
    let silence = "no vote that was due from 10.0 to 11.0 s was acknowledged";
    assert_eq!(page.matches(silence).count(), 2);
    // Where all was done and nothing was to be acknowledged, nobody was left waiting.
    let mut quiet = testing::sample();
    for bucket in &mut quiet.buckets[..6] {
        (bucket.ack_ms_p50, bucket.ack_ms_p99) = (0.0, 0.0);
    }
    assert_eq!(shown(&quiet).matches("no vote that was due from").count(), 2);
    assert!(shown(&testing::empty()).contains(">nothing was asked</text>"));
}

#[test]
fn a_fault_that_never_was_has_no_costs() {
    let mut evidence = testing::sample();
    let fault = &mut evidence.faults[1];
    fault.node = None;
    fault.bites = 0;
    fault.felt.clear();
    fault.trouble = Some("no such disk".to_owned());
    let page = shown(&evidence);
    let row = &page[page.find("<b>2. slow-disk</b>").expect("its row")..];
    let row = &row[..row.find("</tr>").expect("ends")];
    assert!(
        row.contains("never began") && row.contains("no such disk") && row.contains("? none"),
        "{row}"
    );
    assert!(!row.contains(" ms<") && !row.contains(" s<"), "{row}");
}

#[test]
fn objectives_are_met_missed_or_open() {
    let mut evidence = testing::sample();
    let signs = |page: &str| ["✓ met", "✗ missed", "? too few to say"].map(|sign| page.matches(sign).count());
    // Four objectives in three windows; of the requests in the storm too few were done.
    assert_eq!(signs(&shown(&evidence)), [11, 1, 0]);
    let after = evidence.windows.get_mut("after").expect("it is there");
    (after.ack_ms_p99, after.end_to_end_ms_p95, after.seen) = (50.1, 499.0, 58);
    assert_eq!(signs(&shown(&evidence)), [8, 2, 2]);
    evidence.windows.remove("before");
    assert_eq!(signs(&shown(&evidence)), [4, 2, 2]);
}

#[test]
fn what_the_caller_knows_besides_is_told_and_nothing_invented() {
    let about = About {
        at_s: Some(1_700_000_000),
        commit: Some("abc123".to_owned()),
        ..About::default()
    };
    let told = page(&testing::sample(), &about);
    assert!(told.contains("2023-11-14T22:13:20Z") && told.contains("abc123"));
    assert!(!told.contains("Machine") && !told.contains("SHA-256"));
    assert!(told.contains("<span>target/release/chaos run</span>\n<span>--plan plan.json</span>"));
    let drawn = Evidence {
        plan: crate::storm::composition(Seed(7), 3, Fs::Ext4),
        ..testing::sample()
    };
    let told = page(&drawn, &about);
    assert!(told.contains("<span>--seed 7</span>\n<span>--nodes 3</span>\n<span>--fs ext4</span>"));
}

/// For whoever wants to look at them.
#[test]
fn pages_lie_in_the_target_folder() {
    let exe = std::env::current_exe().expect("this program has a path");
    let folder = exe
        .ancestors()
        .nth(3)
        .expect("in cargo's folder")
        .join("report-samples");
    std::fs::create_dir_all(&folder).expect("it can be made");
    for (name, evidence) in [
        ("pass", testing::sample()),
        ("empty", testing::empty()),
        ("fail", testing::crowded()),
    ] {
        let path = folder.join(name).with_extension("html");
        let page = shown(&evidence);
        std::fs::write(&path, &page).expect("it can be written");
        assert_eq!(
            markup::check(&std::fs::read_to_string(&path).expect("it is there")),
            Ok(())
        );
    }
}
