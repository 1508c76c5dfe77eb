//! Records on their way to Kafka, and what their fate means for the events they answer.

use super::*;
use crate::telemetry::family::Label as _;

impl Shell {
    /// An entity was returned, or carried by its event.
    pub(super) fn publish(&mut self, round: Round, found: Entity, now: Instant) {
        let newest = &round.newest;
        if !self.latest.admits(newest.entity, &newest.id, found.updated, &found.bytes) {
            self.count(&round, EventOutcome::Stale);
            return self.completed(&Purpose::Entity(round), now);
        }
        let record =
            records::entity(&self.parts.names, newest, Some(found.bytes), found.operation, found.as_of);
        self.outbox.push(record, Purpose::Entity(round), now);
    }

    pub(super) fn tombstone(&mut self, round: Round, fetched_at: SystemTime, now: Instant) {
        let newest = &round.newest;
        self.latest.forget(newest.entity, &newest.id);
        let record = records::entity(&self.parts.names, newest, None, None, fetched_at);
        self.outbox.push(record, Purpose::Tombstone(round), now);
    }

    /// The events of a round cannot be enriched: the newest stands for all of them.
    pub(super) fn bury(
        &mut self,
        round: Round,
        reason: DeadLetter,
        detail: String,
        stage: Stage,
        now: Instant,
    ) {
        let cause = Cause { reason, detail, stage, attempts: round.tries };
        self.parts.kafka_metrics.dead_letters.of(stage, reason).inc();
        let outcome = match reason {
            DeadLetter::NotReturned | DeadLetter::NotVisible => EventOutcome::NotFound,
            _ => EventOutcome::Dlq,
        };
        self.count(&round, outcome);
        let record = records::dead_letter(&self.parts.names, &round.newest.original, &cause);
        self.outbox.push(record, Purpose::DeadLetter(round), now);
    }

    pub(super) fn send(&mut self, now: Instant) {
        if self.restart.is_some() {
            return;
        }
        let producer = Arc::clone(&self.parts.producer);
        for settled in self.outbox.send(now, |record, ticket| producer.send(record, ticket)) {
            self.settled(settled, now);
        }
    }

    pub(super) fn reported(&mut self, report: Report) {
        let now = Instant::now();
        let mut next = Some(report);
        for _ in 0..STEPS_MAX {
            let Some(report) = next else { return };
            if report.result.is_ok() {
                self.restart_waits = Backoff::new(RESTART_WAITS.0, RESTART_WAITS.1);
            }
            if let Some(settled) = self.outbox.report(report, now) {
                self.settled(settled, now);
            }
            next = self.reports.try_recv().ok();
        }
        if let Some(report) = next
            && let Some(settled) = self.outbox.report(report, now)
        {
            self.settled(settled, now);
        }
    }

    pub(super) fn settled(&mut self, settled: Settled, now: Instant) {
        match settled {
            Settled::Taken(purpose) => {
                if let Purpose::Entity(round) | Purpose::Tombstone(round) = &purpose {
                    self.published(round, matches!(purpose, Purpose::Entity(_)), now);
                }
                self.completed(&purpose, now);
            }
            Settled::Parked { purpose, offset } => {
                self.completed(&purpose, now);
                if let Purpose::Park(round, reason) = purpose {
                    self.parked(&round, reason, offset, now);
                }
            }
            Settled::Late { purpose, is_disowned } => self.late(purpose, is_disowned, now),
            Settled::Refused { purpose, reason, detail, attempts } => {
                self.refused(purpose, reason, detail, attempts, now);
            }
        }
    }

    pub(super) fn refused(
        &mut self,
        purpose: Purpose,
        reason: DeadLetter,
        detail: String,
        attempts: u32,
        now: Instant,
    ) {
        match purpose {
            Purpose::Entity(round) | Purpose::Tombstone(round) => {
                self.latest.forget(round.newest.entity, &round.newest.id);
                let round = Round { tries: attempts, ..round };
                self.bury(round, reason, detail, Stage::Publish, now);
            }
            // Parking is a convenience: without it the event is a dead letter at once.
            Purpose::Park(round, _) => self.bury(round, reason, detail, Stage::Enrich, now),
            Purpose::DeadLetter(_) | Purpose::Dead(_) | Purpose::Unpark => {
                for origin in purpose.origins() {
                    tracing::error!(
                        detail,
                        dead_letters = %self.parts.names.dead_letters(),
                        topic = %origin.topic,
                        partition = origin.partition,
                        offset = origin.offset,
                        "not even the dead letters take an event, it stays on its topic only; raise max.message.bytes of the dead letters"
                    );
                }
                self.completed(&purpose, now);
            }
        }
    }

    /// What a record was for is done: its events are behind us.
    pub(super) fn completed(&mut self, purpose: &Purpose, now: Instant) {
        purpose.origins().iter().for_each(|origin| self.offsets.complete(origin));
        if let Purpose::Entity(round) | Purpose::Tombstone(round) | Purpose::DeadLetter(round) = purpose
            && let Some(offset) = round.parked.max(round.answers)
        {
            self.unpark(&round.newest, offset, now);
        }
    }

    /// It is remembered for as long as it may come out that its partition was lost before.
    pub(super) fn late(&mut self, purpose: Purpose, is_disowned: bool, now: Instant) {
        if let Purpose::Entity(round) | Purpose::Tombstone(round) = &purpose {
            self.published(round, matches!(purpose, Purpose::Entity(_)), now);
        }
        self.completed(&purpose, now);
        match purpose {
            Purpose::Entity(round) | Purpose::Tombstone(round) if is_disowned => {
                self.overwritten(vec![round], now);
            }
            Purpose::Entity(round) | Purpose::Tombstone(round) => self.late.push_back((now, round)),
            _ => {}
        }
    }

    pub(super) fn published(&self, round: &Round, is_entity: bool, now: Instant) {
        let entity = round.newest.entity;
        // Where the traces of the webhooks that were coalesced come together.
        tracing::debug!(
            entity = entity.value(),
            id = %round.newest.id,
            traceparent = round.newest.traceparent(),
            links = ?round.links,
            "an entity's record is published"
        );
        self.count(round, if is_entity { EventOutcome::Enriched } else { EventOutcome::Tombstone });
        let metrics = &self.parts.metrics;
        metrics.processing_duration.of(entity).observe(now.duration_since(round.since).as_secs_f64());
        let latency = round.newest.accepted_at.elapsed().unwrap_or_default();
        metrics.end_to_end_latency.of(entity).observe(latency.as_secs_f64());
    }

    /// The newest event of a round has this outcome, and the others shared its fetch, whenever they joined.
    pub(super) fn count(&self, round: &Round, outcome: EventOutcome) {
        let events = &self.parts.metrics.events;
        let others = round.events().saturating_sub(1);
        events.of(round.newest.entity, outcome).inc();
        events.of(round.newest.entity, EventOutcome::Coalesced).inc_by(others as u64);
    }
}
