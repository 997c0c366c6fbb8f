//! hyper-util's adapters, with timers that run on madsim's clock.

pub mod rt {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::{Duration, Instant};

    use hyper::rt::{Sleep, Timer};

    pub use hyper_util::rt::TokioIo;

    /// hyper's timer.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct TokioTimer;

    impl TokioTimer {
        pub fn new() -> Self {
            Self
        }
    }

    impl Timer for TokioTimer {
        fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
            self.sleep_until(self.now() + duration)
        }

        fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
            Box::pin(Wait(Box::pin(tokio::time::sleep_until(deadline))))
        }

        fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
            *sleep = self.sleep_until(deadline);
        }

        fn now(&self) -> Instant {
            tokio::time::Instant::now()
        }
    }

    struct Wait(Pin<Box<tokio::time::Sleep>>);

    impl Future for Wait {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            self.0.as_mut().poll(cx)
        }
    }

    impl Sleep for Wait {}
}
