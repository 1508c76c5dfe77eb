//! Offsets: where partitions are read on, begin and end.

use std::time::{Duration, Instant, SystemTime};

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer as _};

use super::{Member, Place};
use crate::kafka::group::statistics::GroupStatistics;

/// How long the thread may stand still for one question; it waits behind a fetch, which takes 500 ms when
/// there is nothing to fetch.
const ASK_MAX: Duration = Duration::from_secs(1);
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(2);

impl Member<'_> {
    /// Stores what librdkafka is to commit: within a second, and before it lets the partition go.
    pub(super) fn store(&self, mut offsets: Vec<(Place, i64)>) {
        offsets.retain(|(place, _)| self.assignment.is_committed(place));
        self.store_at(offsets.into_iter().map(|(place, next)| (place, Offset::Offset(next))));
    }

    /// Takes back what was stored of partitions and is not committed.
    pub(super) fn unstore(&self, places: &[Place]) {
        self.store_at(places.iter().map(|place| (place.clone(), Offset::Invalid)));
    }

    fn store_at(&self, offsets: impl Iterator<Item = (Place, Offset)>) {
        let list = list_of(offsets);
        if list.count() == 0 {
            return;
        }
        if let Err(error) = self.consumer.store_offsets(&list) {
            tracing::warn!(%error, "the consumer group's client did not take offsets to commit");
        }
    }

    /// Sets partitions to their beginning; one that librdkafka is about to start has to wait.
    pub(super) fn rewind(&mut self) {
        let places = self.assignment.rewinding();
        if places.is_empty() {
            return;
        }
        let list = list_of(places.iter().map(|place| (place.clone(), Offset::Beginning)));
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
        let list = list_of(places.iter().map(|place| (place.clone(), Offset::End)));
        if let Ok(ends) = self.consumer.offsets_for_times(list, ASK_MAX) {
            for place in &places {
                if let (Some(end), Some(replay)) = (offset_in(&ends, place), self.assignment.replay(place)) {
                    replay.ends(end);
                }
            }
        }
        self.ask_ends_at = Instant::now() + ASK_AGAIN_AFTER;
    }

    /// Takes from the statistics what they say of assigned partitions.
    pub(super) fn measure(&mut self, statistics: &GroupStatistics) {
        for place in self.assignment.places() {
            let Some(partition) = statistics.of(&place) else { continue };
            // Who has no coordinator waits for good reason.
            let is_read = !statistics.is_settled() || partition.is_read();
            if self.assignment.is_stuck(&place, is_read, Instant::now()) {
                self.failure =
                    Some(format!("{} [{}] is assigned and not read", place.topic, place.partition));
            }
            if let (true, Some(lag)) = (self.assignment.is_committed(&place), partition.lag()) {
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
fn list_of(offsets: impl Iterator<Item = (Place, Offset)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (place, offset) in offsets {
        list.add_partition(&place.topic, place.partition);
        // The element is the one just added.
        let _ = list.set_partition_offset(&place.topic, place.partition, offset);
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
