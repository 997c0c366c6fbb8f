//! No text of others becomes markup.

use super::*;
use proptest::prelude::*;

#[test]
fn times_are_told_as_people_write_them() {
    assert_eq!(day_and_time(0), "1970-01-01T00:00:00Z");
    assert_eq!(day_and_time(u64::MAX), format!("{} s", u64::MAX));
    assert_eq!(
        (ms(None), ms(Some(1_234.5)), ms(Some(9.04))),
        ("?".into(), "1234".into(), "9.0".into())
    );
}

proptest! {
    #[test]
    fn what_is_escaped_has_no_markup_and_can_be_read_back(text in ".*") {
        let escaped = escape(&text);
        prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
        prop_assert!(escaped.chars().all(|letter| !letter.is_control() || letter == '\n' || letter == '\t'));
        let back = escaped
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&amp;", "&");
        prop_assert_eq!(back.chars().count(), text.chars().count());
    }
}
