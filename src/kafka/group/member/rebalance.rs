//! Partitions come and go.

use std::{
    sync::mpsc::{TryRecvError, channel},
    time::{Duration, Instant, SystemTime},
};

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer as _};

use super::{Happening, Member, Place};
use crate::{
    kafka::group::{
        Release,
        context::{Rebalanced, assign, unassign},
    },
    telemetry::metrics::enricher::Rebalance,
};

/// How long the owner's release is waited for.
const RELEASED_WITHIN: Duration = Duration::from_secs(5);
/// How often there may be room for what the owner has to be told first.
const PUMP: Duration = Duration::from_millis(5);

impl Member<'_> {
    pub(super) fn rebalance(&mut self, rebalanced: Rebalanced) {
        match rebalanced {
            Rebalanced::Assign(list) => self.assign(list),
            Rebalanced::Revoke(list) => {
                let places = self.places(&list);
                if self.consumer.assignment_lost() {
                    self.lose(&places);
                } else {
                    self.give_back(&places);
                }
                if let Err(error) = unassign(&self.consumer, &list) {
                    tracing::warn!(%error, "partitions could not be given back");
                }
            }
        }
    }

    /// Answers what librdkafka still waits for, and lets the client close.
    pub(super) fn close(&mut self) {
        for rebalanced in self.rebalances.drain(..) {
            // A client that takes nothing any more is closed all the same.
            let _ = match rebalanced {
                Rebalanced::Assign(list) => assign(&self.consumer, &list),
                Rebalanced::Revoke(list) => unassign(&self.consumer, &list),
            };
        }
        self.consumer.context().close();
    }

    fn assign(&mut self, mut list: TopicPartitionList) {
        let places = self.places(&list);
        for place in places.iter().filter(|place| self.is_replayed(place)) {
            // It is an element of this very list.
            let _ = list.set_partition_offset(&place.topic, place.partition, Offset::Beginning);
        }
        if let Err(error) = assign(&self.consumer, &list) {
            self.failure = Some(format!("partitions could not be taken: {error}"));
            return;
        }
        self.parts.standing.settled(true, self.spoken.name());
        if places.is_empty() {
            return;
        }
        self.parts.metrics.rebalances.of(Rebalance::Assigned).inc();
        tracing::info!(partitions = places.len(), "partitions were assigned to this instance");
        for place in &places {
            let is_replayed = self.is_replayed(place);
            self.assignment.add(place.clone(), is_replayed, SystemTime::now());
        }
        self.count();
        // Before anything is fetched, if there is no room.
        self.make_room();
        self.parts.tell(Happening::Assigned(places));
    }

    /// Asks the owner to stop, notes what may be committed, and forgets the partitions.
    fn give_back(&mut self, places: &[Place]) {
        if places.is_empty() {
            return;
        }
        self.parts.metrics.rebalances.of(Rebalance::Revoked).inc();
        let released = self.ask_back(places);
        // Commits that were asked for before the answer.
        let ended = self.orders();
        self.store(released.into_iter().filter(|(place, _)| places.contains(place)).collect());
        if self.consumer.assignment_lost() {
            self.unstore(places);
        }
        tracing::info!(partitions = places.len(), "partitions of this instance were given back");
        self.forget(places);
        self.end_is_asked = self.end_is_asked.take().or(ended.err());
    }

    /// Waits for the owner's release, but not for long.
    fn ask_back(&mut self, places: &[Place]) -> Vec<(Place, i64)> {
        let deadline = Instant::now() + RELEASED_WITHIN;
        let known = self.parts.outbox.withdraw(places);
        if known.is_empty() {
            return Vec::new();
        }
        let (answer, answered) = channel();
        self.parts.tell(Happening::Revoked { places: known, release: Release::new(answer) });
        loop {
            match answered.try_recv() {
                Ok(offsets) => return offsets,
                Err(TryRecvError::Disconnected) => return Vec::new(),
                Err(TryRecvError::Empty) if Instant::now() > deadline || self.is_fatal => {
                    tracing::warn!("partitions are given back without a release from their owner");
                    return Vec::new();
                }
                // Nothing is fetched meanwhile: librdkafka has paused all until it is answered.
                Err(TryRecvError::Empty) => _ = self.attend(PUMP),
            }
        }
    }

    /// Others own them already.
    pub(super) fn lose(&mut self, places: &[Place]) {
        if places.is_empty() {
            return;
        }
        self.parts.metrics.rebalances.of(Rebalance::Lost).inc();
        tracing::warn!(partitions = places.len(), "partitions were lost to other instances");
        self.parts.standing.settled(false, self.spoken.name());
        self.unstore(places);
        self.forget(places);
        let known = self.parts.outbox.withdraw(places);
        if !known.is_empty() {
            self.parts.tell(Happening::Lost(known));
        }
    }

    fn forget(&mut self, places: &[Place]) {
        self.batch.retain(|record| !places.iter().any(|place| record.is_of(place)));
        let stopped = self.assignment.remove(places);
        self.flow(&stopped);
        self.count();
        for place in places {
            let labels = [&*place.topic, &place.partition.to_string()];
            // One that was never measured has no label to remove.
            let _ = self.parts.metrics.lag.remove_label_values(&labels);
        }
    }

    fn count(&self) {
        let count = i64::try_from(self.assignment.len()).unwrap_or(i64::MAX);
        self.parts.metrics.assigned_partitions.set(count);
    }

    fn places(&self, list: &TopicPartitionList) -> Vec<Place> {
        let settings = &self.parts.settings;
        let known = |name: &str| {
            let mut topics = settings.topics.iter().chain(&settings.replayed);
            topics.find(|topic| ***topic == *name).map_or_else(|| name.into(), std::sync::Arc::clone)
        };
        let elements = list.elements();
        let places = elements
            .iter()
            .map(|element| Place { topic: known(element.topic()), partition: element.partition() });
        places.collect()
    }

    fn is_replayed(&self, place: &Place) -> bool {
        self.parts.settings.replayed.contains(&place.topic)
    }
}
