//! How fast events may be created. What is created stays for good, on every replica, so the log caps how many one user
//! may have (`ostraka_core::limits`), and this how soon (record 0041).

use std::net::IpAddr;
use std::sync::Arc;

use ostraka_core::limits::{
    CREATE_EVENT_PER_ADDRESS_BURST, CREATE_EVENT_PER_ADDRESS_REFILL_MS, CREATE_EVENT_PER_CALLER_BURST,
    CREATE_EVENT_PER_CALLER_REFILL_MS,
};

use crate::env::Env;
use crate::http::Admitted;
use crate::rate::{Limiter, Rate, TooOften};

pub(super) struct CreationLimits {
    per_caller: Limiter,
    per_address: Limiter,
}

impl CreationLimits {
    pub(super) fn new(env: &Env) -> Self {
        let limiter = |burst, refill_ms| {
            Limiter::new(Rate::new(burst, refill_ms), Arc::clone(&env.clock), &*env.entropy)
        };
        Self {
            per_caller: limiter(CREATE_EVENT_PER_CALLER_BURST, CREATE_EVENT_PER_CALLER_REFILL_MS),
            per_address: limiter(CREATE_EVENT_PER_ADDRESS_BURST, CREATE_EVENT_PER_ADDRESS_REFILL_MS),
        }
    }

    /// Counts one more creation, if it is allowed now. Operators are not counted: they bring whole programmes.
    pub(super) fn check(&self, admitted: &Admitted, address: IpAddr) -> Result<(), TooOften> {
        if !admitted.is_limited() {
            return Ok(());
        }
        // In this order, so that one caller who does not stop uses up nothing of what the address's others share.
        self.per_caller.check(&admitted.voter().0.to_be_bytes())?;
        self.per_address.check_address(address)
    }
}
