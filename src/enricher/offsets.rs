//! Which offsets may be committed: those before the first record that is not completed.
//!
//! ```text
//!        committable ▼
//!   done done done   open done open done        ◄── taken
//!                    └──── span ────────┘
//! ```
//!
//! Records complete in any order, offsets are committed in theirs, so a crash repeats some and loses
//! none. The span is what a crash would repeat at most, and what is remembered; its owner pauses a
//! partition whose span is too long. Pure.

use std::{collections::VecDeque, sync::Arc, time::SystemTime};

use super::event::Origin;
use crate::hash::HashMap;

/// A partition of a topic.
pub type Partition = (Arc<str>, i32);

/// The records of all assigned partitions that were taken and are not committed.
#[derive(Debug, Default)]
pub struct Offsets(HashMap<Partition, Taken>);

#[derive(Debug, Default)]
struct Taken {
    /// Offsets ascend, with gaps where compaction or transactions left some.
    records: VecDeque<Record>,
    /// Of the records that are open.
    bytes: usize,
    /// When the newest record before the open ones was accepted.
    accepted_at: Option<SystemTime>,
    /// What a commit would say, and what it said last.
    next: Option<i64>,
    told: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    offset: i64,
    state: State,
    bytes: usize,
    accepted_at: SystemTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Done,
}

impl Offsets {
    /// Takes the next record of its partition, and says how large it is and when it was accepted.
    pub fn take(&mut self, origin: &Origin, bytes: usize, accepted_at: SystemTime) {
        let taken = self.0.entry((Arc::clone(&origin.topic), origin.partition)).or_default();
        if taken.records.back().is_some_and(|last| origin.offset <= last.offset) {
            // The topic is another than it was: what was taken of it before is no more.
            *taken = Taken::default();
        }
        taken.bytes += bytes;
        taken.records.push_back(Record { offset: origin.offset, state: State::Open, bytes, accepted_at });
    }

    /// A record is completed; one of a partition that was let go is nobody's any more.
    pub fn complete(&mut self, origin: &Origin) {
        let Some(taken) = self.0.get_mut(&(Arc::clone(&origin.topic), origin.partition)) else { return };
        let Ok(at) = taken.records.binary_search_by_key(&origin.offset, |record| record.offset) else {
            return;
        };
        let record = &mut taken.records[at];
        record.state = State::Done;
        taken.bytes -= std::mem::take(&mut record.bytes);
        while let Some(Record { offset, accepted_at, .. }) =
            taken.records.pop_front_if(|record| record.state == State::Done)
        {
            taken.next = Some(offset + 1);
            taken.accepted_at = taken.accepted_at.max(Some(accepted_at));
        }
    }

    /// What can be committed and was not told before.
    pub fn committable(&mut self) -> Vec<(Partition, i64)> {
        let moved = self.0.iter_mut().filter(|(_, taken)| taken.next != taken.told);
        moved
            .filter_map(|(partition, taken)| {
                taken.told = taken.next;
                Some((partition.clone(), taken.next?))
            })
            .collect()
    }

    /// Lets partitions go, and says what can be committed of them.
    pub fn release(&mut self, partitions: impl IntoIterator<Item = Partition>) -> Vec<(Partition, i64)> {
        let released = partitions.into_iter().filter_map(|each| self.0.remove_entry(&each));
        released.filter_map(|(partition, taken)| Some((partition, taken.next?))).collect()
    }

    /// Partitions with a longer span: the records from the first that is not completed to the last taken.
    pub fn longer_than(&self, span: usize) -> impl Iterator<Item = &Partition> {
        self.0.iter().filter(move |(_, taken)| taken.records.len() > span).map(|(partition, _)| partition)
    }

    /// Bytes of all records that are taken and not completed.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.values().map(|taken| taken.bytes).sum()
    }

    /// When the newest committable record of each topic was accepted.
    pub fn accepted(&self) -> impl Iterator<Item = (&Arc<str>, SystemTime)> {
        self.0.iter().filter_map(|((topic, _), taken)| Some((topic, taken.accepted_at?)))
    }

    /// All records that are taken and not committable.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.0.values().map(|taken| taken.records.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    fn origin(offset: i64) -> Origin {
        Origin { topic: "t".into(), partition: 0, offset }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Take { gap: i64 },
        Complete(prop::sample::Index),
        Commit,
    }

    proptest! {
        /// The model: every record ever taken, and whether it is done.
        #[test]
        fn what_is_committed_was_completed_and_nothing_is_forgotten(steps in prop::collection::vec(prop_oneof![
            (1i64..4).prop_map(|gap| Step::Take { gap }),
            any::<prop::sample::Index>().prop_map(Step::Complete),
            Just(Step::Commit),
        ], 0..100)) {
            let (mut offsets, mut model, mut last, mut told) = (Offsets::default(), BTreeMap::new(), -1, None);
            for step in steps {
                match step {
                    Step::Take { gap } => {
                        last += gap;
                        offsets.take(&origin(last), 10, SystemTime::UNIX_EPOCH);
                        model.insert(last, false);
                    }
                    Step::Complete(which) if !model.is_empty() => {
                        let offset = *which.get(&model.keys().copied().collect::<Vec<_>>());
                        offsets.complete(&origin(offset));
                        model.insert(offset, true);
                    }
                    Step::Complete(_) => {}
                    Step::Commit => {
                        let done = model.iter().take_while(|(_, done)| **done).last().map(|(offset, _)| offset + 1);
                        let expected = if done == told { None } else { done };
                        told = done;
                        let committed = offsets.committable();
                        prop_assert_eq!(committed.first().map(|(_, next)| *next), expected);
                        prop_assert!(committed.len() < 2);
                    }
                }
                let open = model.iter().skip_while(|(_, done)| **done).count();
                prop_assert_eq!(offsets.pending(), open);
                prop_assert_eq!(offsets.bytes(), 10 * model.values().filter(|done| !**done).count());
                prop_assert_eq!(offsets.longer_than(3).count(), usize::from(open > 3));
            }
            let done = model.iter().take_while(|(_, done)| **done).last().map(|(offset, _)| offset + 1);
            let released = offsets.release([("t".into(), 0)]);
            prop_assert_eq!(released.first().map(|(_, next)| *next), done);
            offsets.complete(&origin(last));
            prop_assert!(offsets.committable().is_empty());
        }
    }
}
