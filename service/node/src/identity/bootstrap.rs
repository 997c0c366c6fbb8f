//! The first operator: made once in the life of a cluster, by whichever node leads identity's group first.

use std::time::Duration;

use ostraka_api::validate;
use ostraka_core::RequestKey;
use ostraka_core::limits::{BOOTSTRAP_LOOK_MS, BOOTSTRAP_RETRY_MS};
use ostraka_replication::SubmitError;
use zeroize::Zeroizing;

use super::account::{Account, Username};
use super::command::{Command, CreateOperator, Outcome};
use super::service::IdentityService;
use crate::env::Entropy;

pub const OPERATOR_USERNAME: &str = "operator";

/// Between two looks at who leads and whether there is an operator.
const LOOK_INTERVAL: Duration = Duration::from_millis(BOOTSTRAP_LOOK_MS);
/// After a refusal, which does not go away by itself within one look.
const RETRY_INTERVAL: Duration = Duration::from_millis(BOOTSTRAP_RETRY_MS);

/// 32 letters and digits that nobody takes for one another: 5 bits each.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// 100 bits.
const PASSWORD_CHARS: usize = 20;

/// Waits until there is an operator; makes it if this node leads and there is none. A random password is handed to
/// `announce` as a sentence, once, and only if this very command made the account. Whether it did is told by its request
/// key, so a password is never lost to a lost answer.
///
/// # Errors
/// A given password that the service's own rules refuse, as a sentence. Nothing was done.
pub async fn ensure_operator(
    service: &IdentityService,
    password: Option<String>,
    announce: impl Fn(&str) + Send,
) -> Result<(), String> {
    if let Some(given) = password.as_deref() {
        validate::password(given, &[OPERATOR_USERNAME])
            .map_err(|error| format!("the operator's password cannot be used: {error}"))?;
    }
    let random = password.is_none();
    let password = Zeroizing::new(password.unwrap_or_else(|| random_password(&*service.parts.entropy)));
    let mut ours = None;
    let maker = loop {
        if let Some(account) = operator(service) {
            break account.request;
        }
        // The first look may have been at a replica that lags, or at a leader that no longer is one.
        if !service.parts.log.is_leader() || !service.catch_up().await || operator(service).is_some() {
            tokio::time::sleep(LOOK_INTERVAL).await;
            continue;
        }
        let Some(command) = own_command(service, &mut ours, &password).await else {
            tokio::time::sleep(LOOK_INTERVAL).await;
            continue;
        };
        match service.submit(&Command::CreateOperator(command.clone())).await {
            Ok(Outcome::Created(_)) => break command.request,
            Ok(Outcome::OperatorExists) => {}
            Ok(outcome) => return Err(format!("the operator's account was refused: {outcome:?}")),
            Err(SubmitError::Stopped(_)) => return Ok(()),
            Err(error) => {
                tracing::warn!(%error, "the operator's account is not made yet");
                if matches!(error, SubmitError::Refused(_)) {
                    tokio::time::sleep(RETRY_INTERVAL).await;
                    continue;
                }
            }
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    };
    // By the key, not by the answer: the answer to the command that made it may have been lost.
    if ours.is_some_and(|command| command.request == maker) {
        tracing::info!("the account of the operator was made");
        if random {
            announce(&sentence(&password));
        }
    }
    Ok(())
}

fn operator(service: &IdentityService) -> Option<Account> {
    let machine = service.parts.machine.read();
    machine.account(machine.operator()?)
}

/// Made once: a resubmission must carry the same key and the same hash. `None` while the hash's queue is full.
async fn own_command<'a>(
    service: &IdentityService,
    command: &'a mut Option<CreateOperator>,
    password: &Zeroizing<String>,
) -> Option<&'a CreateOperator> {
    if command.is_none() {
        let entropy = &*service.parts.entropy;
        let password_hash = service.passwords.hash(password.clone(), entropy).await.ok()?;
        *command = Some(CreateOperator {
            request: RequestKey(entropy.u128()),
            username: Username::new(OPERATOR_USERNAME),
            password_hash,
        });
    }
    command.as_ref()
}

fn sentence(password: &str) -> String {
    format!(
        "The account \"{OPERATOR_USERNAME}\" was made with the password {password} (shown this once; \
         OSTRAKA_OPERATOR_PASSWORD sets another at the first start)."
    )
}

fn random_password(entropy: &dyn Entropy) -> String {
    let mut bytes = Zeroizing::new([0; PASSWORD_CHARS]);
    entropy.fill(bytes.as_mut());
    bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect()
}

#[cfg(test)]
mod tests;
