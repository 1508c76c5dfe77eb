//! Opening twice, draining, closing, letting go, and being looked at meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

#[tokio::test]
async fn a_second_opener_is_told_the_pid_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 4);
    let first = open_real(&config);
    let second = open(&config, Arc::new(disk::Real::default()), Metrics::new(&Names::default()).journal);
    match second.map(|_| ()) {
        Err(error @ OpenError::Locked { pid, .. }) => {
            assert_eq!(pid, std::process::id());
            assert!(error.to_string().contains(&pid.to_string()));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(scan(dir.path(), &disk::Real::default()).unwrap().lock_owner(), Some(std::process::id()));
    first.handle.close().await.unwrap();
    open_real(&config).handle.close().await.unwrap();
}

#[tokio::test]
async fn draining_refuses_and_ends_when_nothing_is_pending() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { handle, mut reader, .. } = open_real(&config(dir.path(), 4));
    handle.append(Bytes::from_static(b"a")).await.unwrap();
    handle.drain();
    assert_eq!(handle.state(), JournalState::Draining);
    assert_eq!(handle.append(Bytes::from_static(b"b")).await, Err(AppendError::Draining));
    reader.next().await.unwrap();
    handle.complete(delivered(1, 1));
    until(|| handle.state() == JournalState::Drained).await;
    let other = handle.clone();
    handle.close().await.unwrap();
    assert_eq!(other.append(Bytes::from_static(b"c")).await, Err(AppendError::Closed));
    assert!(matches!(reader.next().await, Err(ReadError::Closed)));
    assert_eq!(scan(dir.path(), &disk::Real::default()).unwrap().completed_through(), 1);
}

#[tokio::test]
async fn an_append_that_nobody_waits_for_is_delivered_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { handle, mut reader, .. } = open_real(&config(dir.path(), 4));
    for _ in 0..20 {
        let append = handle.append(Bytes::from_static(b"a"));
        tokio::select! { biased; _ = append => {}, () = std::future::ready(()) => {} }
    }
    let last = handle.append(Bytes::from_static(b"b")).await.unwrap();
    assert_eq!(last, 21);
    for n in 1..=last {
        assert_eq!(reader.next().await.unwrap().sequence, n);
    }
    handle.complete(delivered(last, last));
    let status = handle.status();
    assert_eq!((status.appended, status.pending_records, status.unaccounted), (21, 0, 0));
    handle.close().await.unwrap();
}

#[tokio::test]
async fn a_reader_that_is_dropped_while_it_waits_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 64);
    let Opened { handle, .. } = open_real(&config);
    for _ in 0..300 {
        handle.append(Bytes::from(vec![1; 50_000])).await.unwrap();
    }
    handle.close().await.unwrap();
    let Opened { handle, mut reader, .. } = open_real(&config);
    let mut expected = 1;
    while expected <= 300 {
        tokio::select! {
            biased;
            entry = reader.next() => {
                assert_eq!(entry.unwrap().sequence, expected);
                expected += 1;
            }
            () = tokio::task::yield_now() => {}
        }
    }
    handle.close().await.unwrap();
}

#[tokio::test]
async fn a_reader_that_waits_is_woken() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { handle, mut reader, .. } = open_real(&config(dir.path(), 4));
    for n in 1..=50 {
        let (entry, appended) = tokio::join!(biased; reader.next(), handle.append(Bytes::from_static(b"a")));
        assert_eq!((entry.unwrap().sequence, appended), (n, Ok(n)));
    }
    handle.close().await.unwrap();
}

#[tokio::test]
async fn the_cursor_is_saved_behind_the_watermark() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { handle, mut reader, .. } = open_real(&config(dir.path(), 4));
    for n in 1..=3 {
        handle.append(Bytes::from_static(b"a")).await.unwrap();
        reader.next().await.unwrap();
        handle.complete(delivered(n, 1));
    }
    until(|| scan(dir.path(), &disk::Real::default()).unwrap().completed_through() == 3).await;
    handle.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_beside_a_writer_finds_records_in_order_and_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { handle, mut reader, .. } = open_real(&config(dir.path(), 16));
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let (handle, stop) = (handle.clone(), Arc::clone(&stop));
        async move {
            for n in 0u64.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let mut appends = tokio::task::JoinSet::new();
                for size in 0..20 {
                    let handle = handle.clone();
                    appends.spawn(async move { handle.append(Bytes::from(vec![n as u8; 40 * size])).await });
                }
                assert!(appends.join_all().await.iter().all(Result::is_ok));
                for _ in 0..20 {
                    let entry = reader.next().await.unwrap();
                    // Behind by some, so that segments go and others stay.
                    let through = entry.sequence.saturating_sub(5000);
                    handle.complete(delivered(through, u64::from(through > 0)));
                }
            }
        }
    });
    let mut seen = 0;
    let deadline = Instant::now() + std::time::Duration::from_secs(30);
    while seen < 20_000 {
        assert!(Instant::now() < deadline, "only {seen} records were written");
        let path = dir.path().to_owned();
        let scanned = tokio::task::spawn_blocking(move || {
            let mut last = 0;
            for finding in scan(&path, &disk::Real::default()).unwrap() {
                match finding.unwrap() {
                    Finding::Entry(entry) => {
                        assert!(entry.sequence > last);
                        last = entry.sequence;
                    }
                    other => panic!("{other:?}"),
                }
            }
            last
        });
        seen = seen.max(scanned.await.unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    writing.await.unwrap();
    assert_eq!(handle.status().unaccounted, 0);
    handle.close().await.unwrap();
}

#[tokio::test]
async fn the_families_say_what_happened() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 4);
    let metrics = Metrics::new(&Names::default());
    let Opened { handle, mut reader, .. } =
        open(&config, Arc::new(disk::Real::default()), metrics.journal.clone()).unwrap();
    for _ in 0..5 {
        handle.append(Bytes::from_static(b"12345678")).await.unwrap();
    }
    for _ in 0..3 {
        reader.next().await.unwrap();
    }
    handle.complete(Completed { through: 3, delivered: 1, dead_lettered: 1, discarded: 1 });
    let shown = metrics.expose();
    for line in [
        "mewsbridge_journal_appends_total{outcome=\"ok\"} 5",
        "mewsbridge_journal_append_duration_seconds_count 5",
        "mewsbridge_journal_fsync_batch_records_sum 5",
        "mewsbridge_journal_pending_records 2",
        "mewsbridge_journal_pending_bytes 16",
        "mewsbridge_journal_segments 1",
        "mewsbridge_journal_size_bytes 1048576",
        "mewsbridge_journal_capacity_bytes 4194304",
        "mewsbridge_journal_unaccounted_records 0",
        "mewsbridge_journal_completed_records_total{disposition=\"dead_lettered\"} 1",
        "mewsbridge_journal_state{state=\"open\"} 1",
        "mewsbridge_journal_state{state=\"recovering\"} 0",
    ] {
        assert!(shown.lines().any(|each| each == line), "{line} is not in:\n{shown}");
    }
    assert!(metrics.journal.fs_avail.get() > 0 && metrics.journal.fs_size.get() > 0);
    handle.close().await.unwrap();
}
