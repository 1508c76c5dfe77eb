//! A fault at every disk call of a run, and random runs on a disk that forgets.

use proptest::prelude::*;

use super::{
    super::{disk::faulty::Fault, *},
    world::{DIR, World},
};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

const SEGMENT: u64 = 4096;

/// A run that appends, rolls, reads back from disk, completes, removes, closes and opens again.
async fn script(world: &mut World) {
    if world.try_open().is_err() {
        return;
    }
    for round in 0..4 {
        world.append(&[100, 700, 20]).await;
        world.append(&[1500]).await;
        world.append(&[9000 * usize::from(round == 2)]).await;
        if world.read(4).await.is_err() {
            return;
        }
        world.complete(3);
    }
    let _ = world.close().await;
    if world.try_open().is_err() {
        return;
    }
    if world.read(8).await.is_ok() {
        world.complete(8);
    }
    world.append(&[300]).await;
    let _ = world.close().await;
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Kill,
    PowerCut,
}

fn run_with(fault: Option<(usize, Fault)>, ending: Ending, seed: u64) -> usize {
    runtime().block_on(async {
        let mut world = World::new(seed, SEGMENT, 8 * SEGMENT);
        if let Some((call, fault)) = fault {
            world.disk.fail(call, fault);
        }
        script(&mut world).await;
        let calls = world.disk.calls().len();
        let disk = match ending {
            Ending::Kill => world.disk.kill(),
            Ending::PowerCut => world.disk.power_cut(),
        };
        world.crash(disk);
        world.try_open().unwrap();
        world.check_all().await;
        let answers = world.append(&[10, 5000]).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
        world.check_all().await;
        world.complete(usize::MAX);
        let status = world.handle().status();
        assert_eq!((status.pending_records, status.pending_bytes, status.unaccounted), (0, 0, 0));
        world.close().await.unwrap();
        calls
    })
}

#[test]
fn a_fault_at_any_disk_call_loses_nothing_that_was_answered() {
    let calls = run_with(None, Ending::Kill, 1);
    assert!(calls > 60, "the script makes {calls} calls");
    for call in 0..calls + 5 {
        for fault in [Fault::Io, Fault::NoSpace, Fault::Short, Fault::PowerCut] {
            for ending in [Ending::Kill, Ending::PowerCut] {
                // Chance decides what a power cut loses, and nothing else.
                for seed in 1..=1 + u64::from(matches!(ending, Ending::PowerCut)) {
                    let what = format!("{fault:?} at call {call}, then {ending:?}, seed {seed}");
                    let ran = std::panic::catch_unwind(|| {
                        run_with(Some((call, fault)), ending, seed * 77 + call as u64)
                    });
                    assert!(ran.is_ok(), "{what}");
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Op {
    Append(Vec<usize>),
    Read(usize),
    Complete(usize),
    Check,
    Close,
    Kill,
    PowerCut,
    Fail(usize, Fault),
    Flip(prop::sample::Index, prop::sample::Index, u8),
}

fn any_op() -> impl Strategy<Value = Op> {
    let fault = prop_oneof![Just(Fault::Io), Just(Fault::NoSpace), Just(Fault::Short), Just(Fault::PowerCut)];
    prop_oneof![
        8 => prop::collection::vec(prop_oneof![6 => 8usize..600, 1 => 3000usize..6000], 1..8).prop_map(Op::Append),
        4 => (0usize..12).prop_map(Op::Read),
        4 => (0usize..12).prop_map(Op::Complete),
        1 => Just(Op::Check),
        1 => Just(Op::Close),
        1 => Just(Op::Kill),
        2 => Just(Op::PowerCut),
        2 => (0usize..30, fault).prop_map(|(call, fault)| Op::Fail(call, fault)),
        1 => (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1u8..).prop_map(|(record, byte, by)| Op::Flip(record, byte, by)),
    ]
}

async fn play(world: &mut World, op: Op) {
    match op {
        Op::Append(sizes) => drop(world.append(&sizes).await),
        Op::Read(records) => drop(world.read(records).await),
        Op::Complete(records) => world.complete(records),
        Op::Check => {
            // A disk that failed is looked at after a restart.
            if world.handle().is_ready().is_ok() && world.read(usize::MAX).await.is_ok() {
                world.check_all().await;
            }
        }
        Op::Close => {
            let _ = world.close().await;
            let disk = world.disk.kill();
            world.crash(disk);
        }
        Op::Kill => {
            let disk = world.disk.kill();
            world.crash(disk);
        }
        Op::PowerCut => {
            let disk = world.disk.power_cut();
            world.crash(disk);
        }
        Op::Fail(from_now, fault) => {
            let call = world.disk.calls().len() + from_now;
            world.disk.fail(call, fault);
        }
        Op::Flip(record, byte, by) => {
            let disk = world.disk.kill();
            world.crash(disk);
            flip(world, record, byte, by);
        }
    }
}

/// Damages one record on disk; it, and only it, is owed no longer.
fn flip(world: &mut World, record: prop::sample::Index, byte: prop::sample::Index, by: u8) {
    let findings: Vec<_> = scan(&world.config.dir, &world.disk).unwrap().map(Result::unwrap).collect();
    let entries: Vec<_> = findings
        .into_iter()
        .filter_map(|finding| match finding {
            Finding::Entry(entry) => Some(entry),
            _ => None,
        })
        .collect();
    if entries.is_empty() {
        return;
    }
    let Entry { sequence, payload, location } = record.get(&entries);
    let at = location.offset + byte.index(16 + payload.len()) as u64;
    world.disk.flip(&world.config.dir.join(segment::name(location.segment)), at, by);
    world.owed.answered.remove(sequence);
    world.owed.completed.remove(sequence);
}

async fn reopen(world: &mut World) {
    if world.try_open().is_err() {
        // Only an injected fault keeps it from opening, and those are over now.
        let disk = world.disk.kill();
        world.crash(disk);
        world.try_open().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn answered_means_present_in_order_and_exactly_the_bytes(
        seed in any::<u64>(), ops in prop::collection::vec(any_op(), 1..40), segments in 2u64..8,
    ) {
        runtime().block_on(async {
            let mut world = World::new(seed, SEGMENT, segments * SEGMENT);
            for op in ops {
                if world.open.is_none() {
                    reopen(&mut world).await;
                }
                play(&mut world, op).await;
            }
            let disk = world.disk.power_cut();
            world.crash(disk);
            world.try_open().unwrap();
            world.check_all().await;
        });
    }
}

#[test]
fn nothing_lies_about_after_everything_has_left() {
    runtime().block_on(async {
        let mut world = World::new(5, SEGMENT, 8 * SEGMENT);
        world.try_open().unwrap();
        world.append(&[1000; 12]).await;
        world.check_all().await;
        world.complete(usize::MAX);
        world.close().await.unwrap();
        world.try_open().unwrap();
        world.close().await.unwrap();
        let names: Vec<_> = world.disk.files().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["cursor", "lock"].map(|name| PathBuf::from(DIR).join(name)));
    });
}
