//! Damage, torn tails, other versions and disks that fail.

use super::{
    super::disk::faulty::Fault,
    world::{DIR, World},
    *,
};

async fn with_records(sizes: &[usize]) -> World {
    let mut world = World::new(3, 4096, 256 * 1024);
    world.try_open().unwrap();
    for size in sizes {
        assert!(world.append(&[*size]).await[0].is_ok());
    }
    world
}

fn path(first: Sequence) -> PathBuf {
    PathBuf::from(DIR).join(segment::name(first))
}

fn kill(world: &mut World) {
    let disk = world.disk.kill();
    world.crash(disk);
}

fn report(world: &World) -> recovery::Report {
    recovery::Report { took: std::time::Duration::ZERO, ..world.open.as_ref().unwrap().recovery }
}

fn findings(world: &World) -> Vec<Finding> {
    let all = scan(Path::new(DIR), &world.disk).unwrap().map(Result::unwrap);
    all.filter(|finding| !matches!(finding, Finding::Entry(_))).collect()
}

/// Where the frame of a record of 100 bytes begins in the first segment.
fn frame(n: u64) -> u64 {
    segment::HEADER_BYTES + (n - 1) * 116
}

#[tokio::test]
async fn a_damaged_record_is_set_aside_once_and_the_rest_is_delivered() {
    for byte in [0, 3, 5, 9, 40] {
        let mut world = with_records(&[100; 5]).await;
        kill(&mut world);
        world.disk.flip(&path(1), frame(3) + byte, 0x40);
        world.owed.answered.remove(&3);
        let expected = Finding::Damaged { segment: segment::name(1), offset: frame(3), bytes: 116 };
        assert_eq!(findings(&world), [expected]);
        for _ in 0..3 {
            world.try_open().unwrap();
            assert_eq!((report(&world).damaged, report(&world).replayed), (1, 4), "byte {byte}");
            world.check_all().await;
            let copies = world.disk.list(&damaged::dir_in(DIR.as_ref())).unwrap();
            assert_eq!(copies, ["00000000000000000001-000000000264.bytes"]);
            kill(&mut world);
        }
        world.try_open().unwrap();
        world.check_all().await;
        assert_eq!(world.append(&[10]).await, [Ok(6)]);
        world.read(1).await.unwrap();
        world.complete(5);
        let status = world.handle().status();
        assert_eq!(
            (status.pending_records, status.pending_bytes, status.unaccounted, status.corrupt),
            (0, 0, 0, 1)
        );
    }
}

#[tokio::test]
async fn a_torn_tail_is_cut_in_the_newest_segment_only_and_never_seen_again() {
    let mut world = with_records(&[100, 100, 100]).await;
    kill(&mut world);
    world.disk.flip(&path(1), frame(3) + 50, 1);
    world.owed.answered.remove(&3);
    // Behind the last byte that is set; the payload ends in three zeros.
    let torn = Finding::TornTail { segment: segment::name(1), offset: frame(3), bytes: 113 };
    assert_eq!(findings(&world), [torn]);
    world.try_open().unwrap();
    assert_eq!((report(&world).torn_tails, report(&world).damaged, report(&world).replayed), (1, 0, 2));
    assert_eq!(world.append(&[100]).await, [Ok(3)]);
    kill(&mut world);
    assert_eq!(findings(&world), []);
    world.try_open().unwrap();
    assert_eq!(report(&world), recovery::Report { replayed: 3, replayed_bytes: 300, ..Default::default() });
    world.check_all().await;

    // The same bytes, but in a segment that has a successor.
    kill(&mut world);
    world.disk.flip(&path(1), frame(2) + 50, 1);
    world.owed.answered.remove(&2);
    world.try_open().unwrap();
    assert_eq!((report(&world).torn_tails, report(&world).damaged, report(&world).replayed), (0, 1, 2));
    world.check_all().await;
}

#[tokio::test]
async fn a_payload_that_looks_like_a_frame_is_none() {
    let mut world = with_records(&[100]).await;
    let mut inside = Vec::new();
    frame::write(&mut inside, 3, b"never appended");
    let handle = world.handle();
    let mut payload = vec![1; 30];
    payload.extend_from_slice(&inside);
    payload.resize(100, 0);
    world.owed.answered.insert(2, payload.clone().into());
    handle.append(payload.into()).await.unwrap();
    world.append(&[100]).await;
    kill(&mut world);
    world.disk.flip(&path(1), frame(2) + 16, 1);
    world.owed.answered.remove(&2);
    world.try_open().unwrap();
    assert_eq!((report(&world).damaged, report(&world).replayed), (1, 2));
    world.check_all().await;
}

#[tokio::test]
async fn a_segment_of_another_version_is_moved_aside() {
    let mut world = with_records(&[4000, 100, 100]).await;
    kill(&mut world);
    world.disk.flip(&path(1), 8, 3);
    world.owed.answered.remove(&1);
    assert_eq!(findings(&world), [Finding::UnknownVersion { segment: segment::name(1), version: 2 }]);
    world.try_open().unwrap();
    assert_eq!((report(&world).unknown_versions, report(&world).damaged, report(&world).replayed), (1, 0, 2));
    assert_eq!(world.disk.list(&damaged::dir_in(DIR.as_ref())).unwrap(), [segment::name(1)]);
    world.check_all().await;
    assert_eq!(world.append(&[1]).await, [Ok(4)]);

    // The newest one: how many numbers it used is not known, and none of them is used again.
    kill(&mut world);
    world.disk.flip(&path(4), 8, 3);
    world.owed.answered.remove(&4);
    world.try_open().unwrap();
    assert!(world.append(&[1]).await[0].unwrap() > 4);
    world.check_all().await;
    world.complete(usize::MAX);
    assert_eq!((world.handle().status().pending_records, world.handle().status().unaccounted), (0, 0));
}

#[tokio::test]
async fn records_behind_a_damaged_header_are_delivered() {
    for at in [0, 13, 17, 30] {
        let mut world = with_records(&[100; 3]).await;
        kill(&mut world);
        world.disk.flip(&path(1), at, 1);
        assert_eq!(findings(&world), [Finding::Damaged { segment: segment::name(1), offset: 0, bytes: 32 }]);
        world.try_open().unwrap();
        assert_eq!((report(&world).damaged, report(&world).replayed), (1, 3));
        world.check_all().await;
    }
}

#[tokio::test]
async fn a_zeroed_block_takes_only_what_stood_in_it() {
    let mut world = with_records(&[100; 30]).await;
    kill(&mut world);
    let file = world.disk.open(&path(1), disk::Mode::Write).unwrap();
    file.write_at(&[0; 512], 1024).unwrap();
    file.write_at(&[0; 512], 0).unwrap();
    drop(file);
    let zeroed = |n: u64| frame(n) < 512 || (frame(n) < 1536 && frame(n) + 116 > 1024);
    world.owed.answered.retain(|sequence, _| !zeroed(*sequence));
    let left = world.owed.answered.len() as u64;
    assert!((15..25).contains(&left));
    world.try_open().unwrap();
    assert_eq!(report(&world).replayed, left);
    world.check_all().await;
    world.complete(usize::MAX);
    assert_eq!(world.handle().status().pending_records, 0);
}

#[tokio::test]
async fn a_segment_that_went_is_reported_as_missing() {
    let mut world = with_records(&[4000, 4000, 100]).await;
    kill(&mut world);
    world.disk.remove(&path(2)).unwrap();
    world.owed.answered.remove(&2);
    assert_eq!(findings(&world), [Finding::Missing { first: 2, last: 2 }]);
    world.try_open().unwrap();
    assert_eq!((report(&world).damaged, report(&world).replayed), (1, 2));
    world.check_all().await;
    world.complete(usize::MAX);
    assert_eq!((world.handle().status().pending_records, world.handle().status().unaccounted), (0, 0));
}

#[tokio::test]
async fn a_cursor_that_is_missing_or_damaged_makes_everything_pending() {
    let mut world = with_records(&[100; 4]).await;
    world.read(4).await.unwrap();
    world.complete(2);
    world.close().await.unwrap();
    world.try_open().unwrap();
    assert_eq!((report(&world).replayed, report(&world).already_completed), (2, 2));
    kill(&mut world);
    let cursor = PathBuf::from(DIR).join("cursor");
    world.disk.flip(&cursor, 0, 1);
    world.disk.flip(&cursor, 4096, 1);
    world.try_open().unwrap();
    assert_eq!(report(&world).replayed, 4);
    kill(&mut world);
    world.disk.remove(&cursor).unwrap();
    world.try_open().unwrap();
    assert_eq!(report(&world).replayed, 4);
    world.check_all().await;
}

#[tokio::test]
async fn damage_after_the_start_is_counted_and_does_not_balance() {
    let mut world = with_records(&[100; 5]).await;
    kill(&mut world);
    world.try_open().unwrap();
    for record in [2, 5] {
        world.disk.flip(&path(1), frame(record) + 30, 1);
    }
    let Opened { handle, mut reader, .. } = world.open.take().unwrap();
    for n in [1, 3, 4] {
        assert_eq!(reader.next().await.unwrap().sequence, n);
    }
    handle.complete(delivered(4, 3));
    let status = handle.status();
    assert_eq!((status.pending_records, status.completed_through, status.unaccounted), (0, 5, 2));
    handle.append(Bytes::from_static(b"after")).await.unwrap();
    assert_eq!(reader.next().await.unwrap().sequence, 6);
    handle.complete(delivered(6, 1));
    let status = handle.status();
    assert_eq!(
        (status.pending_records, status.pending_bytes, status.unaccounted, status.corrupt),
        (0, 0, 2, 2)
    );
    assert_eq!(world.disk.list(&damaged::dir_in(DIR.as_ref())).unwrap().len(), 2);
}

#[tokio::test]
async fn a_read_that_fails_is_an_error_and_tried_again_and_never_damage() {
    let mut world = with_records(&[100; 5]).await;
    kill(&mut world);
    world.try_open().unwrap();
    let Opened { handle, mut reader, .. } = world.open.take().unwrap();
    // The writer is done with what it does at first, so the next calls are the reader's.
    until(|| world.disk.calls().last() == Some(&"space")).await;
    world.disk.fail(world.disk.calls().len() + 1, Fault::Io);
    assert!(matches!(reader.next().await, Err(ReadError::Io { .. })));
    for n in 1..=5 {
        assert_eq!(reader.next().await.unwrap().sequence, n);
    }
    assert_eq!(handle.status().corrupt, 0);
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_written_any_more_and_what_was_durable_is_read() {
    let mut world = with_records(&[100; 3]).await;
    // The next calls are a write and its sync.
    let handle = world.handle();
    let calls = world.disk.calls().len();
    world.disk.fail(calls + 1, Fault::Io);
    assert_eq!(world.append(&[100]).await, [Err(AppendError::Poisoned)]);
    assert_eq!((handle.state(), handle.is_ready()), (JournalState::Failed, Err("journal has failed")));
    assert_eq!(world.append(&[100, 5000]).await, [Err(AppendError::Poisoned); 2]);
    world.read(3).await.unwrap();
    world.complete(3);
    assert!(matches!(world.close().await, Err(CloseError::Poisoned)));
    let after = &world.disk.calls()[calls + 2..];
    let writes = ["write", "sync", "allocate", "truncate", "remove", "sync_dir"];
    assert!(after.iter().all(|call| !writes.contains(call)), "{after:?}");
}

#[tokio::test]
async fn what_only_memory_held_after_a_failed_sync_is_made_durable_before_it_is_delivered() {
    let mut world = with_records(&[100; 3]).await;
    world.disk.fail(world.disk.calls().len() + 1, Fault::Io);
    assert_eq!(world.append(&[700]).await, [Err(AppendError::Poisoned)]);
    kill(&mut world);
    world.try_open().unwrap();
    assert_eq!(report(&world).replayed, 4);
    world.check_all().await;
    assert_eq!(world.append(&[100]).await, [Ok(5)]);
    let disk = world.disk.power_cut();
    world.crash(disk);
    world.try_open().unwrap();
    assert_eq!((report(&world).damaged, report(&world).replayed), (0, 5));
    world.check_all().await;
}

#[tokio::test]
async fn an_interrupted_roll_is_no_damage() {
    for left in [0, 32, 4096] {
        let mut world = with_records(&[3900]).await;
        kill(&mut world);
        world.disk.open(&path(2), disk::Mode::New).unwrap().allocate(left).unwrap();
        assert_eq!(findings(&world), []);
        world.try_open().unwrap();
        assert_eq!((report(&world).damaged, report(&world).torn_tails), (0, 0));
        world.check_all().await;
        assert_eq!(world.append(&[10]).await, [Ok(2)]);
    }
}
