//! The pending set against a model: whatever happens in whatever order, every event has one end.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// One of four entities in two lanes on two partitions.
    Add(usize),
    Wait(u64),
    Work,
    /// The fate of each id of a batch that is under way.
    Answer(prop::sample::Index, [Fate; 4], bool),
    Hold(prop::sample::Index, bool),
    LetGo(i32),
    Release,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Found,
    Again,
    Apart,
    NoAnswer,
    Alone,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = || {
        prop_oneof![
            3 => Just(Fate::Found),
            1 => Just(Fate::Again),
            1 => Just(Fate::Apart),
            1 => Just(Fate::NoAnswer),
            1 => Just(Fate::Alone),
        ]
    };
    prop_oneof![
        6 => (0usize..4).prop_map(Step::Add),
        3 => (0u64..1500).prop_map(Step::Wait),
        6 => Just(Step::Work),
        5 => (any::<prop::sample::Index>(), prop::array::uniform4(fate()), any::<bool>())
            .prop_map(|(which, fates, answered)| Step::Answer(which, fates, answered)),
        1 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(which, parks)| Step::Hold(which, parks)),
        1 => (0i32..2).prop_map(Step::LetGo),
        1 => Just(Step::Release),
    ]
}

/// What was added and is not answered, with the time at which it was.
#[derive(Default)]
struct Model {
    open: BTreeMap<i64, (i32, Instant)>,
    under_way: Vec<(Batch, Instant)>,
    let_go: BTreeSet<u64>,
}

impl Model {
    fn is_live(&self, batch: &Batch) -> bool {
        !self.let_go.contains(&batch.number)
    }

    fn work(&mut self, desk: &mut Desk) -> Result<bool, TestCaseError> {
        match desk.work() {
            None => return Ok(false),
            Some(Work::Park(rounds, _)) => {
                for offset in rounds.iter().flat_map(offsets) {
                    prop_assert!(self.open.remove(&offset).is_some(), "{offset} was answered before");
                }
            }
            Some(Work::Fetch(batch)) => {
                for (other, _) in self.under_way.iter().filter(|(other, _)| self.is_live(other)) {
                    let both =
                        other.group == batch.group && other.ids.iter().any(|id| batch.ids.contains(id));
                    prop_assert!(!both, "{other:?} and {batch:?} overlap");
                }
                prop_assert!(batch.ids.len() <= 2);
                self.under_way.push((batch, desk.now));
            }
        }
        Ok(true)
    }

    fn answer(
        &mut self,
        desk: &mut Desk,
        at: usize,
        fates: [Fate; 4],
        answered: bool,
    ) -> Result<(), TestCaseError> {
        let (batch, began) = self.under_way.remove(at);
        let mut apart = Vec::new();
        for (id, fate) in batch.ids.iter().zip(fates) {
            match fate {
                Fate::Found => {
                    for offset in desk.found(&batch, id).iter().flat_map(offsets) {
                        let open = self.open.remove(&offset);
                        prop_assert!(
                            open.is_some_and(|(_, added)| added <= began),
                            "{offset} is not answered by this"
                        );
                    }
                }
                Fate::Again => desk.again(&batch, id, Some(fetch::Round::Again)),
                Fate::Apart => apart.push(Arc::clone(id)),
                Fate::NoAnswer => desk.again(&batch, id, None),
                Fate::Alone => {
                    for offset in desk.set_apart(&batch, id).iter().flat_map(offsets) {
                        prop_assert!(self.open.remove(&offset).is_some(), "{offset} was answered before");
                    }
                }
            }
        }
        desk.coalescer.apart(&batch.group, batch.number, &apart, desk.now);
        desk.ended(&batch, answered);
        Ok(())
    }
}

proptest! {
    #[test]
    fn every_event_is_answered_once_by_a_fetch_that_began_after_it(steps in prop::collection::vec(step(), 0..80)) {
        let (mut desk, mut model) = (Desk::new(2), Model::default());
        for (offset, step) in (0i64..).zip(steps) {
            match step {
                Step::Add(which) => {
                    let (kind, id) = [("CustomerUpdated", "a"), ("CustomerUpdated", "b"),
                        ("CustomerUpdated", "c"), ("PaymentUpdated", "d")][which];
                    let partition = i32::try_from(which % 2).unwrap();
                    desk.coalescer.add(event(kind, id, partition, offset), None, desk.now);
                    model.open.insert(offset, (partition, desk.now));
                }
                Step::Wait(millis) => desk.wait(Duration::from_millis(millis)),
                Step::Work => { model.work(&mut desk)?; }
                Step::Answer(which, fates, answered) if !model.under_way.is_empty() => {
                    model.answer(&mut desk, which.index(model.under_way.len()), fates, answered)?;
                }
                Step::Hold(which, parks) if !model.under_way.is_empty() => {
                    let batch = model.under_way[which.index(model.under_way.len())].0.clone();
                    let (reason, wait) = if parks {
                        (HoldReason::NoCredentials, None)
                    } else {
                        (HoldReason::Throttled, Some(Duration::from_secs(2)))
                    };
                    desk.hold(&batch, reason, wait);
                }
                Step::Answer(..) | Step::Hold(..) => {}
                Step::LetGo(partition) => {
                    desk.coalescer.let_go(|origin| origin.partition == partition, desk.now);
                    model.open.retain(|_, (of, _)| *of != partition);
                    // All ids of a batch may be gone, or some: who comes back is a new entity to it.
                    model.let_go.extend(model.under_way.iter().map(|(batch, _)| batch.number));
                }
                Step::Release => desk.coalescer.release(|group| &*group.integration_id == "i", desk.now),
            }
        }
        // Left alone for long enough, everything is answered or parked.
        for _ in 0..200 {
            while model.work(&mut desk)? {}
            while !model.under_way.is_empty() {
                model.answer(&mut desk, 0, [Fate::Found; 4], true)?;
            }
            desk.wait(Duration::from_secs(1));
        }
        prop_assert!(model.open.is_empty(), "never answered: {:?}", model.open);
        prop_assert!(desk.coalescer.is_empty());
    }
}
