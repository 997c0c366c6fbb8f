//! Before the first user comes: the operator logs in, creates the event that all share, and registers accounts.

use std::time::{Duration, Instant};

use ostraka_api::ids::EventId;
use ostraka_api::{ContestantDraft, CreateEventRequest, ErrorCode, RegisterRequest};
use ostraka_client::{CallOptions, Client, ClientError};
use serde::Serialize;

use super::world::{Account, Stage};
use crate::session::{self, SessionError};

/// Enough that two voters often choose otherwise.
const CONTESTANTS: [&str; 5] = ["Ada", "Bo", "Cy", "Di", "Ed"];
/// Registrations under way: the service hashes as many passwords at once as it has cores.
const REGISTERING: usize = 4;
/// A caller may register a hundred accounts a second. Who is told to wait, waits, but not for ever.
const REGISTER_ATTEMPTS_MAX: u32 = 20;
const REGISTER_PAUSE: Duration = Duration::from_millis(200);

/// What is ready when the users come.
pub(crate) struct Prepared {
    pub(crate) operator_token: String,
    pub(crate) stage: Stage,
    pub(crate) accounts: Vec<Account>,
    pub(crate) registration: Registration,
}

/// What the accounts cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Registration {
    pub(crate) accounts: usize,
    pub(crate) took_ms: u64,
}

/// Blocks on nothing but the service.
///
/// # Errors
/// Where the service is not there, or does not let the operator do it.
pub(crate) async fn prepare(
    client: &Client,
    password: &str,
    accounts: usize,
) -> Result<Prepared, SessionError> {
    let operator = session::let_in(client, password).await?;
    let contestants = CONTESTANTS.map(|name| ContestantDraft {
        contestant_name: name.to_string(),
        contestant_description: String::new(),
        contestant_image_url: String::new(),
    });
    let event = CreateEventRequest {
        user_id: operator.user_id,
        event_name: "Journeys".to_string(),
        contestants: contestants.to_vec(),
        opens_at: None,
        closes_at: None,
        results: None,
        canary: false,
    };
    let options = CallOptions::bearer(&operator.token);
    let created = client.create_event(&event, None, options).await;
    let created = created.map_err(SessionError::Event)?;
    let stage = Stage {
        event: created.event_id,
        contestants: created
            .contestants
            .iter()
            .map(|entry| entry.contestant_id)
            .collect(),
    };
    let started = Instant::now();
    let accounts = register(client, &operator.token, stage.event, accounts).await?;
    let registration = Registration {
        accounts: accounts.len(),
        took_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    };
    Ok(Prepared {
        operator_token: operator.token,
        stage,
        accounts,
        registration,
    })
}

/// Registers so many accounts, a few at a time.
async fn register(
    client: &Client,
    token: &str,
    event: EventId,
    count: usize,
) -> Result<Vec<Account>, SessionError> {
    let mut tasks = tokio::task::JoinSet::new();
    for lane in 0..REGISTERING {
        let (client, token) = (client.clone(), token.to_string());
        // The event is this run's own, so its accounts have names of their own.
        let names: Vec<_> = (lane..count)
            .step_by(REGISTERING)
            .map(|number| format!("journey-{event}-{:08x}-{number}", rand::random::<u32>()))
            .collect();
        tasks.spawn(async move {
            let mut accounts = Vec::with_capacity(names.len());
            for username in names {
                accounts.push(register_one(&client, &token, username).await?);
            }
            Ok::<_, SessionError>(accounts)
        });
    }
    let mut accounts = Vec::with_capacity(count);
    while let Some(lane) = tasks.join_next().await {
        accounts.extend(lane.expect("registering does not panic")?);
    }
    Ok(accounts)
}

async fn register_one(client: &Client, token: &str, username: String) -> Result<Account, SessionError> {
    let account = Account {
        password: format!("{:032x}", rand::random::<u128>()),
        username,
    };
    let form = form(&account);
    for _ in 1..REGISTER_ATTEMPTS_MAX {
        match client.register(&form, CallOptions::bearer(token)).await {
            Err(error) if is_told_to_wait(&error) => {
                tokio::time::sleep(error.retry_after().unwrap_or(REGISTER_PAUSE)).await;
            }
            answered => return answered.map(|_| account).map_err(SessionError::Register),
        }
    }
    let answered = client.register(&form, CallOptions::bearer(token)).await;
    answered.map(|_| account).map_err(SessionError::Register)
}

/// Told to come again: registrations were too many, or passwords wait for a core.
fn is_told_to_wait(error: &ClientError) -> bool {
    let ClientError::Problem { problem, .. } = error else {
        return false;
    };
    let code = ErrorCode::from_type(&problem.problem_type);
    matches!(code, Some(ErrorCode::TooManyRequests | ErrorCode::Overloaded))
}

fn form(account: &Account) -> RegisterRequest {
    let form = serde_json::json!({
        "username": account.username,
        "email": format!("{}@example.org", account.username),
        "date_of_birth": "1990-12-31",
        "password": account.password,
    });
    serde_json::from_value(form).expect("the form has every field of a registration")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_filled_in() {
        let form = form(&Account {
            username: "journey-e1-0".to_string(),
            password: "long enough".to_string(),
        });
        assert_eq!(form.email, "journey-e1-0@example.org");
        assert_eq!(form.password.as_deref(), Some("long enough"));
    }
}
