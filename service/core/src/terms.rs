//! What commands ask of events, outcomes say of them and state keeps.

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventStatus {
    Scheduled,
    Open,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    Public,
    /// For probes: votes are acknowledged and shown on the event's own stream, never in a public tally.
    Canary,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResultsPolicy {
    Live,
    AfterClose,
}
