//! The capabilities, one function each.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use ostraka_sim_model::ids::NodeIndex;

use super::Capability;
use crate::children::Spawned;
use crate::limits::{
    CLOCK_JUMP_S, CPU_PERIOD_MICROS, CPU_QUOTA_MICROS, DISK_BYTES, OPERATOR_CALL_WAIT, POLL_PAUSE,
};
use crate::litter::{Bag, Litter};
use crate::nemesis::{Delaying, Firewall, Injection, Rules, Tampering, rule};
use crate::proc::wait_until;
use crate::rig::{Disk, Fs, INNER_LINK, Namespace, Place, clock_shim};
use crate::{Trouble, tools};

const fn capability(
    name: &'static str,
    serves: &'static str,
    attempt: fn(&Bag, &Path) -> Result<String, Trouble>,
) -> Capability {
    Capability {
        name,
        serves,
        attempt,
    }
}

pub const ALL: &[Capability] = &[
    capability("root", "everything", |_, _| {
        tools::need_root().map(|()| "uid 0".to_string())
    }),
    capability("service", "every rig", service),
    capability("namespace", "every rig", namespace),
    capability("drop", "isolate, one-way, flap", dropping),
    capability("random-loss", "loss", random_loss),
    capability("reset", "reset", reset),
    capability("packet-queue", "slow-links", packet_queue),
    capability("rate", "bandwidth", rate),
    capability("xfs", "power-cut, blackout, disk-full", |bag, _| {
        power_cut(bag, Fs::Xfs)
    }),
    capability("ext4", "power-cut, blackout, disk-full", |bag, _| {
        power_cut(bag, Fs::Ext4)
    }),
    capability("strace", "disk-error, disk-error-on-write, slow-disk", strace),
    capability("libfaketime", "clock-jump, clock-skew", faketime),
    capability("cpu-group", "cpu-quota", cpu_group),
    capability("open-files", "connection-flood, slow-readers", open_files),
];

fn service(_: &Bag, binary: &Path) -> Result<String, Trouble> {
    if !binary.is_file() {
        return Err(Trouble::missing(format!(
            "there is no {}: build it with `cargo build --release -p ostraka-node`",
            binary.display()
        )));
    }
    let said = tools::run(&binary.display().to_string(), ["--version"])?;
    Ok(format!("{} at {}", said.trim(), binary.display()))
}

/// A namespace with a link to this one, and addresses that no rig picks.
fn place(bag: &Bag) -> Result<(Place, Ipv4Addr), Trouble> {
    tools::need_root()?;
    let name = format!("{}-c", bag.run());
    let [outer, inner] = pair(std::process::id());
    // Made by whichever capability comes first.
    if !Path::new("/run/netns").join(&name).exists() {
        bag.make(Litter::Namespace { name: name.clone() }, || {
            tools::run("ip", ["netns", "add", &name])
        })?;
        bag.make(Litter::Link { name: name.clone() }, || {
            let pair = [
                "link", "add", &name, "type", "veth", "peer", "name", INNER_LINK, "netns", &name,
            ];
            tools::run("ip", pair)?;
            tools::run("ip", ["address", "add", &format!("{outer}/30"), "dev", &name])?;
            tools::run("ip", ["link", "set", &name, "up"])?;
            tools::run(
                "ip",
                [
                    "-n",
                    &name,
                    "address",
                    "add",
                    &format!("{inner}/30"),
                    "dev",
                    INNER_LINK,
                ],
            )?;
            tools::run("ip", ["-n", &name, "link", "set", INNER_LINK, "up"])?;
            tools::run("ip", ["-n", &name, "link", "set", "lo", "up"])
        })?;
    }
    let place = Place {
        namespace: Namespace(name),
        address: inner,
    };
    Ok((place, outer))
}

/// The addresses of both ends of a link: link-local ones, another pair for each of 15,000 processes in a row, so that
/// several harnesses can check at once.
fn pair(process: u32) -> [Ipv4Addr; 2] {
    let byte = |number: u32| u8::try_from(number % 256).unwrap_or_default();
    let third = byte(process % 240 + 1);
    let fourth = byte(process / 240 % 63 * 4);
    [1, 2].map(|end| Ipv4Addr::new(169, 254, third, fourth + end))
}

fn listen(place: &Place) -> Result<TcpListener, Trouble> {
    place
        .namespace
        .inside(|| TcpListener::bind(place.public_socket()))?
        .map_err(|error| Trouble::failed(format!("nobody can listen in a namespace: {error}")))
}

/// Whether a connection to there can be made, and how long that took.
fn connect(place: &Place, patience: Duration) -> (bool, Duration) {
    let begun = Instant::now();
    let made = TcpStream::connect_timeout(&place.public_socket(), patience);
    (made.is_ok(), begun.elapsed())
}

fn namespace(bag: &Bag, _: &Path) -> Result<String, Trouble> {
    let (place, _) = place(bag)?;
    let _listener = listen(&place)?;
    match connect(&place, OPERATOR_CALL_WAIT) {
        (true, _) => Ok("a connection into it was made".to_string()),
        (false, _) => Err(Trouble::missing("a namespace's link carries no connection")),
    }
}

/// Puts a rule up, tries to connect some times, and gives how often that worked and how many packets met the rule.
fn under(bag: &Bag, name: &str, text: &str, times: u32) -> Result<(u32, u64), Trouble> {
    let (place, outer) = place(bag)?;
    let _listener = listen(&place)?;
    let rules = Rules {
        incoming: Some(text.to_string()),
        outgoing: None,
    };
    let firewall = Firewall::between(&place, &[outer], name, &rules)?;
    let tries = (0..times).map(|_| connect(&place, POLL_PAUSE));
    let made = tries.filter(|(made, _)| *made).count();
    Ok((u32::try_from(made).unwrap_or(u32::MAX), firewall.remove()?))
}

fn dropping(bag: &Bag, _: &Path) -> Result<String, Trouble> {
    match under(bag, "check-drop", rule::DROP, 3)? {
        (0, packets) if packets > 0 => Ok(format!("{packets} packets dropped")),
        (made, packets) => Err(Trouble::missing(format!(
            "nft drops nothing here: {made} connections made, {packets} packets counted"
        ))),
    }
}

fn random_loss(bag: &Bag, _: &Path) -> Result<String, Trouble> {
    match under(bag, "check-loss", &rule::drop_some(500), 20)? {
        (made, packets) if packets > 0 && made > 0 => {
            Ok(format!("{packets} packets lost, {made} of 20 connections made"))
        }
        (made, packets) => Err(Trouble::missing(format!(
            "nft does not drop by chance here: {made} of 20 connections made, {packets} packets counted"
        ))),
    }
}

fn reset(bag: &Bag, _: &Path) -> Result<String, Trouble> {
    match under(bag, "check-reset", rule::RESET, 3)? {
        (0, packets) if packets >= 3 => Ok(format!("{packets} packets answered with a reset")),
        (made, packets) => Err(Trouble::missing(format!(
            "nft resets nothing here: {made} connections made, {packets} packets counted"
        ))),
    }
}

fn packet_queue(bag: &Bag, _: &Path) -> Result<String, Trouble> {
    let (place, outer) = place(bag)?;
    let _listener = listen(&place)?;
    let (_, before) = connect(&place, OPERATOR_CALL_WAIT);
    let delay = Duration::from_millis(100);
    let delayed = Delaying::begin(&place.namespace, &[outer], delay, Duration::ZERO)?;
    let (made, during) = connect(&place, OPERATOR_CALL_WAIT);
    let packets = delayed.finish()?;
    if made && packets > 0 && during >= before + delay {
        Ok(format!(
            "connecting took {before:?}, and {during:?} with {delay:?} each way"
        ))
    } else {
        Err(Trouble::missing(format!(
            "queues of packets delay nothing here: {during:?} instead of {before:?}, {packets} packets"
        )))
    }
}

fn rate(bag: &Bag, _: &Path) -> Result<String, Trouble> {
    let (place, _) = place(bag)?;
    let add = [
        "qdisc", "add", "dev", INNER_LINK, "root", "tbf", "rate", "256kbit", "burst", "16kb", "latency",
        "400ms",
    ];
    place
        .namespace
        .inside(|| tools::run("tc", add))?
        .map_err(|trouble| Trouble::missing(format!("links cannot be throttled here: {trouble}")))?;
    let remove = ["qdisc", "delete", "dev", INNER_LINK, "root"];
    place.namespace.inside(|| tools::run("tc", remove))??;
    Ok("tbf was put on a link and taken off".to_string())
}

/// A file that was written and not synced must be gone after a cut, and one that was synced must be there.
fn power_cut(bag: &Bag, fs: Fs) -> Result<String, Trouble> {
    tools::need_root()?;
    let index = NodeIndex(if fs == Fs::Xfs { 0 } else { 1 });
    let mut disk = Disk::make(bag, index, fs, DISK_BYTES)?;
    let (kept, lost) = (disk.root().join("kept"), disk.root().join("lost"));
    let write_durably = || -> std::io::Result<()> {
        std::fs::write(&kept, "kept")?;
        File::open(&kept)?.sync_all()?;
        File::open(disk.root())?.sync_all()
    };
    write_durably().map_err(Trouble::with_file(&kept))?;
    std::fs::write(&lost, "lost").map_err(Trouble::with_file(&lost))?;
    disk.cut()?;
    disk.remount()?;
    let kept_is = std::fs::read_to_string(&kept).unwrap_or_default();
    let lost_is = std::fs::read_to_string(&lost).unwrap_or_default();
    match (kept_is.as_str(), lost_is.as_str()) {
        ("kept", "") => Ok("what was synced came back, what was not did not".to_string()),
        _ => Err(Trouble::missing(format!(
            "a shutdown of {fs} is no power cut here: the synced file holds {kept_is:?}, the other {lost_is:?}"
        ))),
    }
}

/// Attaches to a process that is running, makes its barriers fail, and lets it go.
fn strace(bag: &Bag, _: &Path) -> Result<String, Trouble> {
    let (place, _) = place(bag)?;
    let file = bag.folder().join("check.synced");
    std::fs::write(&file, "x").map_err(Trouble::with_file(&file))?;
    let mut syncing = tools::command("sh");
    syncing
        .args(["-c", "while :; do sync -d \"$0\" 2>/dev/null; sleep 0.02; done"])
        .arg(&file);
    let syncing = Spawned::start(bag, &place.namespace, "sync", syncing)?;
    let what = Tampering::fails("fsync,fdatasync");
    let injection = Injection::attach(bag, &place.namespace, syncing.pid(), "check", &what)?;
    wait_until(OPERATOR_CALL_WAIT, || injection.bites() > 0);
    match injection.end()? {
        0 => Err(Trouble::missing(
            "strace attaches to a process here and injects nothing",
        )),
        bites => Ok(format!("{bites} barriers of a running process failed as ordered")),
    }
}

fn faketime(_: &Bag, _: &Path) -> Result<String, Trouble> {
    let shim = clock_shim()?;
    let mut command = tools::command("date");
    command
        .arg("+%s")
        .env("LD_PRELOAD", &shim)
        .env("FAKETIME", format!("{CLOCK_JUMP_S:+}"));
    let output = command
        .output()
        .map_err(|error| tools::not_there("date", &error))?;
    let shown: i64 = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .unwrap_or(0);
    let off = shown - time::OffsetDateTime::now_utc().unix_timestamp();
    if (off - CLOCK_JUMP_S).abs() <= 2 {
        Ok(format!("a program's clock was {off} s off"))
    } else {
        Err(Trouble::missing(format!(
            "{} does not move a program's clock: {off} s",
            shim.display()
        )))
    }
}

fn cpu_group(bag: &Bag, _: &Path) -> Result<String, Trouble> {
    let (place, _) = place(bag)?;
    let group = Path::new("/sys/fs/cgroup/cpu").join(format!("{}-c", bag.run()));
    let write = |name: &str, value: String| {
        let path = group.join(name);
        std::fs::write(&path, value).map_err(Trouble::with_file(&path))
    };
    let (id, ()) = bag.make(Litter::ControlGroup { path: group.clone() }, || {
        std::fs::create_dir(&group).map_err(|error| {
            Trouble::missing(format!(
                "there are no control groups of version 1 for processors here: {error}"
            ))
        })
    })?;
    write("cpu.cfs_period_us", CPU_PERIOD_MICROS.to_string())?;
    write("cpu.cfs_quota_us", CPU_QUOTA_MICROS.to_string())?;
    let mut spinner = tools::command("sh");
    spinner.args(["-c", "while :; do :; done"]);
    let spinner = Spawned::start(bag, &place.namespace, "spin", spinner)?;
    write("cgroup.procs", spinner.pid().to_string())?;
    let throttled = || {
        let said = std::fs::read_to_string(group.join("cpu.stat")).unwrap_or_default();
        !said.lines().any(|line| line == "nr_throttled 0")
    };
    let works = wait_until(OPERATOR_CALL_WAIT, throttled);
    drop(spinner);
    bag.remove(id)?;
    if works {
        Ok("a busy loop was throttled".to_string())
    } else {
        Err(Trouble::missing(
            "a quota of processor time throttles nothing here",
        ))
    }
}

fn open_files(_: &Bag, _: &Path) -> Result<String, Trouble> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let needed = crate::limits::FLOOD_CONNECTIONS as u64 + 1_000;
    match limit.current {
        Some(files) if files < needed => Err(Trouble::missing(format!(
            "a process may have {files} open files here, and {needed} are needed: raise it with `ulimit -n`"
        ))),
        files => Ok(files.map_or("no limit".to_string(), |files| format!("{files} a process"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_that_run_at_once_have_links_of_their_own() {
        let pairs: std::collections::BTreeSet<_> = (0..15_000).map(pair).collect();
        assert_eq!(pairs.len(), 15_000);
        assert_eq!(pair(0), [[169, 254, 1, 1], [169, 254, 1, 2]].map(Ipv4Addr::from));
    }
}
