//! The event that is voted in, and the clients that reach it.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loadtest::issuer::Issuer;
use ostraka_api::{IdempotencyKey, LeaderboardResponse, SubmitVoteRequest, VoteId, VoteStatusResponse};
use ostraka_client::{CallOptions, Client, ClientError, SubmitReport};
use ostraka_core::ids::{ContestantId, ContestantIndex, EventId, VoterNumber};

use crate::Trouble;
use crate::limits::LOAD_IDLE_CONNECTIONS_MAX;
use crate::nemesis::StreamOf;
use crate::rig::{OPERATOR_PASSWORD, Rig};
use crate::sample::{client, client_keeping, create_event, insist, login};

/// How an event is to be voted in.
#[derive(Clone, Debug)]
pub struct PollsOptions {
    /// Where the nodes are reached, `host:port`.
    pub endpoints: Vec<String>,
    /// The cluster's secrets, from which voters' tokens are signed.
    pub secrets: PathBuf,
    pub contestants: u16,
    /// One try of a vote.
    pub request_wait: Duration,
    /// All tries of a vote.
    pub patience: Duration,
    /// Unused connections that each client keeps open to each node.
    pub idle_connections_max: usize,
}

impl PollsOptions {
    /// For a rig's cluster.
    pub fn of(rig: &Rig, contestants: u16, request_wait: Duration, patience: Duration) -> Self {
        Self {
            endpoints: rig.public_endpoints(),
            secrets: rig.secrets_path(),
            contestants,
            request_wait,
            patience,
            idle_connections_max: LOAD_IDLE_CONNECTIONS_MAX,
        }
    }
}

/// An event that is open, and clients for its voters. Each voter's key is made from the voter's number, so that whoever
/// asks again, however late, asks for the same vote.
pub struct Polls {
    options: PollsOptions,
    /// One for each endpoint, which it asks first.
    clients: RwLock<Arc<[Client]>>,
    issuer: Issuer,
    event: EventId,
}

impl Polls {
    /// Logs the operator in and creates an event.
    ///
    /// # Errors
    /// Where the secrets cannot be read, or the cluster does not create an event within a minute.
    pub async fn open(options: PollsOptions) -> Result<Self, Trouble> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let issuer = Issuer::from_file(&options.secrets, now.as_secs())
            .map_err(|error| Trouble::failed(error.to_string()))?;
        let clients = clients(&options);
        let opened = async {
            let operator = insist(|| login(&clients[0], "operator", OPERATOR_PASSWORD)).await?;
            insist(|| create_event(&clients[0], &operator, usize::from(options.contestants))).await
        };
        let event = opened.await.map_err(|error: ClientError| {
            Trouble::failed(format!("the cluster does not create an event: {error}"))
        })?;
        Ok(Self::in_event(options, issuer, event))
    }

    /// In an event that is there already.
    pub(crate) fn in_event(options: PollsOptions, issuer: Issuer, event: EventId) -> Self {
        Self {
            clients: RwLock::new(clients(&options)),
            issuer,
            event,
            options,
        }
    }

    pub fn event(&self) -> EventId {
        self.event
    }

    /// The event's stream, for somebody to watch.
    pub fn stream(&self) -> StreamOf {
        StreamOf {
            event: self.event,
            token: self.token(VoterNumber(1)),
        }
    }

    /// A client that asks the node at this place first, and the others after it.
    pub fn client_from(&self, place: usize) -> Client {
        let clients = clients(&self.options);
        clients[place % clients.len()].clone()
    }

    /// Whom a voter votes for.
    pub fn choice_of(&self, voter: VoterNumber) -> ContestantIndex {
        ContestantIndex(u16::try_from(voter.0 % u32::from(self.options.contestants)).unwrap_or_default())
    }

    /// Clients stay with the node that answered last. From here on they begin evenly spread again, as a load balancer
    /// would have it once a node is back.
    pub fn spread(&self) {
        *self.clients.write().unwrap_or_else(PoisonError::into_inner) = clients(&self.options);
    }

    fn client_of(&self, voter: VoterNumber) -> Client {
        let clients = self.clients.read().unwrap_or_else(PoisonError::into_inner);
        clients[voter.0 as usize % clients.len()].clone()
    }

    fn token(&self, voter: VoterNumber) -> String {
        let mut token = String::new();
        self.issuer.sign_into(voter.0, &mut token);
        token
    }

    /// Casts the voter's vote, again and again until its outcome is known or patience is over. The voter's next call of this is
    /// another try of the same vote.
    ///
    /// # Panics
    /// Never: such a key is one.
    pub async fn submit(&self, voter: VoterNumber, contestant: ContestantIndex) -> SubmitReport {
        let vote = SubmitVoteRequest {
            user_id: voter,
            event_id: self.event,
            contestant_id: ContestantId {
                event: self.event,
                contestant,
            },
            client_timestamp: None,
            meta: None,
        };
        let key: IdempotencyKey = format!("chaos-{}-{}", self.event, voter.0)
            .parse()
            .expect("letters, digits and dashes are a key");
        let token = self.token(voter);
        self.client_of(voter)
            .submit_vote_until(&vote, &key, CallOptions::bearer(&token), self.options.patience)
            .await
    }

    /// A client that asks this node and no other.
    pub fn client_at(&self, endpoint: &str) -> Client {
        client(vec![endpoint.to_owned()], self.options.request_wait)
    }

    /// # Errors
    /// Those of the client, once.
    pub async fn status(
        &self,
        client: &Client,
        voter: VoterNumber,
        id: &VoteId,
    ) -> Result<VoteStatusResponse, ClientError> {
        let token = self.token(voter);
        client.vote_status(id, CallOptions::bearer(&token)).await
    }

    /// # Errors
    /// Those of the client, once.
    pub async fn leaderboard(&self, client: &Client) -> Result<LeaderboardResponse, ClientError> {
        let token = self.token(VoterNumber(1));
        client.leaderboard(self.event, CallOptions::bearer(&token)).await
    }
}

fn clients(options: &PollsOptions) -> Arc<[Client]> {
    let endpoints = &options.endpoints;
    (0..endpoints.len())
        .map(|first| {
            let (after, before) = (&endpoints[first..], &endpoints[..first]);
            let endpoints = [after, before].concat();
            client_keeping(endpoints, options.request_wait, options.idle_connections_max)
        })
        .collect()
}
