//! Which ports speak TLS, and with what.

use std::sync::Arc;

use ostraka_replication::Listener;
use tokio::task::JoinHandle;

use super::RunError;
use crate::config::Config;
use crate::env::{Env, SharedNet};
use crate::tls::{Certificate, PeerNet, public_listener};

pub(super) struct Encryption {
    public: Option<Arc<Certificate>>,
    /// The network that the nodes have among themselves.
    pub(super) peers: SharedNet,
    peer: Option<Arc<Certificate>>,
}

impl Encryption {
    /// # Errors
    /// If TLS is configured and its files are of no use: before anything listens.
    pub(super) fn read(env: &Env, config: &Config) -> Result<Self, RunError> {
        let read = |files| Certificate::read(files).map(Arc::new);
        let public = config.tls.clone().map(read).transpose()?;
        let peer = config.peer_tls.clone().map(|files| read(files.own)).transpose()?;
        let peers = match (&config.peer_tls, &peer) {
            (Some(files), Some(own)) => Arc::new(PeerNet::new(Arc::clone(&env.net), files, Arc::clone(own))?),
            _ => Arc::clone(&env.net),
        };
        Ok(Self { public, peers, peer })
    }

    /// The public port as its clients meet it.
    pub(super) fn before(&self, public: Box<dyn Listener>) -> Box<dyn Listener> {
        match &self.public {
            Some(certificate) => public_listener(public, Arc::clone(certificate)),
            None => public,
        }
    }

    pub(super) fn public_scheme(&self) -> &'static str {
        if self.public.is_some() { "https" } else { "http" }
    }

    /// Watches for certificates that are replaced.
    pub(super) fn follow(&self, env: &Env) -> Vec<JoinHandle<()>> {
        let all = self.public.iter().chain(&self.peer);
        all.map(|certificate| tokio::spawn(Arc::clone(certificate).follow(env.offload)))
            .collect()
    }
}
