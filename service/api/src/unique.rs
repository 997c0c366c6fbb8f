//! The form in which names and addresses are unique.

use unicode_normalization::UnicodeNormalization;

/// Trimmed, without difference of case and of compatibility (NFKC): `Ａnn`, `ANN` and `ann` are one, `straße` and `STRASSE`
/// too. Upper case first, then lower, is Unicode's full case folding but for a few letters that no address has.
///
/// The result travels through the log and is never worked out again, so a newer Unicode table changes no index.
pub fn unique_form(text: &str) -> String {
    text.trim()
        .nfkc()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .nfkc()
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_looks_the_same_to_its_owner_is_the_same() {
        for (one, other) in [
            ("Ann", " aNN\n"),
            ("Ａnn", "ann"),
            ("ﬁn", "FIN"),
            ("straße@example.org", "STRASSE@EXAMPLE.ORG"),
            ("ΟΔΟΣ", "οδος"),
            ("e\u{301}va", "Éva"),
        ] {
            assert_eq!(unique_form(one), unique_form(other), "{one} and {other}");
        }
        assert_ne!(
            unique_form("ann"),
            unique_form("аnn"),
            "a Cyrillic letter is another mailbox"
        );
    }

    proptest! {
        /// Also what ASCII accounts of older releases are indexed by.
        #[test]
        fn ascii_is_lower_case(text in "[!-~]{0,40}") {
            prop_assert_eq!(unique_form(&text), text.to_lowercase());
        }

        #[test]
        fn case_makes_no_difference(text in "[a-zA-ZäöüÄÖÜßéÉñçøåÅα-ωΑ-Ωа-яА-Я@.]{0,40}") {
            prop_assert_eq!(unique_form(&text.to_uppercase()), unique_form(&text));
            prop_assert_eq!(unique_form(&unique_form(&text)), unique_form(&text));
        }
    }
}
