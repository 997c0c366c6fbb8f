//! What a fleet is derived from: service times, each with where it comes from, and list prices.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const TIMES: &str = include_str!("../../fleet/times.json");
const PRICES: &str = include_str!("../../fleet/prices.json");
const FORMAT: u32 = 1;

/// What a number is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Basis {
    /// Seen on a machine, by a command that its source names.
    Measured,
    /// Follows from bytes or limits, on any machine.
    Counted,
    /// Made of measured ones by a law that need not hold.
    Extrapolated,
    /// Nobody has measured it: a guess that its source explains.
    Assumed,
}

impl Basis {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Counted => "counted",
            Self::Extrapolated => "extrapolated",
            Self::Assumed => "assumed",
        }
    }
}

/// The numbers. Times are of one core of the machine that measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Input {
    /// Everything that the node does for a vote that it takes.
    FrontVoteUs,
    /// Accepting a connection and letting it go again.
    ConnectionUs,
    /// What the leader's one loop does for an entry, and for sending it to one replica.
    LeaderEntryUs,
    ReplicaSendUs,
    /// Decoding and applying a vote.
    ApplyVoteUs,
    /// A barrier takes at least so long, and on the average so long.
    BarrierUsMin,
    BarrierUsMean,
    /// One way between two zones.
    HopUs,
    /// Handing one watcher one tally.
    PushUs,
    TallyBytes,
    /// Of a vote in an entry, and on disk in log and snapshot.
    VoteBytes,
    VoteDiskBytes,
    /// Resident memory.
    WatcherBytes,
    VoterBytes,
    /// Without a leader, when one was lost.
    FailoverUs,
    /// Of an instance's core to the machine's that measured.
    CoreSpeed,
}

impl Input {
    pub(crate) const ALL: [Self; 16] = [
        Self::FrontVoteUs,
        Self::ConnectionUs,
        Self::LeaderEntryUs,
        Self::ReplicaSendUs,
        Self::ApplyVoteUs,
        Self::BarrierUsMin,
        Self::BarrierUsMean,
        Self::HopUs,
        Self::PushUs,
        Self::TallyBytes,
        Self::VoteBytes,
        Self::VoteDiskBytes,
        Self::WatcherBytes,
        Self::VoterBytes,
        Self::FailoverUs,
        Self::CoreSpeed,
    ];

    pub(crate) fn name(self) -> String {
        let name = serde_json::to_value(self).ok();
        let name = name.as_ref().and_then(|name| name.as_str());
        name.unwrap_or_default().to_owned()
    }

    /// A core's time, which a faster core needs less of.
    const fn is_of_a_core(self) -> bool {
        matches!(
            self,
            Self::FrontVoteUs
                | Self::ConnectionUs
                | Self::LeaderEntryUs
                | Self::ReplicaSendUs
                | Self::ApplyVoteUs
                | Self::PushUs
        )
    }
}

/// A number and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sourced {
    pub(crate) value: f64,
    pub(crate) basis: Basis,
    /// The command and where its figure stands, or why it is guessed so.
    pub(crate) from: String,
}

/// Why inputs cannot be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("{path} cannot be read: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} is not what it should be: {reason}")]
    Malformed { path: PathBuf, reason: String },
}

/// All inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Times {
    format: u32,
    inputs: BTreeMap<Input, Sourced>,
}

impl Times {
    /// The committed ones, or those in `path`.
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, InputError> {
        let times: Self = load(path, "fleet/times.json", TIMES)?;
        times.check().map_err(|reason| InputError::Malformed {
            path: path.unwrap_or(Path::new("fleet/times.json")).to_path_buf(),
            reason,
        })?;
        Ok(times)
    }

    fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("its format is {}, not {FORMAT}", self.format));
        }
        for input in Input::ALL {
            let sourced = self.inputs.get(&input);
            let sourced = sourced.ok_or_else(|| format!("{} is missing", input.name()))?;
            if !(sourced.value.is_finite() && sourced.value > 0.0) {
                return Err(format!(
                    "{} is {}, and has to be above 0",
                    input.name(),
                    sourced.value
                ));
            }
            if sourced.from.trim().is_empty() {
                return Err(format!("{} does not say where it comes from", input.name()));
            }
        }
        if self.raw(Input::BarrierUsMean) < self.raw(Input::BarrierUsMin) {
            return Err("the mean barrier is shorter than the shortest".to_string());
        }
        Ok(())
    }

    fn raw(&self, input: Input) -> f64 {
        self.inputs[&input].value
    }

    /// As it is on an instance.
    pub(crate) fn get(&self, input: Input) -> f64 {
        let speed = if input.is_of_a_core() {
            self.raw(Input::CoreSpeed)
        } else {
            1.0
        };
        self.raw(input) / speed
    }

    /// With some of them given as arguments, which nobody has measured here.
    pub(crate) fn with(mut self, set: &[Set]) -> Result<Self, String> {
        for Set { input, value } in set {
            let given = Sourced {
                value: *value,
                basis: Basis::Assumed,
                from: "given as an argument".to_owned(),
            };
            self.inputs.insert(*input, given);
        }
        self.check().map(|()| self)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (Input, &Sourced)> {
        self.inputs.iter().map(|(input, sourced)| (*input, sourced))
    }
}

/// `NAME=VALUE`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Set {
    input: Input,
    value: f64,
}

impl FromStr for Set {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| format!("{text:?} is no NAME=VALUE"))?;
        let input = Input::ALL.into_iter().find(|input| input.name() == name);
        let input = input.ok_or_else(|| {
            let names: Vec<_> = Input::ALL.into_iter().map(Input::name).collect();
            format!("nothing is called {name:?}: there are {}", names.join(", "))
        })?;
        let value: f64 = value.parse().map_err(|_| format!("{value:?} is no number"))?;
        if value.is_finite() && value > 0.0 {
            Ok(Self { input, value })
        } else {
            Err(format!("{name} has to be above 0"))
        }
    }
}

/// One instance type, as listed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Instance {
    pub(crate) vcpus: u32,
    pub(crate) memory_gib: f64,
    /// What it has all the time, not in bursts.
    pub(crate) network_gbit_s: f64,
    pub(crate) per_hour: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Disk {
    pub(crate) per_gb_month: f64,
    pub(crate) throughput_mb_s: f64,
}

/// A load balancer that ends TLS: by the hour, and by units of which each covers so much.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Balancer {
    pub(crate) per_hour: f64,
    pub(crate) per_unit_hour: f64,
    pub(crate) new_connections_per_s_a_unit: f64,
    pub(crate) connections_a_unit: f64,
    pub(crate) gb_per_hour_a_unit: f64,
}

/// Gigabytes of a month up to there cost so much each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tier {
    /// None: all further ones.
    pub(crate) up_to_gb: Option<f64>,
    pub(crate) per_gb: f64,
}

/// List prices, without anybody's discount.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prices {
    format: u32,
    pub(crate) region: String,
    pub(crate) currency: String,
    pub(crate) as_of: String,
    from: String,
    pub(crate) instances: BTreeMap<String, Instance>,
    pub(crate) disk: Disk,
    pub(crate) balancer: Balancer,
    /// Out to the internet.
    pub(crate) out: Vec<Tier>,
    /// Between two zones, both ends together.
    pub(crate) between_zones_per_gb: f64,
}

impl Prices {
    pub(crate) fn load(path: Option<&Path>) -> Result<Self, InputError> {
        let prices: Self = load(path, "fleet/prices.json", PRICES)?;
        prices.check().map_err(|reason| InputError::Malformed {
            path: path.unwrap_or(Path::new("fleet/prices.json")).to_path_buf(),
            reason,
        })?;
        Ok(prices)
    }

    fn check(&self) -> Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("its format is {}, not {FORMAT}", self.format));
        }
        let Balancer {
            per_hour,
            per_unit_hour,
            new_connections_per_s_a_unit,
            connections_a_unit,
            gb_per_hour_a_unit,
        } = self.balancer;
        let of_instances = self.instances.values().flat_map(|instance| {
            [
                f64::from(instance.vcpus),
                instance.memory_gib,
                instance.network_gbit_s,
                instance.per_hour,
            ]
        });
        let others = [
            self.disk.per_gb_month,
            self.disk.throughput_mb_s,
            self.between_zones_per_gb,
            per_hour,
            per_unit_hour,
            new_connections_per_s_a_unit,
            connections_a_unit,
            gb_per_hour_a_unit,
        ];
        let mut all = of_instances
            .chain(others)
            .chain(self.out.iter().map(|tier| tier.per_gb));
        if let Some(wrong) = all.find(|number| !(number.is_finite() && *number > 0.0)) {
            return Err(format!("a number of it is {wrong}, and all have to be above 0"));
        }
        let ends: Vec<f64> = self.out.iter().map_while(|tier| tier.up_to_gb).collect();
        let in_order = ends.windows(2).all(|pair| pair[0] < pair[1]);
        if !in_order || ends.len() + 1 != self.out.len() {
            return Err("the tiers of `out` have to rise, and the last to have no end".to_string());
        }
        Ok(())
    }
}

fn load<T: for<'de> Deserialize<'de>>(
    path: Option<&Path>,
    built_in: &str,
    text: &str,
) -> Result<T, InputError> {
    let read;
    let text = match path {
        None => text,
        Some(path) => {
            read = std::fs::read_to_string(path).map_err(|source| InputError::Read {
                path: path.to_path_buf(),
                source,
            })?;
            &read
        }
    };
    serde_json::from_str(text).map_err(|error| InputError::Malformed {
        path: path.unwrap_or(Path::new(built_in)).to_path_buf(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_files_are_whole_and_every_number_says_what_it_is_worth() {
        let times = Times::load(None).unwrap();
        assert_eq!(times.all().count(), Input::ALL.len());
        let measured = times
            .all()
            .filter(|(_, sourced)| sourced.basis == Basis::Measured);
        for (input, sourced) in measured {
            let names_a_command = sourced.from.contains('`');
            assert!(names_a_command, "{}: {}", input.name(), sourced.from);
        }
        assert!(!Prices::load(None).unwrap().instances.is_empty());
    }

    #[test]
    fn files_that_are_none_get_a_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("times.json");
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Times::load(Some(&path)).unwrap_err().to_string()
        };
        assert!(said("{").contains("is not what it should be"));
        assert!(said(r#"{"format": 1, "inputs": {}}"#).contains("front_vote_us is missing"));
        assert!(said(&TIMES.replace(r#""format": 1"#, r#""format": 9"#)).contains("its format is 9"));
        assert!(said(&TIMES.replacen(r#""value": "#, r#""value": -"#, 1)).contains("above 0"));
        let nowhere = Times::load(Some(Path::new("/nowhere/times.json"))).unwrap_err();
        assert!(nowhere.to_string().contains("cannot be read"), "{nowhere}");
        std::fs::write(&path, PRICES.replace("0.05", "-0.05")).unwrap();
        let wrong = Prices::load(Some(&path)).unwrap_err().to_string();
        assert!(wrong.contains("above 0"), "{wrong}");
        std::fs::write(&path, PRICES.replace("10240", "99999999")).unwrap();
        let wrong = Prices::load(Some(&path)).unwrap_err().to_string();
        assert!(wrong.contains("have to rise"), "{wrong}");
    }

    #[test]
    fn an_argument_is_taken_for_an_assumption_and_a_faster_core_needs_less_time() {
        let set = |text: &str| text.parse::<Set>();
        let times = Times::load(None).unwrap();
        let sets = [set("push_us=8").unwrap(), set("core_speed=2").unwrap()];
        let times = times.with(&sets).unwrap();
        assert_eq!(times.get(Input::PushUs), 4.0);
        assert_eq!(times.inputs[&Input::PushUs].basis, Basis::Assumed);
        let barrier = times.raw(Input::BarrierUsMin);
        assert_eq!(times.get(Input::BarrierUsMin), barrier, "a disk is as slow");
        assert!(times.with(&[set("barrier_us_mean=0.001").unwrap()]).is_err());
        for wrong in ["push_us", "nothing=1", "push_us=fast", "push_us=0", "push_us=inf"] {
            assert!(set(wrong).is_err(), "{wrong}");
        }
    }
}
