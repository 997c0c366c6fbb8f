//! What goes one way is lost; the other way it arrives.

use ostraka_sim_model::plan::Target;

use super::firewall::others;
use super::{Felt, Firewall, Nemesis, Rules, not_begun, rule};
use crate::Trouble;
use crate::rig::Rig;

/// Which way is lost, as the target sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// What it sends: the others do not hear it, and it hears them.
    Sent,
    /// What is sent to it: it hears nobody, and they hear it.
    Received,
}

pub struct OneWay {
    pub lost: Lost,
    /// Whom it concerns besides the target; all others where nobody is named.
    pub with: Option<Target>,
    firewall: Option<Firewall>,
}

impl OneWay {
    pub fn new(lost: Lost, with: Option<Target>) -> Self {
        Self {
            lost,
            with,
            firewall: None,
        }
    }

    fn of(&self) -> &'static str {
        match self.lost {
            Lost::Sent => "packets dropped that the node sent",
            Lost::Received => "packets dropped that were sent to the node",
        }
    }
}

impl Nemesis for OneWay {
    fn name(&self) -> &'static str {
        match self.lost {
            Lost::Sent => "one-way",
            Lost::Received => "one-way-in",
        }
    }

    fn begin(&mut self, rig: &Rig, target: Target) -> Result<Felt, Trouble> {
        let index = rig.resolve(target)?;
        let with = match self.with {
            Some(other) => vec![rig.resolve(other)?],
            None => others(rig, index),
        };
        let drop = Some(rule::DROP.to_string());
        let rules = match self.lost {
            Lost::Sent => Rules {
                outgoing: drop,
                ..Rules::default()
            },
            Lost::Received => Rules {
                incoming: drop,
                ..Rules::default()
            },
        };
        self.firewall = Some(Firewall::around(rig, index, &with, self.name(), &rules)?);
        Ok(Felt::new(0, self.of()).noting(format!("node {index}")))
    }

    fn end(&mut self, _: &Rig) -> Result<Felt, Trouble> {
        let firewall = self.firewall.take().ok_or_else(|| not_begun(self.name()))?;
        Ok(Felt::new(firewall.remove()?, self.of()))
    }
}
