//! What an answer of the Connector API means for the ids that were asked for (contract 3.3).

use super::*;
use crate::{
    connector::{self, Cause as Why},
    credentials::{Integration, State},
    enricher::{
        coalesce::{Group as Lane, HoldReason},
        latest::News,
    },
    telemetry::{family::Label as _, metrics::enricher::Retry},
};

/// Answers that may fail before one id is suspected: what fails by chance is answered sooner.
const SPLIT_AFTER: u32 = 2;

/// How long a conflict is given to pass.
const CONFLICT_WAIT: Duration = Duration::from_secs(1);

impl Shell {
    pub(super) fn answered(&mut self, answer: Answer) {
        let now = Instant::now();
        let Answer { batch, integration, fetched } = answer;
        let group = batch.group.clone();
        let key = |id: &Arc<str>| Key { group: group.clone(), id: Arc::clone(id) };
        let Fetched { found, missing, failed, fetched_at } = fetched;
        if !(found.is_empty() && missing.is_empty()) {
            self.coalescer.answered_others(&group, now);
        }
        for found in found {
            if self.is_unchanged(&batch, &found) {
                // What was told may not be readable yet (contract 6, 12).
                self.parts.metrics.retries.of(Retry::Unchanged).inc();
                let at = now + self.parts.config.recheck_after;
                self.coalescer.again(&key(&found.id), batch.number, at);
                continue;
            }
            if let Some(round) = self.coalescer.found(&key(&found.id), batch.number, now) {
                let fetch::Found { updated, bytes, operation, .. } = found;
                let found = Entity { updated, bytes, operation: Some(operation), as_of: fetched_at };
                self.publish(round, found, now);
            }
        }
        for id in &missing {
            self.missing(&key(id), &batch, fetched_at, now);
        }
        let answered = match failed {
            None => true,
            Some(failed) => self.failed(&batch, &failed, integration.revision, now),
        };
        if self.coalescer.ended(&batch, answered, now) {
            self.recovered(&group.integration_id, Some(group.entity));
        }
        if answered {
            self.parts.store.accepted(&integration);
        }
    }

    /// Whether what is asked for the first time is as it was published.
    fn is_unchanged(&self, batch: &Batch, found: &fetch::Found) -> bool {
        let known = self.latest.compare(batch.group.entity, &found.id, found.updated, &found.bytes);
        batch.attempt == fetch::Round::First && known == News::Same
    }

    /// Not returned: asked for once more, since reading lags behind writing (contract 6, 12).
    fn missing(&mut self, key: &Key, batch: &Batch, fetched_at: SystemTime, now: Instant) {
        if batch.attempt == fetch::Round::First {
            self.parts.metrics.retries.of(Retry::NotReturned).inc();
            let at = now + self.parts.config.recheck_after;
            return self.coalescer.again(key, batch.number, at);
        }
        let Some(round) = self.coalescer.found(key, batch.number, now) else { return };
        match (round.change, key.group.entity) {
            (Change::Deleted, _) => self.tombstone(round, fetched_at, now),
            (Change::Updated, entity::Entity::Messages) => {
                let detail = "no message thread that this client may see has it".to_owned();
                self.bury(round, DeadLetter::NotVisible, detail, Stage::Enrich, now);
            }
            (Change::Updated, _) => {
                let detail = "not in the answer, asked for twice".to_owned();
                self.bury(round, DeadLetter::NotReturned, detail, Stage::Enrich, now);
            }
        }
    }

    /// Says whether Mews answers this token on this operation, whatever it answers.
    fn failed(&mut self, batch: &Batch, failed: &fetch::Failed, revision: u64, now: Instant) -> bool {
        use connector::Error;
        let group = &batch.group;
        let reason = retry_reason(&failed.error);
        match &failed.error {
            Error::BadRequest(said) => {
                return self.rejected(batch, failed, said, DeadLetter::BadRequest, now);
            }
            Error::Forbidden(said) => return self.rejected(batch, failed, said, DeadLetter::Rejected, now),
            Error::AnswerTooLarge(said) | Error::BodyTooLarge(said)
                if failed.ids.len() == 1 && names_ids(batch, failed) =>
            {
                return self.rejected(batch, failed, said, DeadLetter::TooLarge, now);
            }
            Error::TooHeavy(_)
            | Error::AnswerTooLarge(_)
            | Error::BodyTooLarge(_)
            | Error::Conflict(_)
            | Error::Unavailable { cause: Why::Status(_) | Why::Timeout | Why::Transport(_), .. }
            | Error::Undecodable { .. }
                if self.is_lone(group, failed) =>
            {
                self.parts.metrics.retries.of(reason).inc();
                let key = Key { group: group.clone(), id: Arc::clone(&failed.ids[0]) };
                if let Some(round) = self.coalescer.set_apart(&key, batch.number, now) {
                    self.park_lone(round, now);
                }
                return false;
            }
            Error::Unauthorized(_) => self.unauthorized(group, revision, now),
            Error::TooHeavy(_) | Error::AnswerTooLarge(_) | Error::BodyTooLarge(_) => {
                // What is left of a batch is asked for by itself before its size says anything.
                if failed.ids.len() == batch.ids.len() {
                    self.coalescer.too_heavy(group, failed.ids.len());
                }
                if failed.ids.len() < 2 {
                    self.coalescer.hold(group, HoldReason::Unavailable, None, now);
                }
            }
            Error::Conflict(_) => {
                self.split(batch, failed, now);
                self.coalescer.hold(group, HoldReason::Unavailable, Some(now + CONFLICT_WAIT), now);
            }
            Error::Gone(said) | Error::WrongAddress(said) => {
                tracing::error!(
                    operation = %failed.operation.value(),
                    request = said.request_id.as_deref().unwrap_or_default(),
                    "Mews does not know this operation; a newer version of the bridge may be needed"
                );
                let until = Some(now + self.parts.config.probe_interval);
                self.coalescer.hold(group, HoldReason::Unavailable, until, now);
            }
            Error::Throttled { retry_after, .. } => {
                self.coalescer.hold(group, HoldReason::Throttled, retry_after.map(|wait| now + wait), now);
            }
            Error::Unavailable { cause, retry_after, .. } => {
                if matches!(cause, Why::Timeout) {
                    self.coalescer.unanswered(group, failed.ids.len());
                }
                if matches!(cause, Why::Status(_) | Why::Timeout | Why::Transport(_)) {
                    self.split(batch, failed, now);
                }
                self.coalescer.hold(group, HoldReason::Unavailable, retry_after.map(|wait| now + wait), now);
            }
            Error::Undecodable { .. } => {
                self.split(batch, failed, now);
                self.coalescer.hold(group, HoldReason::Unavailable, None, now);
            }
        }
        self.parts.metrics.retries.of(reason).inc();
        for id in &failed.ids {
            self.coalescer.requeue(&Key { group: group.clone(), id: Arc::clone(id) }, batch.number);
        }
        false
    }

    /// Mews refuses these ids: one of them is dead, of several the bad ones are looked for.
    fn rejected(
        &mut self,
        batch: &Batch,
        failed: &fetch::Failed,
        said: &connector::Said,
        dead: DeadLetter,
        now: Instant,
    ) -> bool {
        // A list that is needed beforehand is refused whatever id it is needed for.
        if failed.ids.len() == 1 || failed.operation.row().ids.is_none() {
            let detail = said.message.clone().unwrap_or_else(|| failed.error.to_string());
            failed.ids.iter().for_each(|id| self.bury_id(batch, id, dead, detail.clone(), now));
        } else {
            self.parts.metrics.retries.of(retry_reason(&failed.error)).inc();
            self.coalescer.apart(&batch.group, batch.number, &failed.ids, now);
        }
        true
    }

    /// An answer that fails each time may fail for one of its ids: from the third time on they are asked
    /// for by halves. It waits between them as it would for all.
    fn split(&mut self, batch: &Batch, failed: &fetch::Failed, now: Instant) {
        let times = self.coalescer.suspect(&batch.group, batch.number, &failed.ids);
        if failed.ids.len() > 1 && (batch.is_apart || times > SPLIT_AFTER) {
            if !batch.is_apart {
                self.coalescer.look_closer(&batch.group);
            }
            self.coalescer.apart(&batch.group, batch.number, &failed.ids, now);
        }
    }

    /// Whether it is one id that fails, and not its lane.
    fn is_lone(&self, group: &Lane, failed: &fetch::Failed) -> bool {
        let [id] = &*failed.ids else { return false };
        self.coalescer.is_lone(&Key { group: group.clone(), id: Arc::clone(id) })
    }

    fn bury_id(&mut self, batch: &Batch, id: &Arc<str>, reason: DeadLetter, detail: String, now: Instant) {
        let key = Key { group: batch.group.clone(), id: Arc::clone(id) };
        if let Some(round) = self.coalescer.found(&key, batch.number, now) {
            self.bury(round, reason, detail, Stage::Enrich, now);
        }
    }

    /// A 401 may concern the token or this operation alone (contract 3.3): only a question that every
    /// token may ask tells.
    fn unauthorized(&mut self, group: &Lane, revision: u64, now: Instant) {
        let integration = self.parts.store.for_event(&group.integration_id, &group.enterprise_id);
        let Some(integration) = integration else { return };
        if integration.revision != revision && integration.is_usable() {
            // Another token came while this one was refused.
            return;
        }
        let first = self.coalescer.hold_of(group).is_none_or(|hold| hold.reason != HoldReason::Unauthorized);
        let until = Some(now + self.parts.config.probe_interval);
        self.coalescer.hold(group, HoldReason::Unauthorized, until, now);
        let Some(token) = integration.access_token.clone().filter(|_| first) else { return };
        tracing::warn!(
            integration_id = %group.integration_id,
            entity = group.entity.value(),
            "Mews refuses an integration, its events wait"
        );
        let (fetcher, store) = (self.fetcher.clone(), self.parts.store.clone());
        self.probes.spawn(async move {
            if let Err(connector::Error::Unauthorized(_)) = fetcher.probe(&token).await {
                store.refused(&integration);
            }
        });
    }

    /// There is nobody to ask as, or no point in it.
    pub(super) fn hold_without_token(
        &mut self,
        batch: &Batch,
        integration: Option<&Integration>,
        now: Instant,
    ) {
        let group = &batch.group;
        let reason = match integration {
            Some(Integration { state: State::Active, access_token: None, .. }) | None => {
                HoldReason::NoCredentials
            }
            Some(_) => HoldReason::Unauthorized,
        };
        // A token that was refused is tried now and then; the others are heard of.
        let until = match integration.map(|each| each.state) {
            Some(State::Unauthorized) => Some(now + self.parts.config.probe_interval),
            _ => None,
        };
        self.coalescer.hold(group, reason, until, now);
        for id in &batch.ids {
            self.coalescer.requeue(&Key { group: group.clone(), id: Arc::clone(id) }, batch.number);
        }
        self.coalescer.ended(batch, false, now);
    }

    /// Something is new of these integrations: what waits for them is tried at once.
    pub(super) fn credentials_changed(&mut self, changed: &std::collections::BTreeSet<String>) {
        let now = Instant::now();
        for integration_id in changed {
            self.coalescer.release(|group| *group.integration_id == **integration_id, now);
            self.recovered(integration_id, None);
            // Its token serves the other integrations of its hotel too.
            let integration = self.parts.store.get(integration_id);
            if let Some(enterprise_id) = integration.and_then(|each| each.enterprise_id.clone()) {
                self.coalescer.release(|group| *group.enterprise_id == *enterprise_id, now);
                self.flow.want(self.book.partitions_of_enterprise(&enterprise_id));
            }
        }
    }
}

/// Whether the request that failed names the ids: the size of a list that is needed beforehand, or of the
/// threads that a message may be in, is not theirs.
fn names_ids(batch: &Batch, failed: &fetch::Failed) -> bool {
    failed.operation.row().ids.is_some() && batch.group.entity != entity::Entity::Messages
}

fn retry_reason(error: &connector::Error) -> Retry {
    use connector::Error;
    match error {
        Error::BadRequest(_) => Retry::BadRequest,
        Error::Unauthorized(_) => Retry::Unauthorized,
        Error::Forbidden(_) => Retry::Forbidden,
        Error::TooHeavy(_) | Error::AnswerTooLarge(_) | Error::BodyTooLarge(_) => Retry::TooLarge,
        Error::Throttled { .. } => Retry::Throttled,
        Error::Conflict(_) => Retry::Conflict,
        Error::Gone(_) | Error::WrongAddress(_) | Error::Unavailable { .. } | Error::Undecodable { .. } => {
            Retry::Unavailable
        }
    }
}
