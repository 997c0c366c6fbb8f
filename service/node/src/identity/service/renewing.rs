//! Hashes that cost less than one costs today are made anew when their owner logs in: only then is the password known.

use std::sync::Arc;
use std::time::Duration;

use ostraka_core::VoterNumber;
use ostraka_core::limits::SUBMIT_MS_MAX;
use zeroize::Zeroizing;

use super::IdentityService;
use crate::identity::account::hash_digest;
use crate::identity::command::{Command, RenewPassword};

impl IdentityService {
    /// Begins it and returns at once: nobody's login waits for it. What goes wrong is tried again at the next login.
    pub(super) fn renew_later(&self, voter: VoterNumber, stored: &str, password: Zeroizing<String>) {
        let replaces = hash_digest(stored);
        let (passwords, log) = (Arc::clone(&self.passwords), Arc::clone(&self.parts.log));
        let entropy = Arc::clone(&self.parts.entropy);
        tokio::spawn(async move {
            let Ok(password_hash) = passwords.hash(password, &*entropy).await else {
                return;
            };
            let command = Command::RenewPassword(RenewPassword {
                voter,
                replaces,
                password_hash,
            });
            let within = Duration::from_millis(SUBMIT_MS_MAX);
            if let Err(error) = log.submit(command.encode(), within).await {
                tracing::info!(voter = voter.0, %error, "the hash of a password is not renewed yet");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use ostraka_api::LoginRequest;

    use super::*;
    use crate::identity::testing::{Bench, bench, dearer};
    use crate::identity::{PasswordCost, ensure_operator};

    const PASSWORD: &str = "a steady hand";

    async fn login(service: &IdentityService, password: &str) -> bool {
        let request = LoginRequest {
            username: "operator".to_owned(),
            password: password.to_owned(),
        };
        let logged_in = service.login(request, IpAddr::V4(Ipv4Addr::LOCALHOST)).await;
        // What was spawned runs before this goes on.
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
        logged_in.is_ok()
    }

    fn stored(bench: &Bench) -> String {
        bench.log.bring_replica_to(bench.log.committed());
        let machine = bench.machine.read();
        let account = machine.account(VoterNumber(1)).unwrap();
        account.password_hash.unwrap()
    }

    #[tokio::test]
    async fn a_login_renews_a_cheap_hash_once_and_a_wrong_password_does_not() {
        let bench = bench(|_| {});
        ensure_operator(&bench.service, Some(PASSWORD.to_owned()), |_| {})
            .await
            .unwrap();
        let (old, entries) = (stored(&bench), bench.log.committed());
        assert!(login(&bench.service, PASSWORD).await);
        assert_eq!(stored(&bench), old, "it costs what it should");

        let cost = PasswordCost {
            memory_kib: 32,
            passes: 2,
            lanes: 1,
        };
        let dearer = dearer(&bench, cost);
        assert!(!login(&dearer, "another hand").await);
        assert_eq!(bench.log.committed(), entries);
        assert!(login(&dearer, PASSWORD).await);
        let new = stored(&bench);
        assert!(new.starts_with("$argon2id$v=19$m=32,t=2,p=1$"), "{new}");
        let entries = bench.log.committed();
        assert!(login(&dearer, PASSWORD).await, "with the new one");
        assert!(
            login(&bench.service, PASSWORD).await,
            "at a node that would make a cheaper one"
        );
        assert_eq!((stored(&bench), bench.log.committed()), (new, entries));
    }
}
