//! Ctrl-C, SIGTERM and a terminal that is closed: the bag is emptied, then the process ends.

use std::sync::{Weak, mpsc};

use tokio::signal::unix::{SignalKind, signal};

use super::Inner;
use crate::Trouble;

pub(super) fn listen(bag: Weak<Inner>) -> Result<(), Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Trouble::failed(format!("no runtime to hear signals in: {error}")))?;
    let (listens_tx, listens_rx) = mpsc::channel();
    std::thread::spawn(move || {
        let code = runtime.block_on(async {
            let kinds = [
                SignalKind::interrupt(),
                SignalKind::terminate(),
                SignalKind::hangup(),
            ];
            let [mut interrupt, mut terminate, mut hangup] = match kinds.map(signal) {
                [Ok(interrupt), Ok(terminate), Ok(hangup)] => [interrupt, terminate, hangup],
                refused => {
                    let _ = listens_tx.send(refused.into_iter().find_map(Result::err));
                    return None;
                }
            };
            let _ = listens_tx.send(None);
            tokio::select! {
                biased;
                _ = terminate.recv() => Some(143),
                _ = interrupt.recv() => Some(130),
                _ = hangup.recv() => Some(129),
            }
        });
        let Some(code) = code else { return };
        if let Some(bag) = bag.upgrade() {
            eprintln!("stopped by a signal: cleaning up");
            if let Err(trouble) = bag.empty() {
                eprintln!("{trouble}; `chaos clean` will try again");
            }
        }
        std::process::exit(code);
    });
    match listens_rx.recv() {
        Ok(None) => Ok(()),
        Ok(Some(error)) => Err(Trouble::failed(format!("signals cannot be heard: {error}"))),
        Err(_) => Err(Trouble::failed("the thread that hears signals is gone")),
    }
}
