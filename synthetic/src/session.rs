//! Getting ready to vote: a token, and a canary event of the place's own.

use std::fmt;
use std::sync::Arc;

use ostraka_client::api::ids::{ContestantId, EventId, VoterNumber};
use ostraka_client::api::{ContestantDraft, CreateEventRequest, IdempotencyKey, LoginRequest};
use ostraka_client::{CallOptions, Client, ClientError};
use zeroize::Zeroizing;

/// Two, so that a vote that lands with the wrong one is found.
const CONTESTANTS: [&str; 2] = ["heads", "tails"];

/// Who probes. Never shown.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) password: Arc<Zeroizing<String>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Where a place votes: an event that an operator has made, or one that the probe makes for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Canary {
    Given(EventId),
    Own { place: String },
}

/// What every call of a place needs.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) token: Arc<str>,
    pub(crate) user: VoterNumber,
    pub(crate) event: EventId,
    pub(crate) contestants: Vec<ContestantId>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("logging in: {0}")]
    Login(ClientError),
    #[error(
        "making the canary event, which only an operator may (or give one with the place: name=host:port@e17): {0}"
    )]
    Create(ClientError),
    #[error("asking for the contestants of {event}: {source}")]
    Contestants { event: EventId, source: ClientError },
    #[error("{0} has no contestants")]
    Empty(EventId),
}

pub(crate) async fn login(
    client: &Client,
    credentials: &Credentials,
) -> Result<(Arc<str>, VoterNumber), ClientError> {
    let request = LoginRequest {
        username: credentials.username.clone(),
        password: credentials.password.to_string(),
    };
    let told = client.login(&request, CallOptions::default()).await?;
    Ok((told.token.into(), told.user_id))
}

/// Logs in and finds the canary. The same place gets the same event each time, for its creation has a key.
///
/// # Errors
/// With the step that failed.
pub(crate) async fn open(
    client: &Client,
    credentials: &Credentials,
    canary: &Canary,
) -> Result<Session, SessionError> {
    let (token, user) = login(client, credentials).await.map_err(SessionError::Login)?;
    let options = CallOptions::bearer(&token);
    let (event, contestants) = match canary {
        Canary::Given(event) => {
            let told = client.contestants(*event, options).await;
            let told = told.map_err(|source| SessionError::Contestants {
                event: *event,
                source,
            })?;
            let contestants = told.contestants.iter().map(|one| one.contestant_id).collect();
            (*event, contestants)
        }
        Canary::Own { place } => create(client, user, place, options)
            .await
            .map_err(SessionError::Create)?,
    };
    if contestants.is_empty() {
        return Err(SessionError::Empty(event));
    }
    Ok(Session {
        token,
        user,
        event,
        contestants,
    })
}

async fn create(
    client: &Client,
    user: VoterNumber,
    place: &str,
    options: CallOptions<'_>,
) -> Result<(EventId, Vec<ContestantId>), ClientError> {
    let contestant = |name: &str| ContestantDraft {
        contestant_name: name.to_owned(),
        contestant_description: String::new(),
        contestant_image_url: String::new(),
    };
    let wanted = CreateEventRequest {
        user_id: user,
        event_name: format!("canary of {place}"),
        contestants: CONTESTANTS.into_iter().map(contestant).collect(),
        opens_at: None,
        closes_at: None,
        results: None,
        canary: true,
    };
    let key: IdempotencyKey = format!("synthetic-canary-{place}")
        .parse()
        .expect("a place's name is short and made of letters, digits and dashes");
    let created = client.create_event(&wanted, Some(&key), options).await?;
    let contestants = created.contestants.iter().map(|one| one.contestant_id).collect();
    Ok((created.event_id, contestants))
}
