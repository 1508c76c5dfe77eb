//! How far the journal is relayed: deliveries complete in any order, the journal is told of a prefix.
//!
//! Guarantees: the watermark passes a delivery only when it and all before it are completed, and
//! each is counted once, by how it ended. Called by the relay; it knows no record and no clock.

use std::{collections::VecDeque, time::SystemTime};

use crate::{
    journal::{Completed, Sequence},
    telemetry::metrics::Disposition,
};

/// Deliveries that were read, up to the oldest that is not completed.
#[derive(Debug, Default)]
pub struct Cursor {
    open: VecDeque<Slot>,
    passed: Completed,
}

#[derive(Debug)]
struct Slot {
    sequence: Sequence,
    accepted_at: SystemTime,
    completed: Option<Disposition>,
}

impl Cursor {
    /// Takes the next delivery that was read; sequences ascend, with gaps where the journal was damaged.
    pub fn read(&mut self, sequence: Sequence, accepted_at: SystemTime) {
        debug_assert!(self.open.back().is_none_or(|last| last.sequence < sequence));
        self.open.push_back(Slot { sequence, accepted_at, completed: None });
    }

    /// Marks a delivery that was read as completed.
    pub fn complete(&mut self, sequence: Sequence, disposition: Disposition) {
        let Ok(at) = self.open.binary_search_by_key(&sequence, |slot| slot.sequence) else { return };
        self.open[at].completed.get_or_insert(disposition);
        while let Some(Slot { sequence, completed: Some(disposition), .. }) = self.open.front() {
            self.passed.through = *sequence;
            match disposition {
                Disposition::Delivered => self.passed.delivered += 1,
                Disposition::DeadLettered => self.passed.dead_lettered += 1,
                Disposition::Discarded => self.passed.discarded += 1,
            }
            self.open.pop_front();
        }
    }

    /// What the watermark has passed since this was last asked; nothing when it has not moved.
    pub fn take_passed(&mut self) -> Option<Completed> {
        let moved = self.passed.delivered + self.passed.dead_lettered + self.passed.discarded > 0;
        moved.then(|| {
            let through = self.passed.through;
            std::mem::replace(
                &mut self.passed,
                Completed { through, delivered: 0, dead_lettered: 0, discarded: 0 },
            )
        })
    }

    /// When the oldest delivery that is not completed was accepted.
    #[must_use]
    pub fn oldest(&self) -> Option<SystemTime> {
        self.open.front().map(|slot| slot.accepted_at)
    }

    /// Deliveries from the oldest that is not completed to the newest read.
    #[must_use]
    pub fn span(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::BTreeMap, time::Duration};

    fn accepted(sequence: Sequence) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(sequence)
    }

    #[derive(Clone, Debug)]
    enum Step {
        Read { gap: u64 },
        Complete(prop::sample::Index, Disposition),
        Take,
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let dispositions = vec![Disposition::Delivered, Disposition::DeadLettered, Disposition::Discarded];
        prop_oneof![
            (1u64..3).prop_map(|gap| Step::Read { gap }),
            (any::<prop::sample::Index>(), prop::sample::select(dispositions))
                .prop_map(|(which, disposition)| Step::Complete(which, disposition)),
            Just(Step::Take),
        ]
    }

    /// The plain model: a map of all deliveries ever read.
    #[derive(Default)]
    struct Model {
        read: BTreeMap<Sequence, Option<Disposition>>,
        told: Sequence,
    }

    impl Model {
        fn prefix(&self) -> Vec<(Sequence, Disposition)> {
            self.read.iter().map_while(|(sequence, ended)| Some((*sequence, (*ended)?))).collect()
        }

        fn take(&mut self) -> Option<Completed> {
            let passed: Vec<_> =
                self.prefix().into_iter().filter(|(sequence, _)| *sequence > self.told).collect();
            let count =
                |which: Disposition| passed.iter().filter(|(_, ended)| *ended == which).count() as u64;
            let through = passed.last()?.0;
            self.told = through;
            Some(Completed {
                through,
                delivered: count(Disposition::Delivered),
                dead_lettered: count(Disposition::DeadLettered),
                discarded: count(Disposition::Discarded),
            })
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_model(steps in prop::collection::vec(any_step(), 0..80)) {
            let (mut cursor, mut model, mut last) = (Cursor::default(), Model::default(), 0);
            for step in steps {
                match step {
                    Step::Read { gap } => {
                        last += gap;
                        cursor.read(last, accepted(last));
                        model.read.insert(last, None);
                    }
                    Step::Complete(which, disposition) if !model.read.is_empty() => {
                        let sequence = *which.get(&model.read.keys().copied().collect::<Vec<_>>());
                        cursor.complete(sequence, disposition);
                        model.read.get_mut(&sequence).unwrap().get_or_insert(disposition);
                    }
                    Step::Complete(..) => {}
                    Step::Take => prop_assert_eq!(cursor.take_passed(), model.take()),
                }
                let pending = model.read.iter().find(|(_, ended)| ended.is_none());
                prop_assert_eq!(cursor.oldest(), pending.map(|(sequence, _)| accepted(*sequence)));
            }
            prop_assert_eq!(cursor.take_passed(), model.take());
            prop_assert_eq!(cursor.span(), model.read.len() - model.prefix().len());
        }
    }
}
