//! Partitions come and go: nothing is published of one that was given back.

use std::collections::BTreeSet;

use super::*;
use crate::{enricher::offsets::Partition, kafka::group::Place};

/// How long what was sent is waited for before a partition is given back.
const SETTLE_WITHIN: Duration = Duration::from_secs(4);

/// A committable offset as the consumer takes it.
pub(super) fn place_of(((topic, partition), next): (Partition, i64)) -> (Place, i64) {
    (Place { topic, partition }, next)
}

impl Shell {
    pub(super) fn assigned(&mut self, places: Vec<Place>) {
        // Others may have published meanwhile.
        self.latest.clear();
        self.flow.assign(places, &self.parts.names.parked(), Instant::now());
    }

    /// Stops what is pending of these places, waits for what was sent, and says what may be committed.
    pub(super) async fn revoked(&mut self, places: &[Place]) -> Vec<(Place, i64)> {
        self.forget(places);
        let deadline = tokio::time::Instant::now() + SETTLE_WITHIN;
        let gone: BTreeSet<_> = places.iter().cloned().collect();
        while self.outbox.holds(|origin| gone.contains(&place(origin))) {
            self.send(Instant::now());
            tokio::select! {
                Some(report) = self.reports.recv() => self.reported(report),
                () = tokio::time::sleep_until(deadline) => break,
            }
        }
        self.outbox.disown(|origin| gone.contains(&place(origin)));
        self.release(places)
    }

    /// Others have these places already.
    pub(super) fn lost(&mut self, places: &[Place]) {
        self.forget(places);
        self.release(places);
        self.quiet_until = None;
        let gone: BTreeSet<_> = places.iter().cloned().collect();
        let is_gone = |origin: &Origin| gone.contains(&place(origin));
        self.outbox.disown(is_gone);
        let late = std::mem::take(&mut self.late).into_iter();
        let (theirs, ours): (Vec<_>, Vec<_>) = late.partition(|(_, round)| round.origins.iter().any(is_gone));
        self.late = ours.into();
        self.overwritten(theirs.into_iter().map(|(_, round)| round).collect(), Instant::now());
    }

    fn forget(&mut self, places: &[Place]) {
        let gone: BTreeSet<_> = places.iter().cloned().collect();
        self.coalescer.let_go(|origin| gone.contains(&place(origin)), Instant::now());
        let parked = self.parts.names.parked();
        self.flow.let_go(places, &parked);
        let parked = places.iter().filter(|place| place.topic == parked).map(|place| place.partition);
        self.book.let_go(&parked.collect());
    }

    fn release(&mut self, places: &[Place]) -> Vec<(Place, i64)> {
        let partitions: Vec<_> =
            places.iter().map(|place| (Arc::clone(&place.topic), place.partition)).collect();
        self.offsets.release(partitions).into_iter().map(place_of).collect()
    }
}

fn place(origin: &Origin) -> Place {
    Place { topic: Arc::clone(&origin.topic), partition: origin.partition }
}
