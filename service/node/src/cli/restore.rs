//! `ostraka restore`: a backup becomes a new cluster of one node.

use ostraka_replication::{NodeNumber, PeerAddr};

use super::backup::told;
use super::{RestoreArgs, runtime, say};
use crate::backup::restore::{Plan, Restored, restore as restore_from};
use crate::env::OsEntropy;

pub(super) fn restore(args: RestoreArgs) -> Result<(), String> {
    let plan = Plan {
        from: args.from,
        data_dir: args.data_dir,
        node: NodeNumber(args.node_id),
        peer: PeerAddr(args.peer_advertise),
        secrets_file: args.secrets_file,
    };
    let restored = runtime()?
        .block_on(restore_from(&plan, &OsEntropy))
        .map_err(|error| error.to_string())?;
    if args.json {
        say(serde_json::to_string_pretty(&restored).expect("it is JSON"));
    } else {
        print(&plan, &restored);
    }
    Ok(())
}

fn print(plan: &Plan, restored: &Restored) {
    say(told(&restored.backup).trim_end());
    let (node, folder) = (restored.node, plan.data_dir.display());
    say(format_args!(
        "Restored into {folder}: cluster {}, node {node} alone, reached by others at {}.",
        restored.cluster, restored.peer
    ));
    let from_backup = if restored.secrets_restored {
        "came out of the backup and "
    } else {
        ""
    };
    say(format_args!(
        "Its secrets {from_backup}lie in {}, with a new token key: everybody has to log in again.",
        restored.secrets_file.display()
    ));
    say(format_args!(
        "Now start it (`ostraka serve --node-id {node} --data-dir {folder} …`, its peer port at that address), start the \
         others with empty data folders, --bootstrap wait and a copy of that secrets file, and add each with `ostraka cluster add`. \
         Nodes of the old cluster must not be started again."
    ));
}
