//! How much is taken in: consumption pauses before memory grows, and while the whole API is away.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{enricher::offsets::Partition, kafka::group::Place, telemetry::metrics::connector::Circuit};

/// Events that are taken and not completed, over all partitions: several times what one may have.
const PENDING_MAX: usize = 100_000;
/// Bytes of events that wait to be fetched or are being sent.
const BYTES_MAX: usize = 128 << 20;
/// The same on one partition: what a crash repeats of it at most.
const SPAN_MAX: usize = 25_000;
/// Records that are being sent.
pub(super) const OUTBOX_MAX: usize = 20_000;
/// Time between two readings of a parked partition, at least; a reading that takes long is followed by
/// a longer rest.
const REWIND_REST: (Duration, u32) = (Duration::from_secs(2), 10);

/// What flows and what does not.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// As it was when it was last looked at.
    circuit: Option<Circuit>,
    pub(super) assigned: BTreeSet<Place>,
    paused: BTreeSet<Place>,
    /// What is taken was too much, and is not yet half of that.
    is_full: bool,
    /// Parked partitions that have not been read to their end, since when.
    replaying: BTreeMap<i32, Instant>,
    /// Those that are to be read again, and until when those that were read are left alone.
    wanted: BTreeSet<i32>,
    rested_at: BTreeMap<i32, Instant>,
}

impl Flow {
    pub(super) fn replayed(&mut self, partition: i32, now: Instant) {
        if let Some(began) = self.replaying.remove(&partition) {
            let rest = REWIND_REST.0.max(now.duration_since(began) * REWIND_REST.1);
            self.rested_at.insert(partition, now + rest);
        }
    }

    pub(super) fn want(&mut self, partitions: impl IntoIterator<Item = i32>) {
        self.wanted.extend(partitions);
    }

    /// The same, but of one that is being read it is not known before its end whether it has to be.
    pub(super) fn want_when_read(&mut self, partitions: BTreeSet<i32>) {
        self.wanted.extend(partitions.into_iter().filter(|each| !self.replaying.contains_key(each)));
    }

    pub(super) fn assign(&mut self, places: impl IntoIterator<Item = Place>, parked: &str, now: Instant) {
        for place in places {
            if &*place.topic == parked {
                self.replaying.insert(place.partition, now);
            }
            self.assigned.insert(place);
        }
    }

    pub(super) fn let_go(&mut self, places: &[Place], parked: &str) {
        for place in places {
            self.assigned.remove(place);
            self.paused.remove(place);
            if &*place.topic == parked {
                self.wanted.remove(&place.partition);
                self.replaying.remove(&place.partition);
                self.rested_at.remove(&place.partition);
            }
        }
    }

    /// Parked partitions that are to be read again now.
    fn rewinds(&mut self, parked: &Arc<str>, now: Instant) -> Vec<Place> {
        let Self { wanted, replaying, rested_at, assigned, .. } = self;
        let is_rested = |partition: &i32| rested_at.get(partition).is_none_or(|at| now >= *at);
        let ready: Vec<i32> =
            wanted.iter().copied().filter(|each| !replaying.contains_key(each) && is_rested(each)).collect();
        for partition in &ready {
            wanted.remove(partition);
        }
        let places = ready.into_iter().map(|partition| Place { topic: Arc::clone(parked), partition });
        let places: Vec<_> = places.filter(|place| assigned.contains(place)).collect();
        replaying.extend(places.iter().map(|place| (place.partition, now)));
        places
    }
}

impl Shell {
    /// Partitions that are not read for now.
    pub(super) fn paused(&self) -> usize {
        self.flow.paused.len()
    }

    /// While consumption is paused because the API is away, perhaps nothing is left to ask for: then a
    /// question that every token may ask finds out whether it is back.
    pub(super) fn look_for_api(&mut self) {
        let is_half_open = self.parts.client.breaker().state() == Circuit::HalfOpen;
        if !is_half_open || !self.fetches.is_empty() || !self.probes.is_empty() {
            return;
        }
        let integrations = self.parts.store.all();
        let Some(token) = integrations.iter().find_map(|each| each.token_to_try().cloned()) else { return };
        let fetcher = self.fetcher.clone();
        self.probes.spawn(async move {
            // The breaker hears how it ended.
            let _ = fetcher.probe(&token).await;
        });
    }

    pub(super) fn regulate(&mut self, now: Instant) {
        let circuit = self.parts.client.breaker().state();
        let away = circuit != Circuit::Closed;
        if away {
            self.coalescer.excuse(now);
        }
        if self.flow.circuit.replace(circuit) != Some(circuit) && circuit != Circuit::Open {
            self.coalescer.retry(now);
        }
        // Resumed at half, so that it does not flutter.
        let bound = if self.flow.is_full { 2 } else { 1 };
        self.flow.is_full = self.offsets.pending() > PENDING_MAX / bound
            || self.offsets.bytes() > BYTES_MAX / bound
            || self.coalescer.len() > PENDING_MAX / bound;
        let (too_long, long): (BTreeSet<&Partition>, BTreeSet<&Partition>) =
            (self.offsets.longer_than(SPAN_MAX).collect(), self.offsets.longer_than(SPAN_MAX / 2).collect());
        let is_long = |place: &Place| {
            let partition = (Arc::clone(&place.topic), place.partition);
            too_long.contains(&partition) || (self.flow.paused.contains(place) && long.contains(&partition))
        };
        let stopped = |place: &Place| away || self.flow.is_full || is_long(place);
        let paused: BTreeSet<Place> =
            self.flow.assigned.iter().filter(|place| stopped(place)).cloned().collect();
        if paused != self.flow.paused {
            let resume: Vec<_> = self.flow.paused.difference(&paused).cloned().collect();
            let pause: Vec<_> = paused.difference(&self.flow.paused).cloned().collect();
            if !resume.is_empty() {
                self.group.resume(resume);
            }
            if !pause.is_empty() {
                self.group.pause(pause);
            }
            let why = match (away, self.flow.is_full, paused.is_empty()) {
                (_, _, true) => "nothing",
                (true, ..) => "the Connector API is away",
                (_, true, _) => "more is taken than is done",
                _ => "records at the head of partitions take long",
            };
            tracing::info!(paused = paused.len(), why, "partitions are paused until there is less to do");
            self.parts.metrics.paused_partitions.set(i64::try_from(paused.len()).unwrap_or(i64::MAX));
            self.flow.paused = paused;
        }
        let rewinds = self.flow.rewinds(&self.parts.names.parked(), now);
        if !rewinds.is_empty() {
            self.group.rewind(rewinds);
        }
    }
}
