//! The runtime seam: what openraft and this crate ask of an executor, in one place.
//!
//! Everything random that openraft does (election timeouts, the first tick) comes from a seed that is scoped around
//! the futures of a group, and its watches wake their waiters in the order in which they began to wait. With both,
//! the same seed gives the same run.

pub mod watch;

use std::future::Future;
use std::time::Duration;

use openraft_rt::deterministic_rng::DeterministicRng;
use openraft_rt::{AsyncRuntime, OptionalSend};
use openraft_rt_tokio::TokioRuntime;

/// The runtime that openraft is compiled against.
pub type OstrakaRuntime = DeterministicRng<FifoTokio>;

/// openraft's tokio runtime with our [`watch`] in the place of tokio's, which picks the waiter to wake by chance.
pub struct FifoTokio(TokioRuntime);

impl std::fmt::Debug for FifoTokio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FifoTokio")
    }
}

impl AsyncRuntime for FifoTokio {
    type JoinError = <TokioRuntime as AsyncRuntime>::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::JoinHandle<T>;
    type Sleep = <TokioRuntime as AsyncRuntime>::Sleep;
    type Instant = <TokioRuntime as AsyncRuntime>::Instant;
    type TimeoutError = <TokioRuntime as AsyncRuntime>::TimeoutError;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = <TokioRuntime as AsyncRuntime>::Timeout<R, T>;
    type ThreadLocalRng = <TokioRuntime as AsyncRuntime>::ThreadLocalRng;

    fn spawn<T>(future: T) -> Self::JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        TokioRuntime::spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        TokioRuntime::sleep(duration)
    }

    fn sleep_until(deadline: Self::Instant) -> Self::Sleep {
        TokioRuntime::sleep_until(deadline)
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout(duration, future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: Self::Instant,
        future: F,
    ) -> Self::Timeout<R, F> {
        TokioRuntime::timeout_at(deadline, future)
    }

    fn is_panic(join_error: &Self::JoinError) -> bool {
        TokioRuntime::is_panic(join_error)
    }

    fn thread_rng() -> Self::ThreadLocalRng {
        TokioRuntime::thread_rng()
    }

    type Mpsc = <TokioRuntime as AsyncRuntime>::Mpsc;
    type Watch = watch::FifoWatch;
    type Oneshot = <TokioRuntime as AsyncRuntime>::Oneshot;
    type Mutex<T: OptionalSend + 'static> = <TokioRuntime as AsyncRuntime>::Mutex<T>;

    fn new(threads: usize) -> Self {
        FifoTokio(TokioRuntime::new(threads))
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.0.block_on(future)
    }
}

/// A point on the monotonic clock.
pub type Instant = tokio::time::Instant;
/// A running task. Dropping it lets the task go on.
pub type JoinHandle<T> = tokio::task::JoinHandle<T>;

pub fn now() -> Instant {
    Instant::now()
}

pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

pub async fn sleep_until(deadline: Instant) {
    tokio::time::sleep_until(deadline).await;
}

/// `None` when `within` is over first.
pub async fn timeout<F: Future>(within: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(within, future).await.ok()
}

/// Spawns without a seed: for tasks that never draw from openraft's randomness. Others are wrapped in [`seeded`].
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future)
}

/// Runs a future with a seed for openraft's randomness. Whatever it spawns through openraft inherits from it.
/// openraft panics where it spawns outside of such a scope, so calls into it from connections go through here.
pub fn seeded<F: Future + Send>(seed: u64, future: F) -> impl Future<Output = F::Output> + Send {
    OstrakaRuntime::scope(seed, future)
}

/// A task that ends with its owner.
#[derive(Debug)]
pub struct OwnedTask<T>(JoinHandle<T>);

impl<T> OwnedTask<T> {
    pub fn new(handle: JoinHandle<T>) -> Self {
        Self(handle)
    }
}

impl<T> Drop for OwnedTask<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): a well-mixed number from each number, for seeds and jitter.
pub fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openraft_accepts_the_runtime() {
        // The suite puts `DeterministicRng` around by itself.
        openraft_rt::testing::Suite::<FifoTokio>::test_all();
    }

    #[test]
    fn a_seed_gives_the_same_numbers_across_spawns() {
        async fn draw() -> Vec<u64> {
            let mut numbers = Vec::new();
            for _ in 0..4 {
                let task =
                    OstrakaRuntime::spawn(async { rand::Rng::next_u64(&mut OstrakaRuntime::thread_rng()) });
                numbers.push(task.await.expect("does not panic"));
            }
            numbers
        }
        let run = |seed| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .expect("a runtime");
            runtime.block_on(seeded(seed, draw()))
        };
        assert_eq!(run(7), run(7));
        assert_ne!(run(7), run(8));
    }
}
