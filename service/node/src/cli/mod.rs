//! The command line: `ostraka serve`, `ostraka cluster …`, `ostraka accounts …`, `ostraka backup`, `ostraka restore`, `ostraka verify`,
//! `ostraka audit …`, `ostraka export`.

mod accounts;
mod audit;
mod backup;
mod cluster;
mod export;
mod open_files;
mod operator_port;
mod restore;
mod serve;
mod verify;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use ostraka_core::VoterNumber;
use ostraka_core::limits::{JOINING_NODE_WAIT_S, JOINING_NODE_WAIT_S_MAX};
use ostraka_replication::NodeNumber;

use crate::audit::Head;
use crate::config::{LogFormat, NotAnAddress, Service, Settings, check_peer_addr};
use crate::operator::Memberships;
use crate::telemetry;

#[derive(Debug, Parser)]
#[command(
    name = "ostraka",
    version,
    about = "Real-time voting: one vote a user, none lost, everybody sees the count move",
    override_usage = "ostraka [COMMAND] [FLAGS]",
    after_help = "Without a command, `ostraka` means `ostraka serve`, with the same flags: see `ostraka serve --help`."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node (what happens without a command)
    Serve(Box<ServeArgs>),
    /// Look at and change the cluster's membership, through a node's operator port
    Cluster(ClusterArgs),
    /// Do something about accounts, through the operator port of any node
    Accounts(AccountsArgs),
    /// Back the whole cluster up into a file, through the operator port of any running node
    Backup(BackupArgs),
    /// Make the data folder of a new cluster of one node out of a backup
    Restore(RestoreArgs),
    /// Recount a stopped node's whole log and compare it with its stored state; exit 0 only if they agree
    Verify(VerifyArgs),
    /// Look at a node's audit trail: what operators and organizers did through it
    Audit(AuditArgs),
    /// Write a stopped node's vote log as JSON lines, for auditors
    Export(ExportArgs),
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ServeArgs {
    /// Run one service only
    #[arg(value_enum)]
    only: Option<Service>,
    /// Configuration file (TOML); flags and OSTRAKA_* variables stand above it
    #[arg(long, env = "OSTRAKA_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Args, Debug)]
pub(crate) struct ClusterArgs {
    /// Operator address of any node of the cluster
    #[arg(
        long,
        global = true,
        env = "OSTRAKA_OPERATOR",
        default_value = "127.0.0.1:8081"
    )]
    operator: String,
    #[command(subcommand)]
    action: ClusterAction,
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum ClusterAction {
    /// Form a new cluster of one: the node asked, which must have been started with --bootstrap wait
    Init,
    /// Show members, leaders and positions
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Add a node that was started with an empty data folder, --bootstrap wait and the cluster's secrets file
    Add {
        /// Its node number
        #[arg(long)]
        node: u64,
        /// Its peer address, host:port
        #[arg(long, value_parser = host_and_port)]
        peer: String,
        /// Seconds to wait for it where it does not answer yet
        #[arg(long, default_value_t = JOINING_NODE_WAIT_S, value_parser = clap::value_parser!(u64).range(..=JOINING_NODE_WAIT_S_MAX))]
        wait_s: u64,
    },
    /// Remove a node from the voters
    Remove {
        /// Its node number
        #[arg(long)]
        node: u64,
    },
    /// Hand leadership to a node
    TransferLeader {
        /// Number of the voter that is to lead all logs
        #[arg(long)]
        to: u64,
    },
}

#[derive(Args, Debug)]
pub(crate) struct AccountsArgs {
    /// Operator address of any node that runs the identity service
    #[arg(
        long,
        global = true,
        env = "OSTRAKA_OPERATOR",
        default_value = "127.0.0.1:8081"
    )]
    operator: String,
    #[command(subcommand)]
    action: AccountsAction,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub(crate) enum AccountsAction {
    /// Refuse, at every node, all tokens that an account was given until now; whoever knows its password can log in again
    Revoke {
        /// The account, as u42
        #[arg(long)]
        user: VoterNumber,
    },
}

#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    /// Operator address of any node of the cluster
    #[arg(long, env = "OSTRAKA_OPERATOR", default_value = "127.0.0.1:8081")]
    operator: String,
    /// File to write, which appears when it is whole and was read once
    #[arg(long, required_unless_present = "check")]
    out: Option<PathBuf>,
    /// Put this secrets file of the cluster into the backup; whoever has that can then sign tokens
    #[arg(long, value_name = "FILE")]
    with_secrets: Option<PathBuf>,
    /// Instead of taking a backup, read this one to its end and say what is in it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["out", "with_secrets"])]
    check: Option<PathBuf>,
    /// Print what is in it as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct RestoreArgs {
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Folder to make; there must be nothing in it, except a secrets.json
    #[arg(long, env = "OSTRAKA_DATA_DIR", default_value = "./data")]
    data_dir: PathBuf,
    /// Number of the new cluster's first node
    #[arg(long, env = "OSTRAKA_NODE_ID", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    node_id: u64,
    /// Where the other nodes will reach its peer port, host:port
    #[arg(
        long,
        env = "OSTRAKA_PEER_ADVERTISE",
        default_value = "127.0.0.1:8082",
        value_parser = host_and_port
    )]
    peer_advertise: String,
    /// File of the cluster's shared secret, which is given a new token key [default: secrets.json in the data folder, or the one
    /// in the backup]
    #[arg(long, env = "OSTRAKA_SECRETS_FILE")]
    secrets_file: Option<PathBuf>,
    /// Print what was made as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// The data folder of a node that is not running
    #[arg(long, env = "OSTRAKA_DATA_DIR", default_value = "./data")]
    data_dir: PathBuf,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    action: AuditAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditAction {
    /// Find out whether lines of the trail were removed, changed or moved; exit 0 only if none was. The node may be running
    Verify {
        /// The data folder of the node
        #[arg(long, env = "OSTRAKA_DATA_DIR", default_value = "./data")]
        data_dir: PathBuf,
        /// File of the cluster's shared secret [default: secrets.json in the data folder]
        #[arg(long, env = "OSTRAKA_SECRETS_FILE")]
        secrets_file: Option<PathBuf>,
        /// A head that an earlier run has printed: shows that nothing up to it was cut off
        #[arg(long)]
        head: Option<Head>,
        /// Print what was found as JSON
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// The data folder of a node that is not running
    #[arg(long, env = "OSTRAKA_DATA_DIR", default_value = "./data")]
    data_dir: PathBuf,
    /// File to write, which appears when it is whole [default: standard output]
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Exit codes: 0 done, 1 a failure that the sentence on stderr explains, 2 (clap's) wrong arguments.
pub fn main() -> ExitCode {
    let done = match Cli::parse_from(with_command(std::env::args_os().collect())).command {
        Command::Serve(args) => serve::serve(*args),
        Command::Cluster(args) => cluster::cluster(args).map_err(|sentence| (LogFormat::Pretty, sentence)),
        Command::Accounts(args) => {
            accounts::accounts(&args).map_err(|sentence| (LogFormat::Pretty, sentence))
        }
        Command::Backup(args) => backup::backup(&args).map_err(|sentence| (LogFormat::Pretty, sentence)),
        Command::Restore(args) => restore::restore(args).map_err(|sentence| (LogFormat::Pretty, sentence)),
        Command::Verify(args) => verify::verify(&args).map_err(|sentence| (LogFormat::Pretty, sentence)),
        Command::Audit(args) => audit::audit(args).map_err(|sentence| (LogFormat::Pretty, sentence)),
        Command::Export(args) => export::export(&args).map_err(|sentence| (LogFormat::Pretty, sentence)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err((format, sentence)) => {
            telemetry::complain(format, &sentence);
            ExitCode::FAILURE
        }
    }
}

/// Says something on stdout. Whoever reads it may have read enough (`| head`) and be gone.
fn say(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn host_and_port(addr: &str) -> Result<String, NotAnAddress> {
    check_peer_addr(addr).map(|()| addr.to_owned())
}

/// For commands that are done when they are done.
fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("the runtime does not start: {error}"))
}

/// The arguments with the command that they mean: `serve` where there is none, or a flag of its stands in its place.
fn with_command(mut args: Vec<OsString>) -> Vec<OsString> {
    let means_serve = match args.get(1).map(|first| first.to_string_lossy()) {
        None => true,
        Some(first) => first.starts_with('-') && !["-h", "--help", "-V", "--version"].contains(&&*first),
    };
    if means_serve {
        args.resize_with(args.len().max(1), || "ostraka".into());
        args.insert(1, "serve".into());
    }
    args
}

impl ClusterAction {
    /// Whether it is meant for the members that there are when it is asked for.
    fn changes_members(&self) -> bool {
        matches!(self, Self::Add { .. } | Self::Remove { .. })
    }

    /// The operator port's method, path and JSON body for this action, over these memberships.
    fn request(&self, over: &Memberships) -> (http::Method, &'static str, serde_json::Value) {
        use serde_json::json;
        match self {
            Self::Status { .. } => (http::Method::GET, "/v1/cluster/status", json!(null)),
            Self::Init => (http::Method::POST, "/v1/cluster/init", json!({})),
            Self::Add { node, peer, .. } => (
                http::Method::POST,
                "/v1/cluster/add",
                json!({"node": NodeNumber(*node), "peer": peer, "over": over}),
            ),
            Self::Remove { node } => (
                http::Method::POST,
                "/v1/cluster/remove",
                json!({"node": NodeNumber(*node), "over": over}),
            ),
            Self::TransferLeader { to } => (
                http::Method::POST,
                "/v1/cluster/transfer-leader",
                json!({"to": NodeNumber(*to)}),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_means_serve_with_its_flags() {
        let parsed = |args: &[&str]| {
            let args = args.iter().map(OsString::from).collect();
            Cli::try_parse_from(with_command(args)).map(|cli| cli.command)
        };
        for args in [
            &[][..],
            &["ostraka"],
            &["ostraka", "--config", "x.toml"],
            &["ostraka", "--node-id=2"],
        ] {
            assert!(matches!(parsed(args), Ok(Command::Serve(_))), "{args:?}");
        }
        for (args, kind) in [
            (&["ostraka", "--help"][..], ErrorKind::DisplayHelp),
            (&["ostraka", "-V"], ErrorKind::DisplayVersion),
            (&["ostraka", "--nonsense"], ErrorKind::UnknownArgument),
            (&["ostraka", "nonsense"], ErrorKind::InvalidSubcommand),
        ] {
            assert_eq!(parsed(args).unwrap_err().kind(), kind, "{args:?}");
        }
        assert!(matches!(
            parsed(&["ostraka", "verify", "--json"]),
            Ok(Command::Verify(_))
        ));
    }

    #[test]
    fn serve_takes_one_service_and_flags() {
        let cli = Cli::try_parse_from([
            "ostraka",
            "serve",
            "vote",
            "--listen",
            "127.0.0.1:1",
            "--data-dir",
            "d",
        ])
        .unwrap();
        let Command::Serve(args) = cli.command else {
            panic!("serve expected")
        };
        assert_eq!(args.only, Some(Service::Vote));
        assert_eq!(args.settings.listen.as_deref(), Some("127.0.0.1:1"));
    }

    #[test]
    fn a_peer_is_named_by_host_and_port() {
        let add = |peer| {
            let args = ["ostraka", "cluster", "add", "--node", "2", "--peer", peer];
            Cli::try_parse_from(args)
        };
        let restore = |peer| {
            let args = ["ostraka", "restore", "--from", "b", "--peer-advertise", peer];
            Cli::try_parse_from(args)
        };
        assert!(add("10.0.0.2:8082").is_ok() && restore("10.0.0.2:8082").is_ok());
        for peer in ["x", "x:", ":8082"] {
            for refused in [add(peer), restore(peer)] {
                let error = refused.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ValueValidation, "{peer}");
                assert!(error.to_string().contains("host:port"), "{error}");
            }
        }
    }

    #[test]
    fn an_account_is_named_as_the_api_names_it() {
        let revoke = |user| Cli::try_parse_from(["ostraka", "accounts", "revoke", "--user", user]);
        assert!(revoke("u42").is_ok());
        for user in ["42", "u042", "ada", ""] {
            assert_eq!(
                revoke(user).unwrap_err().kind(),
                ErrorKind::ValueValidation,
                "{user}"
            );
        }
    }

    #[test]
    fn node_zero_is_refused() {
        assert!(Cli::try_parse_from(["ostraka", "serve", "--node-id", "0"]).is_err());
    }
}
