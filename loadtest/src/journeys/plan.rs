//! Who comes, how many, and when: the shares of the roles, ramps, plateaus and spikes.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Users at once. Each has a connection for its calls and one for its stream, and a process has 20,000 open files.
pub(crate) const USERS_MAX: u32 = 5_000;
const STEPS_MAX: usize = 100;
const STEP_SECONDS_MAX: u32 = 86_400;
/// Share of one role. goose lays out one cycle of all shares.
const SHARE_MAX: u32 = 1_000;

/// What somebody comes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Logs in or has a token, looks at the contestants, votes once, and sees the vote on the stream.
    Voter,
    /// Watches the stream, leaves, and comes back where it left.
    Watcher,
    /// Creates an event, opens it, has it voted in, closes it.
    Organizer,
    /// Votes several times, also at the same moment.
    Attacker,
}

impl Role {
    pub(crate) const ALL: [Self; 4] = [Self::Voter, Self::Watcher, Self::Organizer, Self::Attacker];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Voter => "voter",
            Self::Watcher => "watcher",
            Self::Organizer => "organizer",
            Self::Attacker => "attacker",
        }
    }
}

/// How many of each role come, as a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Mix {
    pub(crate) voter: u32,
    pub(crate) watcher: u32,
    pub(crate) organizer: u32,
    pub(crate) attacker: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self {
            voter: 12,
            watcher: 6,
            organizer: 1,
            attacker: 1,
        }
    }
}

impl Mix {
    pub(crate) const fn share(&self, role: Role) -> u32 {
        match role {
            Role::Voter => self.voter,
            Role::Watcher => self.watcher,
            Role::Organizer => self.organizer,
            Role::Attacker => self.attacker,
        }
    }

    /// Those who come at all.
    pub(crate) fn roles(&self) -> Vec<Role> {
        let comes = |role: &Role| self.share(*role) > 0;
        Role::ALL.into_iter().filter(comes).collect()
    }

    /// Somebody votes in the event that they all share.
    pub(crate) const fn votes(&self) -> bool {
        self.voter > 0 || self.attacker > 0
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            voter,
            watcher,
            organizer,
            attacker,
        } = self;
        write!(
            formatter,
            "voter={voter},watcher={watcher},organizer={organizer},attacker={attacker}"
        )
    }
}

impl FromStr for Mix {
    type Err = String;

    /// `voter=5,attacker=1`: who is not named does not come.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut mix = Self {
            voter: 0,
            watcher: 0,
            organizer: 0,
            attacker: 0,
        };
        for part in text.split(',') {
            let (name, share) = part
                .split_once('=')
                .ok_or_else(|| format!("{part:?} is no ROLE=SHARE"))?;
            let share = share
                .trim()
                .parse()
                .ok()
                .filter(|share| *share <= SHARE_MAX)
                .ok_or_else(|| format!("{share:?} is no share from 0 to {SHARE_MAX}"))?;
            match name.trim() {
                "voter" => mix.voter = share,
                "watcher" => mix.watcher = share,
                "organizer" => mix.organizer = share,
                "attacker" => mix.attacker = share,
                other => {
                    return Err(format!(
                        "nobody is called {other:?}: there are voter, watcher, organizer, attacker"
                    ));
                }
            }
        }
        if mix.roles().is_empty() {
            return Err("nobody comes".to_string());
        }
        Ok(mix)
    }
}

/// By the end of these seconds there are so many users; they come or go evenly until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    pub(crate) users: u32,
    pub(crate) seconds: u32,
}

/// The shape of a run. At its end everybody goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Plan(Vec<Step>);

impl Plan {
    /// So many users within `ramp_s`, who then stay for `seconds`.
    pub(crate) fn ramp(users: u32, ramp_s: u32, seconds: u32) -> Self {
        let step = |seconds| Step { users, seconds };
        Self(vec![step(ramp_s), step(seconds)])
    }

    /// As goose's `--test-plan` has it. Without the last step it would go on for ever.
    pub(crate) fn for_goose(&self) -> String {
        let step = |step: &Step| format!("{},{}", step.users, step.seconds);
        let steps = self.0.iter().map(step).chain(["0,0".to_string()]);
        steps.collect::<Vec<_>>().join(";")
    }

    /// Those who come in the course of the run. Who goes does not come back; another one does.
    pub(crate) fn users_in_all(&self) -> u32 {
        let before = [0].into_iter().chain(self.0.iter().map(|step| step.users));
        let rises = before
            .zip(&self.0)
            .map(|(before, step)| step.users.saturating_sub(before));
        rises.sum()
    }

    pub(crate) fn seconds(&self) -> u64 {
        self.0.iter().map(|step| u64::from(step.seconds)).sum()
    }

    /// Says so where not every role of `mix` gets a user.
    pub(crate) fn too_few_for(&self, mix: &Mix) -> Option<String> {
        let (users, roles) = (self.users_in_all(), mix.roles().len());
        ((users as usize) < roles).then(|| {
            format!("{users} users cannot play {roles} roles: give more --users, or fewer roles in --mix")
        })
    }
}

impl FromStr for Plan {
    type Err = String;

    /// `USERS,SECONDS;USERS,SECONDS;…`
    fn from_str(text: &str) -> Result<Self, String> {
        let steps: Vec<Step> = text.split(';').map(step).collect::<Result<_, _>>()?;
        if steps.len() > STEPS_MAX {
            return Err(format!("more than {STEPS_MAX} steps"));
        }
        Ok(Self(steps))
    }
}

fn step(text: &str) -> Result<Step, String> {
    let number = |text: &str, min: u32, max: u32| {
        let number = text.trim().parse().ok();
        number.filter(|number| (min..=max).contains(number))
    };
    let (users, seconds) = text
        .split_once(',')
        .ok_or_else(|| format!("{text:?} is no USERS,SECONDS"))?;
    Ok(Step {
        // The run ends by itself; a step without users in its middle would measure nothing.
        users: number(users, 1, USERS_MAX)
            .ok_or_else(|| format!("{users:?} is no number of users from 1 to {USERS_MAX}"))?,
        seconds: number(seconds, 0, STEP_SECONDS_MAX)
            .ok_or_else(|| format!("{seconds:?} is no number of seconds from 0 to {STEP_SECONDS_MAX}"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_and_handed_on_with_an_end() {
        let spike: Plan = "20,5; 20,10 ;100,1;100,5;20,1;20,10".parse().unwrap();
        assert_eq!(spike.for_goose(), "20,5;20,10;100,1;100,5;20,1;20,10;0,0");
        assert_eq!(spike.seconds(), 32);
        assert_eq!(spike.users_in_all(), 100);
        let twice: Plan = "10,1;4,1;10,1".parse().unwrap();
        assert_eq!(twice.users_in_all(), 16);
        assert_eq!(Plan::ramp(10, 2, 5).for_goose(), "10,2;10,5;0,0");
        assert_eq!(Plan::ramp(10, 2, 5).users_in_all(), 10);
    }

    #[test]
    fn a_plan_that_is_none_is_refused_with_a_reason() {
        for (wrong, word) in [
            ("", "USERS,SECONDS"),
            ("20", "USERS,SECONDS"),
            ("20,5;", "USERS,SECONDS"),
            ("0,5", "users"),
            ("20,5;0,5;20,5", "users"),
            ("5001,5", "users"),
            ("-1,5", "users"),
            ("20,5s", "seconds"),
            ("20,86401", "seconds"),
            ("1,1;".repeat(101).trim_end_matches(';'), "steps"),
        ] {
            let refusal = wrong.parse::<Plan>().unwrap_err();
            assert!(refusal.contains(word), "{wrong}: {refusal}");
        }
    }

    #[test]
    fn a_mix_names_who_comes() {
        let mix: Mix = "voter=2, attacker=1".parse().unwrap();
        assert_eq!(mix.roles(), [Role::Voter, Role::Attacker]);
        assert_eq!(Mix::default().to_string().parse(), Ok(Mix::default()));
        assert_eq!(Mix::default().roles(), Role::ALL);
        for (wrong, word) in [
            ("", "ROLE=SHARE"),
            ("voter", "ROLE=SHARE"),
            ("voter=0", "nobody comes"),
            ("voter=-1", "share"),
            ("voter=1001", "share"),
            ("thief=1", "thief"),
        ] {
            let refusal = wrong.parse::<Mix>().unwrap_err();
            assert!(refusal.contains(word), "{wrong}: {refusal}");
        }
    }

    #[test]
    fn every_role_needs_a_user() {
        assert_eq!(Plan::ramp(4, 1, 1).too_few_for(&Mix::default()), None);
        assert!(Plan::ramp(3, 1, 1).too_few_for(&Mix::default()).is_some());
        let alone = "attacker=1".parse().unwrap();
        assert_eq!(Plan::ramp(1, 1, 1).too_few_for(&alone), None);
    }
}
