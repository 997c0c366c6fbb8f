//! The services of a node over its groups, and the public port in front of them.

use std::sync::Arc;

use axum::Router;
use ostraka_api::Durability;
use ostraka_replication::Listener;
use prometheus_client::registry::Registry;
use tokio::task::JoinHandle;

use super::groups::Started;
use crate::audit::Trail;
use crate::config::Config;
use crate::env::{Console, Env, Storage};
use crate::http::{Authenticator, Edge, Express, HttpMetrics, Server, openapi};
use crate::identity::{self, IdentityParts, IdentityService, IdentitySettings, PasswordSettings};
use crate::secrets::Secrets;
use crate::token::Tokens;
use crate::vote::{self, VoteParts, VoteService};

pub(super) struct Services {
    identity: Option<Arc<IdentityService>>,
    vote: Option<Arc<VoteService>>,
    authenticator: Authenticator,
}

impl Services {
    pub(super) fn start(
        started: Started,
        env: &Env,
        config: &Config,
        secrets: &Secrets,
        audit: &Trail,
    ) -> (Self, Registry, Edge) {
        let mut registry = Registry::with_prefix("ostraka");
        let edge = Edge::new(env, HttpMetrics::register(&mut registry));
        let tokens = Arc::new(Tokens::new(secrets));
        // A node without identity's log hears of no revocation.
        let machine = started.identity.as_ref().map(|(_, machine)| machine.read());
        let revoked = machine.map_or_else(Arc::default, |machine| Arc::clone(machine.revoked()));
        let authenticator = Authenticator::new(Arc::clone(&tokens), revoked, Arc::clone(&env.clock));
        let identity = started.identity.map(|(group, machine)| {
            Arc::new(IdentityService::new(IdentityParts {
                machine,
                log: Arc::new(group),
                tokens,
                secrets: secrets.clone(),
                clock: Arc::clone(&env.clock),
                entropy: Arc::clone(&env.entropy),
                settings: identity_settings(env, config),
            }))
        });
        let vote = started.vote.map(|(group, machine)| {
            VoteService::start(VoteParts {
                log: Arc::new(group),
                machine,
                secrets,
                authenticator: authenticator.clone(),
                env,
                audit: audit.clone(),
                durability: durability(env),
                registry: &mut registry,
            })
        });
        (
            Self {
                identity,
                vote,
                authenticator,
            },
            registry,
            edge,
        )
    }

    /// The public port: the routes of every service that runs here, and the document that describes them.
    pub(super) fn serve(&self, listener: Box<dyn Listener>, edge: &Edge) -> std::io::Result<Server> {
        let mut router = Router::new();
        let mut express: Option<Arc<dyn Express>> = None;
        let mut documents = Vec::new();
        if let Some(service) = &self.identity {
            router = router.merge(identity::router(Arc::clone(service), self.authenticator.clone()));
            documents.push(identity::api_document());
        }
        if let Some(service) = &self.vote {
            router = router.merge(vote::router(Arc::clone(service)));
            express = Some(Arc::clone(service) as Arc<dyn Express>);
            documents.push(vote::api_document());
        }
        let router = router.merge(openapi::router(documents));
        Server::start(
            "public",
            listener,
            edge.over_both(router, express),
            ostraka_core::limits::HTTP_CONNECTIONS_MAX,
        )
    }

    pub(super) fn identity(&self) -> Option<Arc<IdentityService>> {
        self.identity.clone()
    }

    /// Makes the first operator's account where there is none.
    pub(super) fn make_operator(&self, password: Option<String>, console: Console) -> Option<JoinHandle<()>> {
        let service = self.identity.clone()?;
        Some(tokio::spawn(async move {
            let announce = |sentence: &str| console(sentence);
            if let Err(error) = identity::ensure_operator(&service, password, announce).await {
                tracing::error!(%error, "there is no operator's account");
            }
        }))
    }

    pub(super) fn end_streams(&self) {
        if let Some(vote) = &self.vote {
            vote.end_streams();
        }
    }

    /// `false` if something was left without an answer.
    pub(super) async fn shutdown(&self, patience: impl Future<Output = ()>) -> bool {
        match &self.vote {
            Some(vote) => vote.shutdown(patience).await,
            None => true,
        }
    }
}

fn durability(env: &Env) -> Durability {
    match env.storage {
        Storage::Disk => Durability::QuorumFsync,
        Storage::Memory(_) => Durability::Volatile,
    }
}

fn identity_settings(env: &Env, config: &Config) -> IdentitySettings {
    let passwords = PasswordSettings {
        cost: env.password_cost,
        offload: env.offload,
        ..PasswordSettings::default()
    };
    IdentitySettings {
        passwords,
        cookie_secure: config.cookie_secure,
        minimum_age_years: config.minimum_age_years,
        ..IdentitySettings::default()
    }
}
