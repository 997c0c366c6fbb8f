use proptest::prelude::*;
use time::macros::date;

use super::*;

fn field_of(result: Result<(), FieldError>) -> Option<&'static str> {
    result.err().map(FieldError::field)
}

#[test]
fn usernames() {
    for good in ["bob", "a.b_c-9", &"x".repeat(64)] {
        assert_eq!(username(good), Ok(()), "{good}");
    }
    for bad in [
        "",
        "ab",
        &"x".repeat(65),
        "-ab",
        ".ab",
        "a b",
        "a\nb",
        "bøb",
        "bob@x",
    ] {
        assert_eq!(field_of(username(bad)), Some("username"), "{bad:?}");
    }
}

#[test]
fn emails() {
    let longest = format!(
        "{}@{}.{}.{}.org",
        "l".repeat(64),
        "d".repeat(63),
        "d".repeat(63),
        "d".repeat(57)
    );
    assert_eq!(longest.len(), 254);
    for good in [
        "a@b.co",
        "first.last+tag@sub.example.org",
        "jörg@müller.de",
        longest.as_str(),
    ] {
        assert_eq!(email(good), Ok(()), "{good}");
    }
    let too_long = longest.replace("@d", "@dd");
    let long_local = format!("{}@example.org", "l".repeat(65));
    for bad in [
        "",
        "a@",
        "@b.co",
        "a@b",
        "a@b..co",
        "a@.co",
        "a@-b.co",
        "a@b-.co",
        ".a@b.co",
        "a.@b.co",
        "a..b@c.de",
        "a b@c.de",
        "a@b@c.de",
        "a@b.co\n",
        "a@b_c.de",
        too_long.as_str(),
        long_local.as_str(),
    ] {
        assert_eq!(field_of(email(bad)), Some("email"), "{bad:?}");
    }
}

#[test]
fn passwords_count_characters_not_bytes() {
    let password = |text: &str| password(text, &[]);
    assert_eq!(password("éàéàéàéà"), Ok(()));
    assert_eq!(password(&"éà".repeat(64)), Ok(()));
    assert_eq!(field_of(password("7654xyz")), Some("password"));
    assert_eq!(field_of(password(&"éàé".repeat(43))), Some("password"));
}

#[test]
fn passwords_that_are_tried_first_are_refused() {
    let of_ann = |given: &str| {
        let request = RegisterRequest {
            username: "AnnSmith".to_owned(),
            email: "smithy@example.org".to_owned(),
            date_of_birth: date!(1990 - 01 - 01),
            password: Some(given.to_owned()),
        };
        request.validate(date!(2026 - 06 - 15), 0)
    };
    for common in ["password123", "PASSWORD123", "12345678", "qwertyui", "zzzzzzzzzz"] {
        assert_eq!(of_ann(common), Err(FieldError::CommonPassword), "{common}");
    }
    for known in ["annsmith-1", "xxAnnSmithxx", "I am Smithy!", "Ostraka rules"] {
        assert_eq!(of_ann(known), Err(FieldError::PasswordOfContext), "{known}");
    }
    for good in ["correct horse", "ann, smith and others", "violet-lorry-7"] {
        assert_eq!(of_ann(good), Ok(()), "{good}");
    }
}

#[test]
fn birth_dates() {
    let today = date!(2026 - 06 - 15);
    assert_eq!(date_of_birth(date!(1875 - 01 - 01), today), Ok(()));
    assert_eq!(date_of_birth(today, today), Ok(()));
    assert_eq!(
        field_of(date_of_birth(date!(1874 - 12 - 31), today)),
        Some("date_of_birth")
    );
    assert_eq!(
        field_of(date_of_birth(date!(2026 - 06 - 16), today)),
        Some("date_of_birth")
    );
}

#[test]
fn names_and_descriptions() {
    assert_eq!(name("event_name", "Chanson de l'année"), Ok(()));
    assert_eq!(name("event_name", &"n".repeat(NAME_BYTES_MAX)), Ok(()));
    for bad in ["", "  ", "a\nb", "a\0b", &"n".repeat(NAME_BYTES_MAX + 1)] {
        assert_eq!(field_of(name("event_name", bad)), Some("event_name"), "{bad:?}");
    }
    assert_eq!(description("d", "two\nlines\tand more"), Ok(()));
    assert_eq!(description("d", ""), Ok(()));
    assert_eq!(field_of(description("d", "\u{1b}[31m")), Some("d"));
    assert_eq!(
        field_of(description("d", &"x".repeat(DESCRIPTION_BYTES_MAX + 1))),
        Some("d")
    );
}

#[test]
fn image_urls() {
    for good in [
        "",
        "https://example.org/a.png",
        "HTTP://example.org",
        "http://[::1]:8080/x?y#z",
    ] {
        assert_eq!(image_url("u", good), Ok(()), "{good}");
    }
    let long = format!("https://example.org/{}", "a".repeat(URL_BYTES_MAX));
    for bad in [
        "ftp://example.org",
        "javascript:alert(1)",
        "//example.org",
        "https://",
        "https:///x",
        "https://a b",
        "example.org",
        "https://a\"onerror=x",
        "https://a<b",
        "http://@",
        "é",
        long.as_str(),
    ] {
        assert_eq!(field_of(image_url("u", bad)), Some("u"), "{bad:?}");
    }
}

#[test]
fn idempotency_keys() {
    assert_eq!(idempotency_key("6f9619ff-8b86-d011-b42d-00cf4fc964ff"), Ok(()));
    assert_eq!(idempotency_key(&"k".repeat(128)), Ok(()));
    for bad in ["", " ", "a b", "é", "a\n", &"k".repeat(129)] {
        assert_eq!(field_of(idempotency_key(bad)), Some("Idempotency-Key"), "{bad:?}");
    }
}

#[test]
fn contestants_are_counted() {
    for (count, good) in [
        (CONTESTANTS_PER_EVENT_MIN - 1, false),
        (CONTESTANTS_PER_EVENT_MIN, true),
        (CONTESTANTS_PER_EVENT_MAX, true),
        (CONTESTANTS_PER_EVENT_MAX + 1, false),
    ] {
        assert_eq!(contestants_count(count).is_ok(), good, "{count}");
    }
}

#[test]
fn a_message_names_field_and_bounds() {
    assert_eq!(
        username("ab").unwrap_err().to_string(),
        "username must have 3 to 64 characters"
    );
    assert_eq!(
        contestants_count(0).unwrap_err().to_string(),
        "contestants must have 1 to 1000 entries"
    );
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "\\PC{0,80}|.{0,80}") {
        let _ = (username(&text), email(&text), password(&text, &["someone"]), idempotency_key(&text));
        let _ = (name("f", &text), description("f", &text), image_url("f", &text));
    }

    #[test]
    fn what_passes_as_a_url_needs_no_quoting_in_a_page(text in "https?://[a-z\"<> \\\\/?#:@]{0,20}") {
        if image_url("u", &text).is_ok() {
            prop_assert!(!text.contains(['"', '<', '>', ' ', '\\']));
        }
    }
}
