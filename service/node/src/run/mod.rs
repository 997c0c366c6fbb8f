//! The composition root. Everything that a node is gets put together here, and nowhere else.

mod encryption;
mod groups;
mod leave;
mod ports;
mod services;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt, select_all};
use ostraka_api::{FieldError, validate};
use ostraka_core::limits::{
    DRAIN_MS_MAX, FAILED_DRAIN_MS_MAX, FLUSH_MS_MAX, OPERATOR_ACCOUNT_MS_MAX, OPERATOR_CONNECTIONS_MAX,
    OPERATOR_DRAIN_MS_MAX,
};
use ostraka_replication::log_store::sled::OpenError;
use ostraka_replication::peer::PeerServer;
use ostraka_replication::snapshot_store::SnapshotError;
use ostraka_replication::{Group, GroupError, Listener, PeerAddr};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::audit::{Trail, TrailError};
use crate::backup::take::Taker;
use crate::config::Config;
use crate::data_folder::{DataFolder, DataFolderError};
use crate::env::{Env, Storage};
use crate::http::{Edge, Server};
use crate::identity::AccountsError;
use crate::identity::bootstrap::OPERATOR_USERNAME;
use crate::operator::{Health, Operator};
use crate::secrets::{Secrets, SecretsError};
use crate::tls::TlsError;
use crate::{operator, storage_guard};
use encryption::Encryption;
use ports::Ports;
use services::Services;

const OPERATOR_DRAIN_TIMEOUT: Duration = Duration::from_millis(OPERATOR_DRAIN_MS_MAX);
const OPERATOR_ACCOUNT_WAIT: Duration = Duration::from_millis(OPERATOR_ACCOUNT_MS_MAX);

/// Why a node does not start, or why it ended by itself. Each is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Folder(#[from] DataFolderError),
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    #[error("cannot listen on {addr} for {what}: {source}{}", bind_hint(.source))]
    Bind {
        what: &'static str,
        addr: String,
        source: io::Error,
    },
    #[error("a bound port cannot be served: {0}")]
    Serve(io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Log(#[from] OpenError),
    #[error(transparent)]
    Snapshots(#[from] SnapshotError),
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    #[error(transparent)]
    Audit(#[from] TrailError),
    #[error("the {group} log does not start: {source}")]
    Group { group: &'static str, source: GroupError },
    #[error("this node does not start: {0}")]
    Bootstrap(GroupError),
    #[error(
        "OSTRAKA_OPERATOR_PASSWORD cannot be the operator's password: {0} (only the first start of a cluster takes it: where \
         there is an operator, leave it out)"
    )]
    OperatorPassword(FieldError),
    /// The node found that it cannot go on without guessing.
    #[error("the node has stopped: {0}")]
    Stopped(String),
}

fn bind_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; the address is in use: stop what listens there, or give another one",
        io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
        io::ErrorKind::PermissionDenied => "; this user may not listen there",
        _ => "",
    }
}

/// Where a node listens, as bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub public: SocketAddr,
    pub operator: SocketAddr,
    pub peer: SocketAddr,
}

/// What is waited for while a node stops.
struct Patience {
    drain: Duration,
    flush: Duration,
}

const ASKED_TO_STOP: Patience = Patience {
    drain: Duration::from_millis(DRAIN_MS_MAX),
    flush: Duration::from_millis(FLUSH_MS_MAX),
};
const CANNOT_GO_ON: Patience = Patience {
    drain: Duration::from_millis(FAILED_DRAIN_MS_MAX),
    flush: Duration::from_millis(FAILED_DRAIN_MS_MAX),
};

/// A running node.
pub struct Node {
    addresses: Addresses,
    /// How clients speak to the public port.
    public_scheme: &'static str,
    groups: Vec<Group>,
    services: Services,
    public: Server,
    operator: Server,
    health: Arc<Health>,
    tasks: Vec<JoinHandle<()>>,
    /// Holds the lock.
    _folder: Option<DataFolder>,
}

/// Runs a node until `stop` completes, then stops it gracefully. An error if it does not start or ends by itself.
pub async fn run(env: Env, config: Config, stop: impl Future<Output = ()>) -> Result<(), RunError> {
    let console = Arc::clone(&env.console);
    let node = Node::start(env, config).await?;
    let Addresses {
        public,
        operator,
        peer,
    } = node.addresses();
    tracing::info!(%public, %operator, %peer, "this node listens");
    let scheme = node.public_scheme;
    console(&format!(
        "public   {scheme}://{public}\noperator http://{operator}\npeers    {peer}\nstop with Ctrl-C"
    ));
    let ended = {
        let (stop, failed) = (std::pin::pin!(stop), std::pin::pin!(node.failed()));
        tokio::select! {
            biased;
            sentence = failed => Err(RunError::Stopped(sentence)),
            () = stop => Ok(()),
        }
    };
    let patience = match &ended {
        Ok(()) => ASKED_TO_STOP,
        Err(error) => {
            tracing::error!(%error, "this node cannot go on");
            CANNOT_GO_ON
        }
    };
    let stopped = node.shutdown(patience).await;
    ended.and(stopped)
}

impl Node {
    pub async fn start(env: Env, config: Config) -> Result<Self, RunError> {
        if let Some(password) = &config.operator_password {
            validate::password(password, &[OPERATOR_USERNAME]).map_err(RunError::OperatorPassword)?;
        }
        // First, so that a node that cannot listen leaves no folder behind.
        let encryption = Encryption::read(&env, &config)?;
        let ports = Ports::bind(&env, &encryption.peers, &config).await?;
        let addresses = ports.addresses;
        let folder = match env.storage {
            Storage::Disk => Some(DataFolder::open(&config.data_dir, config.node)?),
            Storage::Memory(_) => None,
        };
        let (secrets, may_have_lost_its_log) = secrets(&env, &config, folder.as_ref())?;
        let advertised = config.peer_advertise.clone();
        let own_peer_addr = PeerAddr(advertised.unwrap_or_else(|| addresses.peer.to_string()));

        let health = Arc::new(Health::default());
        let started = groups::start(
            &env,
            &encryption.peers,
            &config,
            &secrets,
            folder.as_ref(),
            &health,
        )
        .await?;
        let peer_server = Arc::new(PeerServer::new(secrets.cluster_key.0, config.node));
        let all: Vec<Group> = started.all();
        all.iter().for_each(|group| peer_server.register(group));
        let serving = Arc::clone(&peer_server);
        let mut tasks = vec![tokio::spawn(async move { serving.serve(ports.peer).await })];
        tasks.extend(encryption.follow(&env));
        let is_new = groups::bootstrap(&all, &config, &own_peer_addr, may_have_lost_its_log).await?;

        let audit = audit_trail(&env, &config, &secrets, folder.as_ref())?;
        let (services, registry, edge) = Services::start(started, &env, &config, &secrets, &audit);
        let public = services
            .serve(encryption.before(ports.public), &edge)
            .map_err(RunError::Serve)?;
        tasks.extend(
            all.iter()
                .map(|group| tokio::spawn(groups::recover(group.clone(), Arc::clone(&health)))),
        );
        let disk = folder.as_ref().map(|folder| folder.root().to_path_buf());
        tasks.extend(
            disk.map(|root| tokio::spawn(storage_guard::watch(root, Arc::clone(health.storage_full())))),
        );
        tasks.extend(operator_account(&services, &env, &config, is_new).await?);
        let operator = Operator {
            groups: all.clone(),
            identity: services.identity(),
            audit,
            own_peer_addr,
            health: Arc::clone(&health),
            backups: Taker::new(secrets.fingerprint(), Arc::clone(&env.clock), env.offload),
            metrics: operator::metrics_of(registry, all.clone()),
        };
        let operator = serve_operator(ports.operator, operator, &edge).map_err(RunError::Serve)?;
        Ok(Self {
            addresses,
            public_scheme: encryption.public_scheme(),
            groups: all,
            services,
            public,
            operator,
            health,
            tasks,
            _folder: folder,
        })
    }

    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Completes when the node cannot go on, with the sentence that says why.
    pub async fn failed(&self) -> String {
        any_failed(&self.groups).await
    }

    /// Stops gracefully: no new traffic, streams ended, requests answered, leadership handed over, logs closed. An error
    /// where a log had failed by then.
    async fn shutdown(self, patience: Patience) -> Result<(), RunError> {
        tracing::info!("stopping: no new requests, streams are ended");
        self.health.start_draining();
        self.services.end_streams();
        let groups = &self.groups;
        if !self.public.shutdown(while_healthy(groups, patience.drain)).await {
            tracing::warn!("some connections were cut off before they were done");
        }
        if !self
            .services
            .shutdown(while_healthy(groups, patience.flush))
            .await
        {
            tracing::warn!(
                "some submissions were left without an answer; their clients know the outcome as unknown"
            );
        }
        let failed = any_failed(groups).now_or_never();
        for group in groups {
            leave::hand_over_leadership(group).await;
            group.shutdown().await;
        }
        self.tasks.iter().for_each(JoinHandle::abort);
        self.operator.shutdown(sleep(OPERATOR_DRAIN_TIMEOUT)).await;
        tracing::info!("stopped");
        failed.map_or(Ok(()), |sentence| Err(RunError::Stopped(sentence)))
    }
}

/// Sees to the first account. Of a cluster that this node has just formed of itself, the first request may be the operator's
/// login. With a full disk it comes later, and the node can be asked why, and stopped, meanwhile: then the task is still at it.
async fn operator_account(
    services: &Services,
    env: &Env,
    config: &Config,
    is_new: bool,
) -> Result<Option<JoinHandle<()>>, RunError> {
    let made = services.make_operator(config.operator_password.clone(), Arc::clone(&env.console));
    let Some(mut made) = made else { return Ok(None) };
    if !is_new {
        return Ok(Some(made));
    }
    match timeout(OPERATOR_ACCOUNT_WAIT, &mut made).await {
        Ok(done) => done
            .map(|()| None)
            .map_err(|error| RunError::Stopped(error.to_string())),
        Err(_) => Ok(Some(made)),
    }
}

async fn any_failed(groups: &[Group]) -> String {
    let (sentence, ..) = select_all(groups.iter().map(|group| Box::pin(group.failed()))).await;
    sentence
}

/// Completes at the end of `patience`, and sooner where a log fails meanwhile: what then hangs on it has no answer to wait
/// for, and keeps a supervisor from starting the node again.
async fn while_healthy(groups: &[Group], patience: Duration) {
    let failed = async {
        any_failed(groups).await;
        sleep(CANNOT_GO_ON.drain).await;
    };
    tokio::select! {
        biased;
        () = failed => {}
        () = sleep(patience) => {}
    }
}

/// The secrets, and whether they were there before: then a node without a log may be one that has lost it. A simulated
/// machine never loses its folder without knowing.
fn secrets(env: &Env, config: &Config, folder: Option<&DataFolder>) -> Result<(Secrets, bool), RunError> {
    match (&env.storage, folder) {
        (Storage::Memory(memory), _) => Ok((memory.secrets.clone(), false)),
        (Storage::Disk, Some(folder)) => {
            let path = config
                .secrets_file
                .clone()
                .unwrap_or_else(|| folder.secrets_file());
            folder.check_secrets_file(&path)?;
            let were_there = path.exists();
            let secrets = Secrets::load_or_create(&path, &*env.entropy)?;
            folder.bind_secrets(&secrets.fingerprint())?;
            Ok((secrets, were_there))
        }
        (Storage::Disk, None) => unreachable!("a node on disk has opened its folder"),
    }
}

/// In the data folder; a simulated machine has none.
fn audit_trail(
    env: &Env,
    config: &Config,
    secrets: &Secrets,
    folder: Option<&DataFolder>,
) -> Result<Trail, TrailError> {
    let Some(folder) = folder else {
        return Ok(Trail::default());
    };
    let (key, clock) = (secrets.audit_key.clone(), Arc::clone(&env.clock));
    Trail::open(folder.root(), key, config.node, clock, env.offload)
}

fn serve_operator(listener: Box<dyn Listener>, operator: Operator, edge: &Edge) -> io::Result<Server> {
    let router = operator::router(Arc::new(operator));
    Server::start("operator", listener, edge.over(router), OPERATOR_CONNECTIONS_MAX)
}
