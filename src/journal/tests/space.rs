//! How the journal fills, says that it is full, and becomes usable again.

use super::{
    super::disk::faulty::{Fault, Faulty},
    world::{DIR, World},
    *,
};

const RECORD: usize = 64 * 1024;

/// Appends until there is no room, and says how many were taken.
async fn fill(handle: &Handle) -> u64 {
    let mut taken = 0;
    loop {
        match handle.append(Bytes::from(vec![7; RECORD])).await {
            Ok(_) => taken += 1,
            Err(error) => {
                assert_eq!(error, AppendError::Full);
                return taken;
            }
        }
    }
}

async fn read(reader: &mut Reader, records: u64) -> Sequence {
    let mut last = 0;
    for _ in 0..records {
        last = reader.next().await.unwrap().sequence;
    }
    last
}

#[tokio::test]
async fn two_segments_are_filled_and_drained_and_filled_again() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 2);
    let Opened { handle, mut reader, .. } = open_real(&config);
    for _ in 0..3 {
        let taken = fill(&handle).await;
        assert!(taken >= 28, "{taken} records of 64 KiB in 2 MiB");
        assert_eq!((handle.state(), handle.is_ready()), (JournalState::Full, Err("journal is full")));
        assert!(handle.status().size_bytes <= 2 << 20);
        let through = read(&mut reader, taken).await;
        handle.complete(delivered(through, taken));
        until(|| handle.state() == JournalState::Open && handle.status().segments == 0).await;
    }
    let names = disk::Real::default().list(dir.path()).unwrap();
    assert!(names.iter().all(|name| segment::first_of(name).is_none()), "{names:?}");
    handle.close().await.unwrap();
    let Opened { handle, .. } = open_real(&config);
    assert_eq!(handle.append(Bytes::new()).await.unwrap(), handle.status().last_sequence);
    assert!(handle.status().last_sequence > 84, "numbers survive a restart without segments");
    handle.close().await.unwrap();
}

#[tokio::test]
async fn a_full_journal_is_not_ready_until_a_twentieth_is_free_but_takes_what_fits() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { handle, mut reader, .. } = open_real(&config(dir.path(), 40));
    fill(&handle).await;
    let first_of = |segment: usize| {
        let segments = segment::list(&disk::Real::default(), dir.path()).unwrap();
        segments.get(segment).copied().unwrap()
    };
    let (second, fourth) = (first_of(1), first_of(3));
    read(&mut reader, fourth - 1).await;
    handle.complete(delivered(second - 1, second - 1));
    until(|| handle.status().size_bytes <= 39 << 20).await;
    assert_eq!(handle.state(), JournalState::Full, "one of forty is no twentieth");
    handle.append(Bytes::from_static(b"fits")).await.unwrap();
    assert_eq!(handle.state(), JournalState::Full);
    handle.complete(delivered(fourth - 1, fourth - second));
    until(|| handle.is_ready().is_ok()).await;
    assert_eq!(handle.status().unaccounted, 0);
    handle.close().await.unwrap();
}

#[tokio::test]
async fn a_journal_that_was_full_is_not_ready_after_a_restart_either() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 2);
    let Opened { handle, .. } = open_real(&config);
    let taken = fill(&handle).await;
    handle.close().await.unwrap();
    let Opened { handle, mut reader, .. } = open_real(&config);
    until(|| handle.is_ready() == Err("journal is full")).await;
    let through = read(&mut reader, taken).await;
    handle.complete(delivered(through, taken));
    until(|| handle.is_ready().is_ok()).await;
    handle.close().await.unwrap();
}

#[tokio::test]
async fn a_frame_larger_than_a_segment_has_one_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), 8);
    let Opened { handle, mut reader, .. } = open_real(&config);
    let large = Bytes::from(vec![9; 3 << 20]);
    for payload in [large.clone(), Bytes::from_static(b"small"), large.clone()] {
        handle.append(payload.clone()).await.unwrap();
        assert_eq!(reader.next().await.unwrap().payload, payload);
    }
    assert_eq!(
        handle.append(Bytes::from(vec![0; 8 << 20])).await,
        Err(AppendError::TooLarge { bytes: 8 << 20, max: (8 << 20) - 48 })
    );
    handle.close().await.unwrap();
    let Opened { handle, mut reader, .. } = open_real(&config);
    let found = [(); 3].map(|()| ());
    for _ in found {
        reader.next().await.unwrap();
    }
    handle.complete(delivered(3, 3));
    until(|| handle.status().size_bytes == 0).await;
    handle.append(Bytes::from(vec![1; (8 << 20) - 48])).await.unwrap();
    assert_eq!(handle.status().size_bytes, 8 << 20);
    handle.close().await.unwrap();
}

#[tokio::test]
async fn an_empty_segment_makes_way_for_a_larger_one_that_needs_its_name() {
    let mut world = World::new(1, 4096, 64 * 1024);
    world.try_open().unwrap();
    world.append(&[100]).await;
    let before = world.disk.files().len();
    // The second is made, and then the disk is too small for anything but it.
    world.append(&[4000]).await;
    world.disk.set_capacity(0);
    assert_eq!(world.append(&[4000]).await, [Err(AppendError::Full)]);
    world.disk.set_capacity(1 << 20);
    assert_eq!(world.append(&[30_000]).await, [Ok(3)]);
    assert!(world.disk.files().len() > before);
    world.check_all().await;
}

#[tokio::test]
async fn a_disk_without_room_is_full_and_not_failed() {
    let mut world = World::new(1, 4096, 64 * 1024);
    world.try_open().unwrap();
    world.append(&[3000]).await;
    world.disk.set_capacity(0);
    assert_eq!(world.append(&[3000]).await, [Err(AppendError::Full)]);
    assert_eq!(world.handle().is_ready(), Err("journal is full"));
    assert_eq!(world.append(&[10]).await.len(), 1, "what fits the open segment is taken");
    let segments = segment::list(&world.disk, Path::new(DIR)).unwrap();
    assert_eq!(segments, [1], "nothing is left of the attempt");
    world.disk.set_capacity(1 << 20);
    let handle = world.handle();
    until(|| handle.is_ready().is_ok()).await;
    assert_eq!(world.append(&[3000]).await, [Ok(3)]);
    world.check_all().await;
}

#[tokio::test]
async fn without_a_file_descriptor_the_journal_is_full_and_not_failed() {
    let mut world = World::new(1, 4096, 64 * 1024);
    world.try_open().unwrap();
    world.append(&[3000]).await;
    world.disk.fail(world.disk.calls().len(), Fault::NoDescriptor);
    assert_eq!(world.append(&[3000]).await, [Err(AppendError::Full)]);
    assert_eq!(world.append(&[3000]).await, [Ok(2)]);
    world.check_all().await;
}

#[tokio::test]
async fn a_journal_on_a_full_disk_opens_and_drains() {
    let mut world = World::new(1, 4096, 64 * 1024);
    world.try_open().unwrap();
    world.append(&[3000, 3000, 3000]).await;
    let disk: Faulty = world.disk.kill();
    disk.set_capacity(0);
    world.crash(disk);
    world.try_open().unwrap();
    let handle = world.handle();
    until(|| handle.is_ready() == Err("journal is full")).await;
    world.check_all().await;
    world.complete(3);
    until(|| handle.status().segments == 0).await;
    world.close().await.unwrap();
}

#[tokio::test]
async fn a_long_outage_costs_disk_and_not_memory() {
    let dir = tempfile::tempdir().unwrap();
    let Opened { handle, mut reader, .. } = open_real(&config(dir.path(), 256));
    let record = Bytes::from(vec![3; 100_000]);
    // The reader has caught up, so it is handed what is committed from here on, as far as there is room.
    tokio::select! { biased; _ = reader.next() => {}, () = std::future::ready(()) => {} }
    for n in 1..=2000 {
        assert_eq!(handle.append(record.clone()).await, Ok(n));
    }
    assert!(handle.status().size_bytes > 200_000_000);
    let mut most = 0;
    for n in 1..=2000 {
        let entry = reader.next().await.unwrap();
        assert_eq!((entry.sequence, entry.payload.len()), (n, 100_000));
        most = most.max(reader.bytes_in_memory());
        handle.complete(delivered(n, 1));
    }
    assert!((100_000..8 << 20).contains(&most), "{most} bytes were held");
    until(|| handle.status().size_bytes <= 1 << 20).await;
    handle.close().await.unwrap();
}
