//! The journal as a whole, on real files.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use bytesize::ByteSize;

use super::*;
use crate::telemetry::metrics::{Metrics, Names};

pub(super) fn config(dir: &Path, segments: u64) -> Config {
    Config { dir: dir.to_owned(), max_bytes: ByteSize::mib(segments), segment_bytes: ByteSize::mib(1) }
}

pub(super) fn open_real(config: &Config) -> Opened {
    open(config, Arc::new(disk::Real::default()), Metrics::new(&Names::default()).journal).unwrap()
}

fn delivered(through: Sequence, delivered: u64) -> Completed {
    Completed { through, delivered, ..Completed::default() }
}

/// Waits for what another thread is about to do.
async fn until(mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + std::time::Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < deadline, "it did not happen within 10 s");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn what_was_appended_is_read_in_order_and_found_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 4);
    let Opened { handle, mut reader, .. } = open_real(&config);
    for n in 1..=10u64 {
        assert_eq!(handle.append(Bytes::from(format!("record {n}"))).await.unwrap(), n);
    }
    for n in 1..=10u64 {
        let entry = reader.next().await.unwrap();
        assert_eq!((entry.sequence, &*entry.payload), (n, format!("record {n}").as_bytes()));
        assert_eq!(reader.refetch(entry.location).await.unwrap(), entry.payload);
    }
    handle.complete(delivered(4, 4));
    handle.close().await.unwrap();

    let Opened { handle, mut reader, recovery } = open_real(&config);
    assert_eq!((recovery.replayed, recovery.already_completed), (6, 4));
    assert_eq!(handle.append(Bytes::from_static(b"record 11")).await.unwrap(), 11);
    for n in 5..=11u64 {
        let entry = reader.next().await.unwrap();
        assert_eq!((entry.sequence, &*entry.payload), (n, format!("record {n}").as_bytes()));
    }
    let status = handle.status();
    assert_eq!((status.pending_records, status.unaccounted), (7, 0));
    handle.complete(delivered(11, 7));
    assert_eq!(handle.status().pending_bytes, 0);
    handle.close().await.unwrap();
}

mod damage;
mod faults;
mod life;
mod space;
mod world;
