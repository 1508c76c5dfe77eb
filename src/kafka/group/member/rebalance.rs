//! Partitions come and go.

use std::{
    sync::mpsc::{RecvTimeoutError, channel},
    time::{Duration, Instant, SystemTime},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _, RebalanceProtocol},
};

use super::{Happening, Member, Place, offsets::list_of};
use crate::{
    kafka::group::{
        Release,
        commits::Offsets,
        context::{Rebalanced, unassign},
    },
    telemetry::metrics::enricher::{Commit, Rebalance},
};

/// How long the owner's release is waited for.
const RELEASED_WITHIN: Duration = Duration::from_secs(5);
/// How often there may be room for what the owner has to be told first.
const PUMP: Duration = Duration::from_millis(5);

impl Member<'_> {
    pub(super) fn rebalance(&mut self, rebalanced: Rebalanced) {
        match rebalanced {
            Rebalanced::Assign(list) => self.assign(list),
            Rebalanced::Revoke { list, is_lost } => {
                let places = self.places(&list);
                if is_lost {
                    self.lose(&places);
                } else {
                    self.give_back(&places);
                }
                if let Err(error) = unassign(&self.consumer, &list) {
                    tracing::warn!(%error, "partitions could not be given back");
                }
            }
        }
        let count = i64::try_from(self.assignment.len()).unwrap_or(i64::MAX);
        self.parts.metrics.assigned_partitions.set(count);
    }

    fn assign(&mut self, mut list: TopicPartitionList) {
        let places = self.places(&list);
        for place in places.iter().filter(|place| self.is_replayed(place)) {
            // It is an element of this very list.
            let _ = list.set_partition_offset(&place.topic, place.partition, Offset::Beginning);
        }
        let assigned = match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_assign(&list),
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.assign(&list),
        };
        if let Err(error) = assigned {
            tracing::warn!(%error, "partitions could not be taken");
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
        if self.is_stalled {
            self.stop(&places);
        }
        self.parts.tell(Happening::Assigned(places));
    }

    /// Asks the owner to stop, commits what it says, and forgets the partitions.
    fn give_back(&mut self, places: &[Place]) {
        if places.is_empty() {
            return;
        }
        self.parts.metrics.rebalances.of(Rebalance::Revoked).inc();
        let released = self.ask_back(places);
        // Commits that were asked for before the answer.
        let ended = self.orders();
        let mut offsets = self.commits.take_of(places);
        offsets.extend(released.into_iter().filter(|(place, _)| places.contains(place)));
        offsets.retain(|place, _| self.assignment.is_committed(place));
        self.commit_at_once(&offsets);
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
            match answered.recv_timeout(PUMP) {
                Ok(offsets) => return offsets,
                Err(RecvTimeoutError::Disconnected) => return Vec::new(),
                Err(RecvTimeoutError::Timeout) if Instant::now() > deadline => {
                    tracing::warn!("partitions are given back without a release from their owner");
                    return Vec::new();
                }
                Err(RecvTimeoutError::Timeout) => self.parts.outbox.pump(),
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
        self.forget(places);
        let known = self.parts.outbox.withdraw(places);
        if !known.is_empty() {
            self.parts.tell(Happening::Lost(known));
        }
    }

    fn commit_at_once(&mut self, offsets: &Offsets) {
        if offsets.is_empty() {
            return;
        }
        match self.consumer.commit(&list_of(offsets), CommitMode::Sync) {
            Ok(()) => self.parts.metrics.commits.of(Commit::Ok).inc(),
            Err(error) => {
                self.parts.metrics.commits.of(Commit::Error).inc();
                tracing::warn!(%error, "offsets could not be committed before partitions were given back");
            }
        }
    }

    fn forget(&mut self, places: &[Place]) {
        self.commits.take_of(places);
        self.batch.retain(|record| !places.iter().any(|place| record.is_of(place)));
        self.assignment.remove(places);
        for place in places {
            let labels = [&*place.topic, &place.partition.to_string()];
            // One that was never measured has no label to remove.
            let _ = self.parts.metrics.lag.remove_label_values(&labels);
        }
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
