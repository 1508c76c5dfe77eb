//! Parked events: written when their integration is held up, read again when it is not.

use super::*;
use crate::{
    enricher::{
        coalesce::HoldReason,
        parked::{self, Parked},
    },
    kafka::group::Place,
    telemetry::family::Label as _,
};

impl Shell {
    pub(super) fn park(&mut self, rounds: Vec<Round>, reason: HoldReason, now: Instant) {
        let at = SystemTime::now();
        if let Some(Round { newest, .. }) = rounds.first() {
            tracing::info!(
                integration_id = %newest.integration_id,
                entity = newest.entity.value(),
                reason = reason.value(),
                entities = rounds.len(),
                "an integration is held up, what it waits for is parked"
            );
        }
        for round in rounds {
            let since = at - now.duration_since(round.since);
            let record = records::parked(&self.parts.names, &round, reason, since);
            self.count(&round, EventOutcome::Parked);
            self.outbox.push(record, Purpose::Park(round, reason), now);
        }
    }

    /// One entity that Mews does not return while it returns the others. What was parked before stays so.
    pub(super) fn park_lone(&mut self, round: Round, now: Instant) {
        if !round.origins.is_empty() || self.unfetchable(&round.newest).is_none() {
            self.park(vec![round], HoldReason::Unfetchable, now);
        } else {
            self.book.put_back(records::parked_key(&round.newest).as_bytes());
        }
    }

    /// Where it is parked because Mews did not return it though it returned others.
    pub(super) fn unfetchable(&self, event: &Event) -> Option<i64> {
        let is_any = self.book.has_unfetchable();
        is_any.then(|| self.book.unfetchable(records::parked_key(event).as_bytes())).flatten()
    }

    /// It is on the topic now: what was parked before under its key is answered by it.
    pub(super) fn parked(&mut self, round: &Round, reason: HoldReason, offset: i64, now: Instant) {
        let (event, since) = (&round.newest, SystemTime::now() - now.duration_since(round.since));
        // One that was parked before is parked since then.
        let since = records::parked_since(&event.original).map_or(since, |before| before.min(since));
        let key = records::parked_key(event);
        // Its partition may have been given back while it was on its way.
        let place = Place { topic: self.parts.names.parked(), partition: event.original.origin.partition };
        if self.flow.assigned.contains(&place) {
            self.book.enter(key.as_bytes(), Parked::of(event, offset, since, reason));
        }
    }

    /// A record of the parked topic: it is taken up if it can be fetched, else only remembered.
    pub(super) fn read_parked(&mut self, original: Original, now: Instant) {
        let (key, offset) = (original.key.clone(), original.origin.offset);
        if original.value.is_none() {
            return self.read_unparked(&key, offset);
        }
        let at = SystemTime::now();
        let since = records::parked_since(&original).unwrap_or(original.timestamp);
        let reason = records::parked_reason(&original).unwrap_or(HoldReason::Unavailable);
        let Ok(event) = Event::read(records::restored(original)) else {
            tracing::warn!(key = %String::from_utf8_lossy(&key), "a parked record cannot be read and stays where it is");
            return;
        };
        let is_overdue = parked::is_overdue(since, self.parts.config.park_limit, at);
        if is_overdue && self.book.take(&key, offset) {
            return self.bury_parked(event, offset, reason, since, now);
        }
        self.book.enter(&key, Parked::of(&event, offset, since, reason));
        if is_overdue {
            // Read for the first time, so what answers it may come behind it; or it is in work.
            return;
        }
        if reason == HoldReason::Overwritten {
            self.latest.forget(event.entity, &event.id);
        }
        if self.can_be_fetched(&event) {
            self.book.take(&key, offset);
            self.wait(event, Some(offset), now);
        }
    }

    /// What was parked was answered: it need not be fetched if it has just been read before.
    fn read_unparked(&mut self, key: &[u8], offset: i64) {
        let Some(parked) = self.book.strike(key, offset) else { return };
        if let Some((enterprise_id, id)) = records::parked_parts(key) {
            let (integration_id, entity) = (parked.integration_id, parked.entity);
            let group =
                super::super::coalesce::Group { integration_id, enterprise_id: enterprise_id.into(), entity };
            self.coalescer.unparked(&Key { group, id: id.into() });
        }
    }

    fn can_be_fetched(&self, event: &Event) -> bool {
        let group = crate::enricher::coalesce::Group {
            integration_id: Arc::clone(&event.integration_id),
            enterprise_id: Arc::clone(&event.enterprise_id),
            entity: event.entity,
        };
        let integration = self.parts.store.for_event(&event.integration_id, &event.enterprise_id);
        self.coalescer.hold_of(&group).is_none() && integration.is_some_and(|each| each.is_usable())
    }

    fn bury_parked(
        &mut self,
        event: Event,
        offset: i64,
        reason: HoldReason,
        since: SystemTime,
        now: Instant,
    ) {
        let dead = match reason {
            HoldReason::NoCredentials => DeadLetter::NoCredentials,
            HoldReason::Unauthorized => DeadLetter::Unauthorized,
            HoldReason::Throttled
            | HoldReason::Unavailable
            | HoldReason::Overwritten
            | HoldReason::Unfetchable => DeadLetter::ParkedTooLong,
        };
        let detail = format!("parked since {}: {}", humantime::format_rfc3339_seconds(since), reason.value());
        self.bury(Round::of(event, Some(offset), now), dead, detail, Stage::Enrich, now);
    }

    /// A parked event was answered; unless it was parked once more meanwhile, it waits no longer.
    pub(super) fn unpark(&mut self, event: &Event, offset: i64, now: Instant) {
        let key = records::parked_key(event);
        if self.book.is_last(key.as_bytes(), offset)
            && !self.outbox.sends(&self.parts.names.parked(), key.as_bytes())
        {
            self.outbox.push(records::unparked(&self.parts.names, event), Purpose::Unpark, now);
        }
    }

    /// Records that arrived late, of partitions that were lost meanwhile: the new owner may have written a
    /// newer state before, which they have overwritten. It is asked to fetch them once more.
    pub(super) fn overwritten(&mut self, rounds: Vec<Round>, now: Instant) {
        if !rounds.is_empty() {
            tracing::warn!(
                entities = rounds.len(),
                "records arrived after their partition was lost, its owner fetches them once more"
            );
            // Nothing of it is this instance's any more.
            let orphans =
                rounds.into_iter().map(|round| Round { origins: Vec::new(), parked: None, ..round });
            self.park(orphans.collect(), HoldReason::Overwritten, now);
        }
    }

    /// What is parked of an integration can be fetched, perhaps.
    pub(super) fn recovered(&mut self, integration_id: &str, entity: Option<entity::Entity>) {
        let partitions = self.book.partitions_of(integration_id, entity);
        if !partitions.is_empty() {
            tracing::info!(
                integration_id,
                entity = entity.map(|entity| entity.value()),
                "an integration may be asked for again, what is parked of it is taken up"
            );
        }
        self.flow.want(partitions);
    }

    pub(super) fn tick(&mut self, now: Instant) {
        if now >= self.retry_at {
            self.retry_at = now + RETRY_EVERY;
            self.flow.want(self.book.partitions_of_unfetchable());
        }
        let overdue = self.book.overdue(self.parts.config.park_limit, SystemTime::now());
        self.flow.want_when_read(overdue);
        // Whoever is paged by the figures finds them explained.
        self.show();
        let metrics = &self.parts.metrics;
        for (reason, count) in self.book.count() {
            metrics.parked_records.of(reason).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        let oldest = self.book.oldest().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        metrics.oldest_parked.set(oldest.map_or(0.0, |at| at.as_secs_f64()));
        self.look_for_api();
    }
}
