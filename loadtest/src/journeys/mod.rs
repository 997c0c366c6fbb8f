//! Journeys of people through a running service, by goose: how it holds up when it is used as people use it. goose is a
//! closed loop, whose users wait while the service stalls, so nothing here is a verdict on latency (`rate` is).

mod books;
mod figures;
mod findings;
mod plan;
mod prepare;
mod roles;
pub(crate) mod standings;
pub(crate) mod stream;
mod visit;
mod world;

#[cfg(test)]
mod lying_service;
#[cfg(test)]
mod roles_tests;

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use goose::config::GooseConfiguration;
use goose::prelude::{
    GooseAttack, GooseDefault, GooseDefaultType, GooseError, GooseMetrics, Scenario, Transaction,
    TransactionFunction,
};

pub(crate) use figures::Figures;
pub(crate) use plan::{Mix, Plan, Role, USERS_MAX};

use crate::issuer::Issuer;
use crate::session::{self, SessionError, Subject};
use figures::Outcome;
use findings::Broken;
use prepare::Prepared;
use visit::Visit;
use world::{Accounts, FIRST_VOTER, Pace, World};

/// What is to be walked.
#[derive(Clone, Debug)]
pub(crate) struct Journeys {
    pub(crate) plan: Plan,
    pub(crate) mix: Mix,
    /// Accounts that are registered beforehand.
    pub(crate) accounts: usize,
    /// One voter in so many logs in, while there are accounts.
    pub(crate) login_one_in: u64,
    /// Where goose's report goes.
    pub(crate) report: PathBuf,
}

/// Between two journeys of a user, at least and at most. From one address 100 events a minute may be created: an organizer
/// who rests so long can have nine others beside him.
const fn rest(role: Role) -> (Duration, Duration) {
    match role {
        Role::Organizer => (Duration::from_secs(3), Duration::from_secs(8)),
        Role::Voter | Role::Watcher | Role::Attacker => {
            (Duration::from_millis(200), Duration::from_millis(1_000))
        }
    }
}
/// As goose takes it. Calls have their own, shorter ones.
const GOOSE_TIMEOUT_S: &str = "60";

/// Prepares, lets the users loose, and closes the books. What was found is kept even if the service is gone by then.
///
/// # Errors
/// Where the users could not begin.
pub(crate) fn run(subject: &Subject<'_>, journeys: &Journeys) -> Result<Figures, SessionError> {
    let issuer = Issuer::from_file(subject.secrets_file, session::now_s())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime
        .map_err(SessionError::Runtime)?
        .block_on(walk(subject, issuer, journeys))
}

async fn walk(subject: &Subject<'_>, issuer: Issuer, journeys: &Journeys) -> Result<Figures, SessionError> {
    let client = session::client(subject.addr);
    let prepared = prepare::prepare(&client, subject.operator_password, journeys.accounts).await?;
    let Prepared {
        operator_token,
        stage,
        accounts,
        registration,
    } = prepared;
    println!(
        "{} accounts registered in {:.1} s; goose goes by the plan {}",
        registration.accounts,
        registration.took_ms as f64 / 1_000.0,
        journeys.plan.for_goose()
    );
    // Each run's own, since an owner may have a thousand events.
    let first_voter = FIRST_VOTER + rand::random_range(0..FIRST_VOTER);
    let accounts = Accounts::new(accounts, journeys.login_one_in);
    let tokens = (issuer, first_voter);
    let world = World::new(stage, accounts, tokens, client.clone(), Pace::LIFELIKE);
    let world = Arc::new(world);
    let metrics = attack(&world, subject.addr, journeys).await;
    let metrics = metrics.map_err(|error| SessionError::Goose(reason(&error)))?;
    let stopped = goose::is_killswitch_triggered();
    let acked = world.books.acked();
    let counted = session::settled(&client, &operator_token, world.stage.event, acked).await;
    Ok(Figures::of(&Outcome {
        world: &world,
        journeys,
        registration,
        metrics: &metrics,
        counted,
        stopped,
    }))
}

async fn attack(
    world: &Arc<World>,
    addr: SocketAddr,
    journeys: &Journeys,
) -> Result<GooseMetrics, GooseError> {
    let configuration = configuration(addr, &journeys.report);
    let mut attack = GooseAttack::initialize_with_config(configuration)?;
    for role in journeys.mix.roles() {
        let weight = journeys.mix.share(role) as usize;
        let (rest_min, rest_max) = rest(role);
        let scenario = Scenario::new(role.name())
            .set_weight(weight)?
            .set_wait_time(rest_min, rest_max)?
            .register_transaction(transaction(role, world));
        attack = attack.register_scenario(scenario);
    }
    attack
        .set_default(GooseDefault::TestPlan, journeys.plan.for_goose().as_str())?
        .execute()
        .await
}

/// No port of its own is opened, and no line is written for each request.
fn configuration(addr: SocketAddr, report: &Path) -> GooseConfiguration {
    // Not all of its fields are open, so they cannot be given at once.
    let mut configuration = GooseConfiguration::default();
    configuration.host = Some(format!("http://{addr}"));
    configuration.report_file = vec![report.display().to_string()];
    configuration.timeout = Some(GOOSE_TIMEOUT_S.to_string());
    configuration.no_telnet = true;
    // There is no TLS, only http://, and to read the machine's certificates for each user took a thousand users half a minute.
    configuration.accept_invalid_certs = true;
    configuration.no_gzip = true;
    configuration.quiet = 1;
    configuration
}

type Journey<'v> = Pin<Box<dyn Future<Output = Result<(), Broken>> + Send + 'v>>;

fn journey<'v>(role: Role, visit: &'v mut Visit<'_>) -> Journey<'v> {
    match role {
        Role::Voter => Box::pin(roles::voter(visit)),
        Role::Watcher => Box::pin(roles::watcher(visit)),
        Role::Organizer => Box::pin(roles::organizer(visit)),
        Role::Attacker => Box::pin(roles::attacker(visit)),
    }
}

/// One journey of that role, as goose takes it.
fn transaction(role: Role, world: &Arc<World>) -> Transaction {
    let world = Arc::clone(world);
    let name = format!("{}'s journey", role.name());
    let walk: TransactionFunction = Arc::new(move |user| {
        let world = Arc::clone(&world);
        Box::pin(async move {
            world.findings.begun(role);
            let mut visit = Visit::new(user, &world, role);
            let result = journey(role, &mut visit).await;
            visit.end(result)
        })
    });
    Transaction::new(walk).set_name(&name)
}

/// goose's own texts leave out what is wrong.
fn reason(error: &GooseError) -> String {
    match error {
        GooseError::InvalidOption {
            option,
            value,
            detail,
        } => format!("{option} {value}: {detail}"),
        other => other.to_string(),
    }
}
