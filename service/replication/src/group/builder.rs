//! Writing a snapshot. A process without a file to spare waits for one: whoever holds them gives them back, and a
//! snapshot that comes later costs nothing but a longer replay.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::RaftSnapshotBuilder;
use ostraka_core::limits::{SNAPSHOT_RETRY_MS_MAX, SNAPSHOT_RETRY_MS_MIN};
use parking_lot::Mutex;

use super::adapter::Snapshot;
use crate::env::Offload;
use crate::machine::SnapshotImage;
use crate::runtime;
use crate::snapshot_store::{SnapshotError, SnapshotStore, StoredSnapshot};
use crate::types::{SnapshotMeta, Types};

/// ENFILE and EMFILE, on all Unixes: the machine, or this process, has no more files. The standard library names neither.
const OUT_OF_FILES: [i32; 2] = [23, 24];

/// A snapshot on its way to the disk, while entries go on being applied.
pub(crate) struct Builder {
    pub(super) meta: SnapshotMeta,
    /// Behind a lock only because openraft asks for `Sync`; taken when the snapshot is built.
    pub(super) image: Mutex<Option<Box<dyn SnapshotImage>>>,
    pub(super) snapshots: SnapshotStore,
    pub(super) offload: Offload,
    /// Nobody wants the snapshot any more.
    pub(super) stopping: Arc<AtomicBool>,
}

impl RaftSnapshotBuilder<Types> for Builder {
    type SnapshotData = StoredSnapshot;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let image = self.image.get_mut().take();
        let mut image = image.ok_or_else(|| io::Error::other("a snapshot is built once"))?;
        for failed in 0.. {
            let (kept, written) = self.write(image).await?;
            let error = match written {
                Ok(snapshot) => {
                    return Ok(Snapshot {
                        meta: self.meta.clone(),
                        snapshot,
                    });
                }
                Err(error) => error,
            };
            let is_stopping = self.stopping.load(Ordering::Relaxed);
            let Some(pause) = pause_before_retry(&error, failed, is_stopping) else {
                return Err(error.into());
            };
            tracing::warn!(%error, ?pause, "a snapshot waits until this process may open files again");
            runtime::sleep(pause).await;
            image = kept;
        }
        unreachable!("it is tried until it succeeds or fails for good")
    }
}

impl Builder {
    /// One attempt. The image comes back, for the next.
    async fn write(
        &self,
        image: Box<dyn SnapshotImage>,
    ) -> io::Result<(Box<dyn SnapshotImage>, Result<StoredSnapshot, SnapshotError>)> {
        let (meta, snapshots) = (self.meta.clone(), self.snapshots.clone());
        let attempt = move || {
            let written = snapshots.write(&meta, |out| image.write_to(out));
            Ok((image, written))
        };
        self.offload.run_behind_all("snapshot", attempt).await
    }
}

/// How long to wait before the next attempt, after `failed` others and the one that ended with `error`. `None`: for good.
fn pause_before_retry(error: &SnapshotError, failed: u32, is_stopping: bool) -> Option<Duration> {
    let doubled = SNAPSHOT_RETRY_MS_MIN.saturating_mul(1 << failed.min(u32::BITS - 1));
    let pause = Duration::from_millis(doubled.min(SNAPSHOT_RETRY_MS_MAX));
    (is_for_want_of_files(error) && !is_stopping).then_some(pause)
}

fn is_for_want_of_files(error: &SnapshotError) -> bool {
    std::iter::successors(Some(error as &(dyn Error + 'static)), |&error| error.source())
        .filter_map(|error| error.downcast_ref::<io::Error>()?.raw_os_error())
        .any(|code| OUT_OF_FILES.contains(&code))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::AtomicU32;

    use super::*;

    fn failed(source: io::Error) -> SnapshotError {
        let place = "vote/snapshots".to_owned();
        SnapshotError::Io { place, source }
    }

    fn os(code: i32) -> SnapshotError {
        failed(io::Error::from_raw_os_error(code))
    }

    #[test]
    fn only_the_want_of_files_is_waited_out_and_only_by_a_node_that_goes_on() {
        let wrapped = failed(io::Error::other(os(24)));
        for error in [os(23), os(24), wrapped] {
            assert!(pause_before_retry(&error, 0, false).is_some(), "{error}");
            assert_eq!(pause_before_retry(&error, 0, true), None, "{error}");
        }
        // EIO, EACCES, and a full disk.
        let full = SnapshotError::DiskFull("vote/snapshots".to_owned());
        for error in [os(5), os(13), full, failed(io::Error::other("24"))] {
            assert_eq!(pause_before_retry(&error, 0, false), None, "{error}");
        }
    }

    #[test]
    fn the_pause_doubles_up_to_its_bound() {
        let pauses = (0..200).map(|failed| pause_before_retry(&os(24), failed, false).expect("a pause"));
        let pauses: Vec<Duration> = pauses.collect();
        let (least, most) = (
            Duration::from_millis(SNAPSHOT_RETRY_MS_MIN),
            Duration::from_millis(SNAPSHOT_RETRY_MS_MAX),
        );
        assert_eq!((pauses[0], pauses[1], pauses[199]), (least, 2 * least, most));
        assert!(pauses.is_sorted());
    }

    /// Cannot be written before it was tried so many times.
    struct Scarce {
        failures: AtomicU32,
        code: i32,
    }

    impl SnapshotImage for Scarce {
        fn write_to(&self, out: &mut dyn Write) -> io::Result<()> {
            let fails = |left: u32| left.checked_sub(1);
            match self
                .failures
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fails)
            {
                Ok(_) => Err(io::Error::from_raw_os_error(self.code)),
                Err(_) => out.write_all(b"state"),
            }
        }
    }

    fn builder(failures: u32, code: i32) -> Builder {
        let failures = AtomicU32::new(failures);
        Builder {
            meta: SnapshotMeta::default(),
            image: Mutex::new(Some(Box::new(Scarce { failures, code }))),
            snapshots: SnapshotStore::in_memory(),
            offload: Offload::Inline,
            stopping: Arc::default(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_is_written_when_there_are_files_again() {
        let mut builder = builder(20, 24);
        let built = builder.build_snapshot().await.expect("in the end");
        assert_eq!(built.snapshot.index(), 0);
        assert!(builder.snapshots.latest().expect("it can be read").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_snapshot_that_fails_otherwise_or_that_nobody_wants_is_not_tried_again() {
        let failed = builder(1, 5).build_snapshot().await;
        assert!(
            failed
                .expect_err("a broken disk")
                .to_string()
                .contains("os error 5")
        );
        let mut unwanted = builder(u32::MAX, 24);
        let stopping = unwanted.stopping.clone();
        let building = async { unwanted.build_snapshot().await.is_err() };
        let stop = async {
            runtime::sleep(Duration::from_secs(3_600)).await;
            stopping.store(true, Ordering::Relaxed);
        };
        let (has_failed, ()) = futures_util::future::join(building, stop).await;
        assert!(has_failed);
    }
}
