//! tokio as madsim plays it, with the two pieces that the service uses and madsim lacks: [`task::JoinSet`] and
//! [`time::timeout_at`].

pub use madsim_tokio::*;

pub mod time {
    //! madsim's clock and timers.

    use std::future::Future;

    pub use madsim_tokio::time::*;

    /// Ends at `deadline` at the latest.
    ///
    /// # Errors
    /// If `future` has not ended by then.
    pub fn timeout_at<F: Future>(
        deadline: Instant,
        future: F,
    ) -> impl Future<Output = Result<F::Output, error::Elapsed>> {
        timeout(deadline.saturating_duration_since(Instant::now()), future)
    }
}

pub mod task {
    //! Tasks, which madsim polls in an order drawn from the seed.

    use std::future::{Future, poll_fn};
    use std::pin::Pin;
    use std::task::Poll;

    pub use madsim_tokio::task::*;

    /// Tasks that end with their owner.
    #[derive(Debug)]
    pub struct JoinSet<T> {
        tasks: Vec<JoinHandle<T>>,
    }

    impl<T> Default for JoinSet<T> {
        fn default() -> Self {
            Self { tasks: Vec::new() }
        }
    }

    impl<T: Send + 'static> JoinSet<T> {
        pub fn new() -> Self {
            Self::default()
        }

        pub fn is_empty(&self) -> bool {
            self.tasks.is_empty()
        }

        pub fn spawn<F>(&mut self, future: F)
        where
            F: Future<Output = T> + Send + 'static,
        {
            self.tasks.push(madsim_tokio::spawn(future));
        }

        /// The result of a task that has ended; `None` if there is none left. Safe to cancel.
        pub async fn join_next(&mut self) -> Option<Result<T, JoinError>> {
            poll_fn(|cx| {
                if self.tasks.is_empty() {
                    return Poll::Ready(None);
                }
                let ended = self.tasks.iter_mut().enumerate().find_map(|(place, task)| {
                    match Pin::new(task).poll(cx) {
                        Poll::Ready(result) => Some((place, result)),
                        Poll::Pending => None,
                    }
                });
                match ended {
                    Some((place, result)) => {
                        self.tasks.swap_remove(place);
                        Poll::Ready(Some(result))
                    }
                    None => Poll::Pending,
                }
            })
            .await
        }
    }

    impl<T> Drop for JoinSet<T> {
        fn drop(&mut self) {
            self.tasks.iter().for_each(JoinHandle::abort);
        }
    }
}
