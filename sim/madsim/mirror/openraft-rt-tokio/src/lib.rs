//! openraft's runtime on madsim: its tasks, its clock, and tokio's channels.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use openraft_rt::{AsyncRuntime, OptionalSend};
use tokio::time::error::Elapsed;
use tokio::time::{Sleep, sleep_until};

type Real = real::TokioRuntime;

/// In the place of openraft-rt-tokio's runtime of this name.
#[derive(Debug)]
pub struct TokioRuntime(());

/// A future and the moment at which waiting for it ends.
pub struct Timeout<F> {
    future: Pin<Box<F>>,
    end: Pin<Box<Sleep>>,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(output) = self.future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        self.end.as_mut().poll(cx).map(|()| Err(Elapsed))
    }
}

impl AsyncRuntime for TokioRuntime {
    type JoinError = tokio::task::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = tokio::task::JoinHandle<T>;
    type Sleep = Sleep;
    type Instant = Instant;
    type TimeoutError = Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = Timeout<T>;
    type ThreadLocalRng = rand::rngs::SmallRng;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        tokio::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        tokio::time::sleep(duration)
    }

    fn sleep_until(deadline: Instant) -> Self::Sleep {
        sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(duration: Duration, future: F) -> Timeout<F> {
        Self::timeout_at(Instant::now() + duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(deadline: Instant, future: F) -> Timeout<F> {
        Timeout {
            future: Box::pin(future),
            end: Box::pin(sleep_until(deadline)),
        }
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        join_error.is_panic()
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        unreachable!("the service draws from a seeded generator of its own")
    }

    type Mpsc = <Real as AsyncRuntime>::Mpsc;
    type Watch = <Real as AsyncRuntime>::Watch;
    type Oneshot = <Real as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <Real as AsyncRuntime>::Mutex<T>;

    fn new(_: usize) -> Self {
        Self(())
    }

    fn block_on<F, T>(&mut self, _: F) -> T
    where
        F: Future<Output = T>,
    {
        unreachable!("madsim's runtime is entered by whoever runs a plan")
    }
}
