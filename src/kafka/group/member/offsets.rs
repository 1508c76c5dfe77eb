//! Offsets: where partitions are read, committed, and end.

use std::time::{Duration, Instant, SystemTime};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
};

use super::{Member, Place};
use crate::{
    kafka::group::{
        commits::Offsets,
        context::Committed,
        statistics::{GroupStatistics, Partition},
    },
    telemetry::metrics::enricher::Commit,
};

/// How long the thread may stand still for one question.
const ASK_MAX: Duration = Duration::from_secs(1);
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

impl Member<'_> {
    /// Commits what is wanted, one request at a time.
    pub(super) fn commit(&mut self) {
        let assignment = &self.assignment;
        let now = Instant::now();
        let Some(offsets) = self.commits.take(now, |place| assignment.is_committed(place)) else { return };
        if let Err(error) = self.consumer.commit(&list_of(&offsets), CommitMode::Async) {
            self.committed(&Committed { offsets, failure: Some(error.to_string()) });
        }
    }

    /// Hears how a commit ended.
    pub(super) fn committed(&mut self, committed: &Committed) {
        let is_ok = committed.failure.is_none();
        if !self.commits.answered(&committed.offsets, is_ok, Instant::now()) {
            return;
        }
        self.parts.metrics.commits.of(if is_ok { Commit::Ok } else { Commit::Error }).inc();
        if let Some(error) = &committed.failure {
            tracing::warn!(error, "offsets could not be committed and are tried again");
        }
    }

    /// Sets partitions to their beginning; one that librdkafka is about to start has to wait.
    pub(super) fn rewind(&mut self) {
        let places = self.assignment.rewinding();
        if places.is_empty() {
            return;
        }
        let list = list_at(&places, Offset::Beginning);
        let Ok(done) = self.consumer.seek_partitions(list, ASK_MAX) else { return };
        for place in places {
            let is_done = done
                .find_partition(&place.topic, place.partition)
                .is_some_and(|element| element.error().is_ok());
            if is_done {
                self.assignment.rewound(&place, SystemTime::now());
                self.ask_ends_at = Instant::now();
            }
        }
    }

    /// Asks where the replayed partitions end that have begun.
    pub(super) fn ask_ends(&mut self) {
        let places = self.assignment.endless();
        if places.is_empty() || Instant::now() < self.ask_ends_at {
            return;
        }
        let ask = |at| self.consumer.offsets_for_times(list_at(&places, at), ASK_MAX);
        if let (Ok(lows), Ok(highs)) = (ask(Offset::Beginning), ask(Offset::End)) {
            for place in &places {
                if let (Some(low), Some(high)) = (offset_in(&lows, place), offset_in(&highs, place))
                    && let Some(replay) = self.assignment.replay(place)
                {
                    replay.spans(low, high);
                }
            }
        }
        self.ask_ends_at = Instant::now() + ASK_AGAIN_AFTER;
    }

    /// Takes from the statistics what they say of assigned partitions.
    pub(super) fn measure(&mut self, statistics: &GroupStatistics) {
        for place in self.assignment.places().iter().filter(|place| self.assignment.is_committed(place)) {
            if let Some(lag) = statistics.of(place).and_then(Partition::lag) {
                let labels = [&*place.topic, &place.partition.to_string()];
                self.parts.metrics.lag.with_label_values(&labels).set(lag);
            }
        }
        for (place, _, replay) in self.assignment.replays() {
            if let Some(partition) = statistics.of(place) {
                replay.fetched(partition.next_offset, statistics.made_at());
            }
        }
    }
}

/// Offsets as librdkafka takes them.
pub(super) fn list_of(offsets: &Offsets) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (place, offset) in offsets {
        list.add_partition(&place.topic, place.partition);
        // The element is the one just added, and a whole number is an offset.
        let _ = list.set_partition_offset(&place.topic, place.partition, Offset::Offset(*offset));
    }
    list
}

fn list_at(places: &[Place], at: Offset) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(places.len());
    for place in places {
        list.add_partition(&place.topic, place.partition);
        // The element is the one just added.
        let _ = list.set_partition_offset(&place.topic, place.partition, at);
    }
    list
}

fn offset_in(list: &TopicPartitionList, place: &Place) -> Option<i64> {
    let element = list.find_partition(&place.topic, place.partition)?;
    match (element.error(), element.offset()) {
        (Ok(()), Offset::Offset(offset)) => Some(offset),
        _ => None,
    }
}
