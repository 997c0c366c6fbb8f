//! How single values look on the wire: ids as text, moments as RFC 3339, dates as `YYYY-MM-DD`.

use ostraka_core::ids::UnixMs;
use ostraka_core::limits::RFC_3339_UNIX_MS_MAX;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

/// How the message of a malformed id in a body begins; `json` tells it from other bad fields by it, because serde
/// hands custom errors on as text only.
pub(crate) const MALFORMED_ID: &str = "malformed id";

/// Reads an RFC 3339 moment of the years 1970 to 9999 in UTC, in any offset; fractions below a millisecond are cut off.
pub fn parse_rfc3339(text: &str) -> Option<UnixMs> {
    // Not brought to UTC first: an offset may lead into the year 10000, which `time` cannot express.
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let millis = moment.unix_timestamp_nanos().div_euclid(1_000_000);
    let millis = u64::try_from(millis).ok()?;
    // What could not be written back is not taken.
    (millis <= RFC_3339_UNIX_MS_MAX).then_some(UnixMs(millis))
}

/// Writes a moment as RFC 3339 in UTC. Moments past the year 9999 are written as its last millisecond.
pub fn format_rfc3339(moment: UnixMs) -> String {
    let millis = moment.0.min(RFC_3339_UNIX_MS_MAX);
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .expect("the moment is at most RFC_3339_UNIX_MS_MAX, which is in range")
        .format(&Rfc3339)
        .expect("a year from 1970 to 9999 in UTC is what RFC 3339 can write")
}

/// Reads `YYYY-MM-DD`.
pub fn parse_date(text: &str) -> Option<Date> {
    // The length check refuses signs and other widths, which the description would let through.
    if text.len() != 10 {
        return None;
    }
    Date::parse(text, format_description!("[year]-[month]-[day]")).ok()
}

/// Writes `YYYY-MM-DD`.
pub fn format_date(date: Date) -> String {
    format!(
        "{:04}-{:02}-{:02}",
        date.year(),
        u8::from(date.month()),
        date.day()
    )
}

/// For `#[serde(with)]`: an id that core reads and writes as text.
pub(crate) mod id {
    use super::MALFORMED_ID;
    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;
    use std::fmt::{self, Display};
    use std::marker::PhantomData;
    use std::str::FromStr;

    pub(crate) fn serialize<T: Display, S: Serializer>(id: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        struct IdVisitor<T>(PhantomData<T>);
        impl<T: FromStr<Err: Display>> Visitor<'_> for IdVisitor<T> {
            type Value = T;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an id as a string")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
                T::from_str(text).map_err(|error| {
                    // What was sent is shown short and escaped: it ends in logs.
                    let shown: String = text.chars().take(32).collect();
                    E::custom(format_args!("{MALFORMED_ID} {shown:?}: {error}"))
                })
            }
        }
        deserializer.deserialize_str(IdVisitor(PhantomData))
    }
}

/// For `#[serde(with)]`: an optional moment as RFC 3339.
pub(crate) mod optional_moment {
    use ostraka_core::ids::UnixMs;
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;
    use std::borrow::Cow;

    pub(crate) fn serialize<S: Serializer>(
        moment: &Option<UnixMs>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match moment {
            Some(moment) => serializer.serialize_str(&super::format_rfc3339(*moment)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<UnixMs>, D::Error> {
        let Some(text) = Option::<Cow<'de, str>>::deserialize(deserializer)? else {
            return Ok(None);
        };
        match super::parse_rfc3339(&text) {
            Some(moment) => Ok(Some(moment)),
            None => Err(D::Error::custom(
                "a timestamp must be RFC 3339, of the years 1970 to 9999 in UTC, e.g. 2026-01-31T20:15:00Z",
            )),
        }
    }
}

/// For `#[serde(with)]`: a date as `YYYY-MM-DD`.
pub(crate) mod date {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;
    use std::borrow::Cow;
    use time::Date;

    pub(crate) fn serialize<S: Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_date(*date))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        super::parse_date(&text).ok_or_else(|| D::Error::custom("date_of_birth must be a date as YYYY-MM-DD"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::macros::date;

    #[test]
    fn moments_are_rfc_3339() {
        for (text, millis) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2026-01-31T20:15:00.123456Z", 1_769_890_500_123),
            ("2026-01-31T21:15:00.123+01:00", 1_769_890_500_123),
            ("1969-12-31T23:00:00-01:00", 0),
            ("9999-12-31T23:59:59.999Z", RFC_3339_UNIX_MS_MAX),
        ] {
            assert_eq!(parse_rfc3339(text), Some(UnixMs(millis)), "{text}");
        }
        for bad in [
            "",
            "1969-12-31T23:59:59.999Z",
            "2026-01-31",
            "2026-01-31T20:15:00",
            "2026-02-30T00:00:00Z",
            "2026-01-31T25:00:00Z",
            "1769890500",
            "+2026-01-31T20:15:00Z",
        ] {
            assert_eq!(parse_rfc3339(bad), None, "{bad:?}");
        }
        assert_eq!(
            format_rfc3339(UnixMs(1_769_890_500_123)),
            "2026-01-31T20:15:00.123Z"
        );
        assert_eq!(format_rfc3339(UnixMs(u64::MAX)), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn dates_have_one_form() {
        assert_eq!(parse_date("1990-12-31"), Some(date!(1990 - 12 - 31)));
        for bad in [
            "",
            "1990-2-3",
            "1990-02-30",
            "31.12.1990",
            "1990-12-31T",
            "+990-12-31",
            "-990-12-31",
            "19901231  ",
        ] {
            assert_eq!(parse_date(bad), None, "{bad:?}");
        }
        assert_eq!(format_date(date!(0990 - 02 - 03)), "0990-02-03");
    }

    /// An offset in every minute that RFC 3339 can write, as text and in milliseconds.
    fn offsets() -> impl Iterator<Item = (String, i64)> {
        let at_most = 23 * 60 + 59;
        (-at_most..=at_most).map(|minutes: i64| {
            let sign = if minutes < 0 { '-' } else { '+' };
            let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
            (format!("{sign}{hours:02}:{rest:02}"), minutes * 60_000)
        })
    }

    #[test]
    fn at_both_ends_of_time_every_offset_is_read_or_refused() {
        let end = i64::try_from(RFC_3339_UNIX_MS_MAX).unwrap();
        let (year_0, day) = (-62_167_219_200_000, 86_400_000);
        for (local, local_ms) in [
            ("0000-01-01T00:00:00", year_0),
            ("1969-12-31T23:59:59.999", -1),
            ("1970-01-01T00:00:00", 0),
            ("1970-01-01T23:59:00", day - 60_000),
            ("9999-12-31T00:00:00", end + 1 - day),
            ("9999-12-31T23:59:59", end - 999),
            ("9999-12-31T23:59:59.999999999", end),
        ] {
            for (offset, offset_ms) in offsets() {
                // A leap second is one in some offsets only.
                let _ = parse_rfc3339(&format!("{}:60{offset}", &local[..16]));
                let text = format!("{local}{offset}");
                let millis = u64::try_from(local_ms - offset_ms).ok();
                let expected = millis
                    .filter(|millis| *millis <= RFC_3339_UNIX_MS_MAX)
                    .map(UnixMs);
                assert_eq!(parse_rfc3339(&text), expected, "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_moment_that_is_read_can_be_written(
            year in prop_oneof![0u32..3, 1968u32..1972, 9997u32..10_000],
            month in 1u32..=12, day in 1u32..=31, hour in 0u32..24, minute in 0u32..60, second in 0u32..=60,
            sign in "[+-]", offset_hour in 0u32..24, offset_minute in 0u32..60,
        ) {
            let text = format!(
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{sign}{offset_hour:02}:{offset_minute:02}"
            );
            if let Some(moment) = parse_rfc3339(&text) {
                prop_assert_eq!(parse_rfc3339(&format_rfc3339(moment)), Some(moment), "{}", text);
            }
        }

        #[test]
        fn moments_round_trip(millis in 0..=RFC_3339_UNIX_MS_MAX) {
            prop_assert_eq!(parse_rfc3339(&format_rfc3339(UnixMs(millis))), Some(UnixMs(millis)));
        }

        #[test]
        fn dates_round_trip(day in 1_721_060i32..5_373_484) {
            let date = Date::from_julian_day(day).unwrap();
            prop_assert_eq!(parse_date(&format_date(date)), Some(date));
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,40}", like in "[0-9T:.Z+-]{0,30}") {
            for text in [text, like] {
                let _ = (parse_rfc3339(&text), parse_date(&text));
            }
        }
    }
}
