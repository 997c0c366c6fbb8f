//! Reading a JSON request body: an object and nothing else, with errors that tell a broken document from a bad field.

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

use crate::problem::ErrorCode;
use crate::wire::MALFORMED_ID;

/// Why a request body was not taken. Each is terminal: the same bytes fail again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("the body is not valid JSON: {0}")]
    MalformedJson(String),
    #[error("{0}")]
    InvalidField(String),
    #[error("{0}")]
    MalformedId(String),
}

impl BodyError {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::MalformedJson(_) => ErrorCode::MalformedJson,
            Self::InvalidField(_) => ErrorCode::InvalidField,
            Self::MalformedId(_) => ErrorCode::MalformedId,
        }
    }
}

/// Reads one JSON object from `body` (whitespace around it is allowed, anything else after it is an error).
///
/// serde alone would also take an array with the fields in order; a client that sends one is mistaken, so it is
/// refused.
pub fn parse_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, BodyError> {
    match serde_json::from_slice::<Object<T>>(body) {
        Ok(Object(value)) => Ok(value),
        Err(error) if error.is_data() => {
            let detail = error.to_string();
            Err(if detail.starts_with(MALFORMED_ID) {
                BodyError::MalformedId(detail)
            } else {
                BodyError::InvalidField(detail)
            })
        }
        Err(error) => Err(BodyError::MalformedJson(error.to_string())),
    }
}

/// A value that was written as a JSON object, never as an array of its fields.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// For `#[serde(deserialize_with)]`: an optional nested object.
pub(crate) fn optional_object<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::<Object<T>>::deserialize(deserializer)?.map(|object| object.0))
}

/// For `#[serde(deserialize_with)]`: a list of nested objects.
pub(crate) fn objects<'de, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Vec::<Object<T>>::deserialize(deserializer)?
        .into_iter()
        .map(|object| object.0)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CreateEventRequest, LoginRequest, LoginResponse, RegisterRequest, SubmitVoteRequest};
    use proptest::prelude::*;

    const VOTE: &str = r#"{"user_id":"u42","event_id":"e17","contestant_id":"e17-c3",
        "client_timestamp":"2026-01-31T20:15:00Z","meta":{"device_id":"d","app_version":"1.2"}}"#;

    #[test]
    fn both_spellings_read_the_same() {
        let camel = VOTE
            .replace("user_id", "userId")
            .replace("event_id", "eventId")
            .replace("contestant_id", "contestantId")
            .replace("client_timestamp", "clientTimestamp")
            .replace("device_id", "deviceId")
            .replace("app_version", "appVersion");
        let snake: SubmitVoteRequest = parse_object(VOTE.as_bytes()).unwrap();
        assert_eq!(parse_object(camel.as_bytes()), Ok(snake.clone()));
        assert_eq!(parse_object(&serde_json::to_vec(&snake).unwrap()), Ok(snake));

        let register =
            |key| format!(r#"{{"username":"bob","email":"b@c.de","{key}":"1990-12-31","new":[1]}}"#);
        let snake: RegisterRequest = parse_object(register("date_of_birth").as_bytes()).unwrap();
        assert_eq!(parse_object(register("dateOfBirth").as_bytes()), Ok(snake));

        let create = r#"{"user_id":"u1","event_name":"n","opens_at":null,"results":"after_close",
            "contestants":[{"contestant_name":"a","contestant_description":"b","contestant_image_url":""}]}"#;
        let camel = create
            .replace("user_id", "userId")
            .replace("event_name", "eventName")
            .replace("opens_at", "opensAt")
            .replace("contestant_name", "contestantName")
            .replace("contestant_description", "contestantDescription")
            .replace("contestant_image_url", "contestantImageUrl");
        let snake: CreateEventRequest = parse_object(create.as_bytes()).unwrap();
        assert_eq!(parse_object(camel.as_bytes()), Ok(snake));
    }

    #[test]
    fn login_answers_in_camel_case() {
        let answer = LoginResponse {
            user_id: "u42".parse().unwrap(),
            token: "t".to_owned(),
        };
        assert_eq!(
            serde_json::to_string(&answer).unwrap(),
            r#"{"userId":"u42","token":"t"}"#
        );
    }

    #[test]
    fn optional_parts_may_be_missing_or_null() {
        let bare = r#"{"user_id":"u42","event_id":"e17","contestant_id":"e17-c3"}"#;
        let nulls = r#"{"user_id":"u42","event_id":"e17","contestant_id":"e17-c3","client_timestamp":null,"meta":null}"#;
        let vote: SubmitVoteRequest = parse_object(bare.as_bytes()).unwrap();
        assert_eq!(parse_object(nulls.as_bytes()), Ok(vote.clone()));
        assert_eq!(serde_json::to_string(&vote).unwrap(), bare);
    }

    fn code_of_vote(body: &str) -> Option<ErrorCode> {
        parse_object::<SubmitVoteRequest>(body.as_bytes())
            .err()
            .map(|error| error.code())
    }

    #[test]
    fn every_bad_body_gets_its_code() {
        assert_eq!(code_of_vote(VOTE), None);
        let trailing = format!("{VOTE}x");
        let deep = format!("{{\"x\":{}", "[".repeat(10_000));
        for broken in [
            "",
            " ",
            "{",
            "nul",
            "{\"user_id\":}",
            "{\"user_id\":\"\u{1}\"}",
            &trailing,
            &deep,
        ] {
            assert_eq!(
                code_of_vote(broken),
                Some(ErrorCode::MalformedJson),
                "{broken:.20}"
            );
        }
        for wrong_shape in [
            "null".to_owned(),
            "{}".to_owned(),
            "7".to_owned(),
            "[]".to_owned(),
            r#"["u42","e17","e17-c3"]"#.to_owned(),
            VOTE.replace("\"u42\"", "42"),
            VOTE.replace("\"e17\"", "null"),
            VOTE.replace("2026-01-31", "yesterday"),
            VOTE.replace("2026-01-31T20:15:00Z", "9999-12-31T23:59:59-00:01"),
            VOTE.replace(r#"{"device_id":"d","app_version":"1.2"}"#, r#"["d","1.2"]"#),
            VOTE.replace("\"1.2\"", "1.2"),
            VOTE.replace("{\"user_id\"", "{\"userId\":\"u1\",\"user_id\""),
        ] {
            assert_eq!(
                code_of_vote(&wrong_shape),
                Some(ErrorCode::InvalidField),
                "{wrong_shape}"
            );
        }
        for (good, bad) in [
            ("u42", "42"),
            ("\"e17\"", "\"e017\""),
            ("e17-c3", "e17"),
            ("u42", "u99999999999"),
            ("u42", ""),
        ] {
            let body = VOTE.replacen(good, bad, 1);
            assert_eq!(code_of_vote(&body), Some(ErrorCode::MalformedId), "{body}");
        }
    }

    #[test]
    fn a_field_cannot_pretend_to_be_a_malformed_id() {
        let error = parse_object::<LoginRequest>(br#"{"malformed id":1,"username":{"malformed id":1}}"#);
        assert_eq!(error.unwrap_err().code(), ErrorCode::InvalidField);
    }

    #[test]
    fn secrets_are_not_shown() {
        let login: LoginRequest =
            parse_object(br#"{"username":"bob","password":"hunter2-hunter2"}"#).unwrap();
        assert!(!format!("{login:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(parse_object::<SubmitVoteRequest>(&bytes).is_err());
        }

        #[test]
        fn a_changed_byte_never_panics(at in 0..VOTE.len(), byte in 0u8..128) {
            let mut body = VOTE.as_bytes().to_vec();
            body[at] = byte;
            let _ = parse_object::<SubmitVoteRequest>(&body);
        }
    }
}
