//! What a password must not be (NIST SP 800-63B section 3.1.1.2, OWASP ASVS 5 chapter 6.2): what many people choose, a row of
//! neighbours, or what whoever knows its owner tries first.

use std::sync::LazyLock;

use crate::limits::PASSWORD_CONTEXT_CHARS_MIN;
use crate::unique::unique_form;

/// In order, in their unique form; `common_passwords/README.md` says where they come from.
static COMMON: LazyLock<Vec<&str>> =
    LazyLock::new(|| include_str!("common_passwords/list.txt").lines().collect());

/// What this service is called.
const SERVICE: &str = "ostraka";

/// Whether it is on the list of those that are tried first, whatever its case.
pub(crate) fn is_common(password: &str) -> bool {
    COMMON.binary_search(&unique_form(password).as_str()).is_ok()
}

/// Whether each character follows the one before it in the same step: `aaaaaaaa`, `abcdefgh`, `98765432`.
pub(crate) fn is_row(password: &str) -> bool {
    let form = unique_form(password);
    let points: Vec<i64> = form.chars().map(|c| i64::from(u32::from(c))).collect();
    let mut steps = points.windows(2).map(|pair| pair[1] - pair[0]);
    let Some(first) = steps.next() else {
        return true;
    };
    first.abs() <= 1 && steps.all(|step| step == first)
}

/// Whether it holds one of these words, or the service's name. A word of two or three letters stands in many a good password.
pub(crate) fn holds_a_word(password: &str, words: &[&str]) -> bool {
    let form = unique_form(password);
    words
        .iter()
        .chain(&[SERVICE])
        .map(|word| unique_form(word))
        .any(|word| word.chars().count() >= PASSWORD_CONTEXT_CHARS_MIN && form.contains(&word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::PASSWORD_CHARS_MIN;

    #[test]
    fn the_list_is_in_order_and_in_its_form() {
        assert!(COMMON.len() > 10_000);
        for pair in COMMON.windows(2) {
            assert!(pair[0] < pair[1], "{pair:?}");
        }
        for password in COMMON.iter() {
            assert_eq!(unique_form(password), *password);
            assert!(password.chars().count() >= PASSWORD_CHARS_MIN, "{password}");
        }
    }

    #[test]
    fn what_many_choose_is_known_whatever_its_case() {
        for common in [
            "password1",
            "PassWord123",
            "iLoveYou",
            "12345678",
            " qwerty123 ",
            "ｐａｓｓｗｏｒｄ１",
        ] {
            assert!(is_common(common), "{common}");
        }
        for rare in [
            "correct horse battery staple",
            "password of mine",
            "qx7-lorry-ant",
        ] {
            assert!(!is_common(rare), "{rare}");
        }
    }

    #[test]
    fn rows_are_found_and_no_more() {
        for row in [
            "aaaaaaaa",
            "abcdefghijkl",
            "ABCDefgh",
            "987654321",
            "éééééééé",
            "x",
            "",
        ] {
            assert!(is_row(row), "{row}");
        }
        for other in ["aaaaaaab", "acegikmo", "abcdefgi", "12345679"] {
            assert!(!is_row(other), "{other}");
        }
    }

    #[test]
    fn words_of_the_owner_are_found_inside() {
        let words = ["Matilda", "m.smith", "ann"];
        for bad in ["xMATILDAx", "1m.smith1", "Ostraka-2026", "my ostraka"] {
            assert!(holds_a_word(bad, &words), "{bad}");
        }
        for good in ["mat ilda yes", "ann and others", "smithereens"] {
            assert!(!holds_a_word(good, &words), "{good}");
        }
    }

    proptest! {
        #[test]
        fn every_word_of_the_list_is_found(place in any::<prop::sample::Index>(), upper: bool) {
            let password = COMMON[place.index(COMMON.len())];
            let written = if upper { password.to_uppercase() } else { password.to_owned() };
            prop_assert!(is_common(&written), "{}", written);
        }
    }
}
