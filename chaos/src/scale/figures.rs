//! What was measured.

use serde::Serialize;

use super::books::Books;
use super::catch_up::CatchUp;
use super::restart::{Restart, Spans};
use super::stock::Stock;

#[derive(Clone, Debug, Default, Serialize)]
pub struct Figures {
    pub stock: Option<Stock>,
    pub restarts: Vec<Restart>,
    /// Over all restarts: until ready, until the first acknowledgement, until a right leaderboard, until all of these.
    pub ready: Option<Spans>,
    pub first_ack: Option<Spans>,
    pub board: Option<Spans>,
    pub serving: Option<Spans>,
    pub catch_up: Option<CatchUp>,
    pub books: Option<Books>,
    /// Why less was measured than was asked for.
    pub doubts: Vec<String>,
}

impl Figures {
    pub(super) fn restarted(&mut self, restart: Restart) {
        self.restarts.push(restart);
        self.ready = Spans::of(&self.restarts, |one| one.ready_ms);
        self.first_ack = Spans::of(&self.restarts, |one| one.first_ack_ms);
        self.board = Spans::of(&self.restarts, |one| one.board_ms);
        self.serving = Spans::of(&self.restarts, Restart::serving_ms);
    }
}
