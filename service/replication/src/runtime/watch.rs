//! A watched value: the newest only, and waiters that wake in the order in which they began to wait.
//!
//! tokio's watch spreads its waiters over eight lists by chance, so that two runs with one seed differ. This one keeps
//! a single list. It is also what the rest of the service uses instead of tokio's.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use openraft_rt::{OptionalSend, OptionalSync};
use parking_lot::{RwLock, RwLockReadGuard};

/// A watch with its two ends. The receiver has seen `init`.
pub fn channel<T>(init: T) -> (Sender<T>, Receiver<T>) {
    let notices = Notices {
        version: 0,
        senders: 1,
        receivers: 1,
        next_ticket: 0,
        waiting: BTreeMap::new(),
    };
    let shared = Arc::new(Shared {
        value: RwLock::new(init),
        notices: Mutex::new(notices),
    });
    (
        Sender {
            shared: shared.clone(),
        },
        Receiver { shared, seen: 0 },
    )
}

/// All senders are gone: the value will not change again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the watched value has no sender any more")]
pub struct Closed;

/// Locks are taken in the order of the fields.
struct Shared<T> {
    value: RwLock<T>,
    notices: Mutex<Notices>,
}

struct Notices {
    version: u64,
    senders: usize,
    receivers: usize,
    next_ticket: u64,
    /// By ticket, which is the order in which they began to wait.
    waiting: BTreeMap<u64, Waker>,
}

impl<T> Shared<T> {
    fn notices(&self) -> MutexGuard<'_, Notices> {
        // Nothing panics while it is held, but a poisoned list would still be a whole one.
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores by `modify`, wakes the waiters if it says that something changed.
    fn modify(&self, only_if_watched: bool, modify: impl FnOnce(&mut T) -> bool) -> bool {
        let waiting = {
            let mut value = self.value.write();
            if only_if_watched && self.notices().receivers == 0 {
                return false;
            }
            if !modify(&mut value) {
                return false;
            }
            let mut notices = self.notices();
            notices.version += 1;
            std::mem::take(&mut notices.waiting)
        };
        for waker in waiting.into_values() {
            waker.wake();
        }
        true
    }
}

/// A look at the value. Others can look at the same time; a sender waits, so keep it short and never across an await.
pub struct Ref<'a, T>(RwLockReadGuard<'a, T>);

impl<T> Deref for Ref<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Sender<T> {
    /// Stores and notifies, whether or not anyone watches.
    pub fn send_replace(&self, value: T) {
        let mut value = Some(value);
        self.shared.modify(false, |current| {
            // The old value leaves through `value` and is dropped after the lock.
            std::mem::swap(current, value.as_mut().expect("set above"));
            true
        });
    }

    /// Stores and notifies; gives the value back when nobody watches.
    pub fn send(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        let sent = self.shared.modify(true, |current| {
            std::mem::swap(current, value.as_mut().expect("set above"));
            true
        });
        match (sent, value) {
            (false, Some(value)) => Err(value),
            _ => Ok(()),
        }
    }

    /// Changes the value in place; notifies only if `modify` returns true.
    pub fn send_if_modified(&self, modify: impl FnOnce(&mut T) -> bool) -> bool {
        self.shared.modify(false, modify)
    }

    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.value.read_recursive())
    }

    /// A further receiver, which has seen the present value.
    pub fn subscribe(&self) -> Receiver<T> {
        let mut notices = self.shared.notices();
        notices.receivers += 1;
        Receiver {
            shared: self.shared.clone(),
            seen: notices.version,
        }
    }

    pub fn receiver_count(&self) -> usize {
        self.shared.notices().receivers
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.notices().senders += 1;
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waiting = {
            let mut notices = self.shared.notices();
            notices.senders -= 1;
            if notices.senders > 0 {
                return;
            }
            std::mem::take(&mut notices.waiting)
        };
        for waker in waiting.into_values() {
            waker.wake();
        }
    }
}

pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seen: u64,
}

impl<T> Receiver<T> {
    /// Waits for a value that this receiver has not seen and marks it as seen. At once if there is one already.
    /// Safe to cancel.
    pub fn changed(&mut self) -> impl Future<Output = Result<(), Closed>> + '_ {
        Changed {
            receiver: self,
            ticket: None,
        }
    }

    /// Does not mark the value as seen.
    pub fn borrow(&self) -> Ref<'_, T> {
        Ref(self.shared.value.read_recursive())
    }

    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.shared.value.read_recursive();
        self.seen = self.shared.notices().version;
        Ref(value)
    }

    /// The first value, the present one included, of which `accept` holds.
    pub async fn wait_for(&mut self, mut accept: impl FnMut(&T) -> bool) -> Result<T, Closed>
    where
        T: Clone,
    {
        loop {
            {
                let value = self.borrow_and_update();
                if accept(&value) {
                    return Ok(value.clone());
                }
            }
            self.changed().await?;
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        self.shared.notices().receivers += 1;
        Self {
            shared: self.shared.clone(),
            seen: self.seen,
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared.notices().receivers -= 1;
    }
}

struct Changed<'a, T> {
    receiver: &'a mut Receiver<T>,
    /// The place in the line, kept from the first poll on.
    ticket: Option<u64>,
}

impl<T> Future for Changed<'_, T> {
    type Output = Result<(), Closed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut notices = this.receiver.shared.notices();
        if notices.version != this.receiver.seen {
            this.receiver.seen = notices.version;
            return Poll::Ready(Ok(()));
        }
        if notices.senders == 0 {
            return Poll::Ready(Err(Closed));
        }
        let ticket = *this.ticket.get_or_insert_with(|| {
            notices.next_ticket += 1;
            notices.next_ticket
        });
        match notices.waiting.get_mut(&ticket) {
            Some(waker) => waker.clone_from(cx.waker()),
            None => {
                notices.waiting.insert(ticket, cx.waker().clone());
            }
        }
        Poll::Pending
    }
}

impl<T> Drop for Changed<'_, T> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.receiver.shared.notices().waiting.remove(&ticket);
        }
    }
}

/// The watch in the form that openraft's runtime asks for.
pub struct FifoWatch;

impl openraft_rt::Watch for FifoWatch {
    type Sender<T: OptionalSend + OptionalSync> = Sender<T>;
    type Receiver<T: OptionalSend + OptionalSync> = Receiver<T>;
    type Ref<'a, T: OptionalSend + 'a> = Ref<'a, T>;

    fn channel<T: OptionalSend + OptionalSync>(init: T) -> (Sender<T>, Receiver<T>) {
        channel(init)
    }
}

impl<T: OptionalSend + OptionalSync> openraft_rt::WatchSender<FifoWatch, T> for Sender<T> {
    fn send(&self, value: T) -> Result<(), openraft_rt::watch::SendError<T>> {
        Sender::send(self, value).map_err(openraft_rt::watch::SendError)
    }

    fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        Sender::send_if_modified(self, modify)
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.borrow()
    }

    fn subscribe(&self) -> Receiver<T> {
        Sender::subscribe(self)
    }
}

impl<T: OptionalSend + OptionalSync> openraft_rt::WatchReceiver<FifoWatch, T> for Receiver<T> {
    async fn changed(&mut self) -> Result<(), openraft_rt::RecvError> {
        Receiver::changed(self)
            .await
            .map_err(|Closed| openraft_rt::watch::RecvError(()))
    }

    fn borrow_watched(&self) -> Ref<'_, T> {
        self.borrow()
    }

    fn borrow_and_update(&mut self) -> Ref<'_, T> {
        Receiver::borrow_and_update(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Notes its number when woken.
    struct Notes {
        number: usize,
        woken: Arc<Mutex<Vec<usize>>>,
    }

    impl std::task::Wake for Notes {
        fn wake(self: Arc<Self>) {
            self.woken.lock().unwrap().push(self.number);
        }
    }

    #[test]
    fn waiters_wake_in_the_order_in_which_they_began() {
        let (sender, receiver) = channel(0);
        let woken = Arc::new(Mutex::new(Vec::new()));
        let mut receivers: Vec<_> = (0..40).map(|_| receiver.clone()).collect();
        let mut waits: Vec<_> = receivers.iter_mut().map(|r| Box::pin(r.changed())).collect();
        let poll = |wait: &mut Pin<Box<_>>, number| {
            let waker = Waker::from(Arc::new(Notes {
                number,
                woken: woken.clone(),
            }));
            Future::poll(Pin::as_mut(wait), &mut Context::from_waker(&waker))
        };
        let order = [3, 39, 0, 17, 8, 30, 1];
        for number in order {
            assert!(poll(&mut waits[number], number).is_pending());
        }
        assert!(
            poll(&mut waits[39], 39).is_pending(),
            "polling again keeps the place"
        );
        assert_eq!(sender.send(1), Ok(()));
        assert_eq!(*woken.lock().unwrap(), order);
        assert!(poll(&mut waits[8], 8).is_ready());
    }

    #[test]
    fn a_cancelled_wait_leaves_no_waker_behind() {
        let (sender, mut receiver) = channel(0);
        {
            let mut wait = Box::pin(receiver.changed());
            let _ = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert_eq!(sender.shared.notices().waiting.len(), 1);
        }
        assert_eq!(sender.shared.notices().waiting.len(), 0);
    }

    #[tokio::test]
    async fn the_end_of_the_senders_is_told_after_the_last_value() {
        let (sender, mut receiver) = channel(0);
        sender.send_replace(5);
        drop(sender);
        assert_eq!(receiver.changed().await, Ok(()));
        assert_eq!(*receiver.borrow(), 5);
        assert_eq!(receiver.changed().await, Err(Closed));
    }

    #[tokio::test]
    async fn wait_for_sees_the_present_value_and_later_ones() {
        let (sender, mut receiver) = channel(1);
        assert_eq!(receiver.wait_for(|v| *v == 1).await, Ok(1));
        let task = tokio::spawn(async move { receiver.wait_for(|v| *v >= 3).await });
        for value in 2..=3 {
            tokio::task::yield_now().await;
            sender.send_replace(value);
        }
        assert_eq!(task.await.expect("does not panic"), Ok(3));
    }

    #[test]
    fn without_a_receiver_send_gives_the_value_back() {
        let (sender, receiver) = channel(0);
        drop(receiver);
        assert_eq!(sender.send(1), Err(1));
        assert_eq!(*sender.borrow(), 0);
        sender.send_replace(2);
        assert_eq!(*sender.subscribe().borrow(), 2);
    }
}
