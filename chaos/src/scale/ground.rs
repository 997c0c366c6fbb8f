//! What restarts, catching up and books are done with.

use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::load::Polls;
use crate::rig::Rig;

pub(super) struct Ground<'a> {
    pub(super) runtime: &'a Runtime,
    pub(super) rig: &'a Rig,
    pub(super) polls: &'a Arc<Polls>,
}
