//! What a field must be like beyond its type. Pure; each error names its field in snake_case.

use ostraka_core::limits::{
    CONTESTANTS_PER_EVENT_MAX, CONTESTANTS_PER_EVENT_MIN, DESCRIPTION_BYTES_MAX, NAME_BYTES_MAX,
    URL_BYTES_MAX,
};
use time::Date;

use crate::event::CreateEventRequest;
use crate::identity::RegisterRequest;
use crate::limits::{
    BIRTH_YEAR_MIN, DOMAIN_LABEL_BYTES_MAX, EMAIL_BYTES_MAX, EMAIL_LOCAL_BYTES_MAX,
    IDEMPOTENCY_KEY_BYTES_MAX, META_VALUE_BYTES_MAX, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN,
    USERNAME_CHARS_MAX, USERNAME_CHARS_MIN,
};
use crate::password::{holds_a_word, is_common, is_row};
use crate::vote::SubmitVoteRequest;

/// What is wrong with a field. Terminal: the same value is refused again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    #[error("{field} must have {min} to {max} {unit}")]
    Length {
        field: &'static str,
        min: usize,
        max: usize,
        unit: &'static str,
    },
    #[error("{field} must not hold control characters or be only spaces")]
    NotText { field: &'static str },
    #[error(
        "password must not be one that many people choose, nor a row such as abcdefgh: take a longer or rarer one"
    )]
    CommonPassword,
    #[error(
        "password must not hold the username, the name in the email address, or the name of this service"
    )]
    PasswordOfContext,
    #[error("username may hold only a-z, A-Z, 0-9, '.', '_' and '-', and must begin with a letter or digit")]
    UsernameCharacters,
    #[error("email must look like name@example.org")]
    EmailShape,
    #[error("date_of_birth must lie between 1875 and today")]
    BirthDate,
    #[error("date_of_birth must lie at least {years} years back")]
    TooYoung { years: u8 },
    #[error("{field} must be empty or an http or https URL without spaces")]
    Url { field: &'static str },
    #[error("Idempotency-Key may hold only visible ASCII characters")]
    KeyCharacters,
    #[error("closes_at must be after opens_at")]
    Schedule,
}

impl FieldError {
    /// The field as it is written on the wire; for a header, the header.
    pub const fn field(self) -> &'static str {
        match self {
            Self::Length { field, .. } | Self::NotText { field } | Self::Url { field } => field,
            Self::CommonPassword | Self::PasswordOfContext => "password",
            Self::UsernameCharacters => "username",
            Self::EmailShape => "email",
            Self::BirthDate | Self::TooYoung { .. } => "date_of_birth",
            Self::KeyCharacters => "Idempotency-Key",
            Self::Schedule => "closes_at",
        }
    }
}

const fn length(
    field: &'static str,
    actual: usize,
    (min, max): (usize, usize),
    unit: &'static str,
) -> Result<(), FieldError> {
    if actual < min || actual > max {
        Err(FieldError::Length {
            field,
            min,
            max,
            unit,
        })
    } else {
        Ok(())
    }
}

/// 3 to 64 ASCII characters that need no quoting anywhere, so that no two usernames look the same.
pub fn username(text: &str) -> Result<(), FieldError> {
    length(
        "username",
        text.chars().count(),
        (USERNAME_CHARS_MIN, USERNAME_CHARS_MAX),
        "characters",
    )?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let begins_well = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if begins_well && text.bytes().all(allowed) {
        Ok(())
    } else {
        Err(FieldError::UsernameCharacters)
    }
}

/// The shape of an address that a mail server would take: the common subset of RFC 5321 section 4.1.2 (dot-atoms, no
/// quoted parts), any UTF-8 letter (RFC 6531). Whether the mailbox exists only a mail can tell.
pub fn email(text: &str) -> Result<(), FieldError> {
    length("email", text.len(), (3, EMAIL_BYTES_MAX), "bytes")?;
    let (local, domain) = text.rsplit_once('@').ok_or(FieldError::EmailShape)?;
    let local_char = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
    let local_ok = !local.is_empty()
        && local.len() <= EMAIL_LOCAL_BYTES_MAX
        && local.chars().all(local_char)
        && local.split('.').all(|atom| !atom.is_empty());
    let label_ok = |label: &str| {
        !label.is_empty()
            && label.len() <= DOMAIN_LABEL_BYTES_MAX
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let domain_ok = domain.contains('.') && domain.split('.').all(label_ok);
    if local_ok && domain_ok {
        Ok(())
    } else {
        Err(FieldError::EmailShape)
    }
}

/// 8 to 128 characters of any kind: composition rules make passwords worse (NIST SP 800-63B section 3.1.1.2). Not one that
/// many people choose, and none with what is known of its owner in it: `words`, and this service's name.
pub fn password(text: &str, words: &[&str]) -> Result<(), FieldError> {
    length(
        "password",
        text.chars().count(),
        (PASSWORD_CHARS_MIN, PASSWORD_CHARS_MAX),
        "characters",
    )?;
    if is_common(text) || is_row(text) {
        return Err(FieldError::CommonPassword);
    }
    if holds_a_word(text, words) {
        return Err(FieldError::PasswordOfContext);
    }
    Ok(())
}

/// `today` is the caller's date in UTC plus a day, where the caller cares for zones ahead of it.
pub fn date_of_birth(date: Date, today: Date) -> Result<(), FieldError> {
    if date.year() >= BIRTH_YEAR_MIN && date <= today {
        Ok(())
    } else {
        Err(FieldError::BirthDate)
    }
}

/// Whether who was born on `date` has lived `years` years by `today`, which is as in [`date_of_birth`]. Who was born on a
/// 29 February has a birthday on 1 March where there is none.
pub fn age(date: Date, years: u8, today: Date) -> Result<(), FieldError> {
    let lived = today.year() - date.year();
    let had_birthday = (today.month() as u8, today.day()) >= (date.month() as u8, date.day());
    if lived - i32::from(!had_birthday) >= i32::from(years) {
        Ok(())
    } else {
        Err(FieldError::TooYoung { years })
    }
}

/// A name of an event or a contestant: 1 to 200 bytes of text.
pub fn name(field: &'static str, text: &str) -> Result<(), FieldError> {
    length(field, text.len(), (1, NAME_BYTES_MAX), "bytes")?;
    if text.trim().is_empty() || text.chars().any(char::is_control) {
        return Err(FieldError::NotText { field });
    }
    Ok(())
}

/// A description: up to 2,000 bytes; line breaks and tabs are allowed.
pub fn description(field: &'static str, text: &str) -> Result<(), FieldError> {
    length(field, text.len(), (0, DESCRIPTION_BYTES_MAX), "bytes")?;
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    {
        return Err(FieldError::NotText { field });
    }
    Ok(())
}

/// Empty, or `http://` or `https://` with a host, up to 2,048 bytes. No other scheme: the URL ends in people's pages.
pub fn image_url(field: &'static str, text: &str) -> Result<(), FieldError> {
    length(field, text.len(), (0, URL_BYTES_MAX), "bytes")?;
    if text.is_empty() {
        return Ok(());
    }
    let scheme_less = ["https://", "http://"].into_iter().find_map(|scheme| {
        let (head, rest) = text.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    });
    let host_begins = |rest: &str| !rest.is_empty() && !rest.starts_with(['/', '?', '#', ':', '@']);
    let quoting = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '<' | '>' | '\\' | '`');
    match scheme_less {
        Some(rest) if host_begins(rest) && !rest.contains(quoting) => Ok(()),
        _ => Err(FieldError::Url { field }),
    }
}

/// How many contestants an event may have.
pub fn contestants_count(count: usize) -> Result<(), FieldError> {
    length(
        "contestants",
        count,
        (CONTESTANTS_PER_EVENT_MIN, CONTESTANTS_PER_EVENT_MAX),
        "entries",
    )
}

/// An `Idempotency-Key`: 1 to 128 visible ASCII characters.
pub fn idempotency_key(text: &str) -> Result<(), FieldError> {
    length(
        "Idempotency-Key",
        text.len(),
        (1, IDEMPOTENCY_KEY_BYTES_MAX),
        "characters",
    )?;
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err(FieldError::KeyCharacters)
    }
}

impl RegisterRequest {
    /// Checks every field; the first wrong one is named. `today` as in [`date_of_birth`]; 0 years are any age.
    pub fn validate(&self, today: Date, minimum_age_years: u8) -> Result<(), FieldError> {
        username(&self.username)?;
        email(&self.email)?;
        date_of_birth(self.date_of_birth, today)?;
        age(self.date_of_birth, minimum_age_years, today)?;
        let Some(given) = self.password.as_deref() else {
            return Ok(());
        };
        let local = self.email.rsplit_once('@').map_or("", |(local, _)| local);
        password(given, &[&self.username, local])
    }
}

impl CreateEventRequest {
    /// Checks every field; the first wrong one is named.
    pub fn validate(&self) -> Result<(), FieldError> {
        name("event_name", &self.event_name)?;
        contestants_count(self.contestants.len())?;
        for contestant in &self.contestants {
            name("contestant_name", &contestant.contestant_name)?;
            description("contestant_description", &contestant.contestant_description)?;
            image_url("contestant_image_url", &contestant.contestant_image_url)?;
        }
        match (self.opens_at, self.closes_at) {
            (Some(opens), Some(closes)) if closes <= opens => Err(FieldError::Schedule),
            _ => Ok(()),
        }
    }
}

impl SubmitVoteRequest {
    /// Checks what the ids' own types do not.
    pub fn validate(&self) -> Result<(), FieldError> {
        let Some(meta) = &self.meta else { return Ok(()) };
        for (field, value) in [("device_id", &meta.device_id), ("app_version", &meta.app_version)] {
            length(
                field,
                value.as_ref().map_or(0, String::len),
                (0, META_VALUE_BYTES_MAX),
                "bytes",
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
