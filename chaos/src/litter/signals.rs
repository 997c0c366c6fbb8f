//! Ctrl-C, SIGTERM and a terminal that is closed: all bags are emptied, then the process ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError, Weak, mpsc};

use tokio::signal::unix::{SignalKind, signal};

use super::Inner;
use crate::Trouble;

/// The bags of this process. One thread empties all of them: with a thread for each, the first to be done would end the process
/// under the others.
static BAGS: Mutex<Vec<Weak<Inner>>> = Mutex::new(Vec::new());
/// Whether that thread listens, or why it does not.
static LISTENS: OnceLock<Result<(), String>> = OnceLock::new();

/// A signal has come, and the thread that heard it will end the process.
static ENDS: AtomicBool = AtomicBool::new(false);

/// Before a harness ends by itself. Does not return where a signal has come: what the harness saw then is nodes that the
/// cleaning took from under it, and its own exit code would be taken for a verdict.
pub fn leave_to_signals() {
    while ENDS.load(Ordering::SeqCst) {
        std::thread::park();
    }
}

pub(super) fn empty_on_signals(bag: Weak<Inner>) -> Result<(), Trouble> {
    let mut bags = BAGS.lock().unwrap_or_else(PoisonError::into_inner);
    bags.retain(|bag| bag.strong_count() > 0);
    bags.push(bag);
    drop(bags);
    let listens = LISTENS.get_or_init(listen).clone();
    listens.map_err(|why| Trouble::failed(format!("signals cannot be heard: {why}")))
}

fn listen() -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
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
                    let error = refused.into_iter().find_map(Result::err);
                    let _ = listens_tx.send(error.map_or(Ok(()), |error| Err(error.to_string())));
                    return None;
                }
            };
            let _ = listens_tx.send(Ok(()));
            tokio::select! {
                biased;
                _ = terminate.recv() => Some(143),
                _ = interrupt.recv() => Some(130),
                _ = hangup.recv() => Some(129),
            }
        });
        let Some(code) = code else { return };
        ENDS.store(true, Ordering::SeqCst);
        eprintln!("stopped by a signal: cleaning up");
        let bags = BAGS.lock().unwrap_or_else(PoisonError::into_inner);
        for bag in bags.iter().filter_map(Weak::upgrade) {
            if let Err(trouble) = bag.empty() {
                eprintln!("{trouble}; `chaos clean` will try again");
            }
        }
        std::process::exit(code);
    });
    listens_rx
        .recv()
        .unwrap_or_else(|_| Err("the thread that hears them is gone".to_owned()))
}
