//! From Kafka's records to events that wait to be fetched.

use super::*;
use crate::enricher::config::EmbeddedEntities;

impl Shell {
    pub(super) fn consumed(&mut self, record: Consumed, now: Instant) {
        let original = original(record);
        if original.origin.topic == self.parts.names.parked() {
            return self.read_parked(original, now);
        }
        let (origin, bytes) = (original.origin.clone(), original.size());
        match Event::read(original) {
            Ok(event) => {
                self.offsets.take(&origin, bytes, event.accepted_at);
                self.take(event, now);
            }
            Err(unreadable) => {
                let (original, why) = *unreadable;
                self.offsets.take(&origin, bytes, original.timestamp);
                let cause = Cause {
                    reason: DeadLetter::Undecodable,
                    detail: why.to_string(),
                    stage: Stage::Enrich,
                    attempts: 0,
                };
                self.parts.kafka_metrics.dead_letters.of(cause.stage, cause.reason).inc();
                let record = records::dead_letter(&self.parts.names, &original, &cause);
                self.outbox.push(record, Purpose::Dead(Some(original.origin)), now);
            }
        }
    }

    pub(super) fn take(&mut self, event: Event, now: Instant) {
        if self.parts.config.embedded_entities == EmbeddedEntities::Publish
            && let Some(embedded) = event.embedded.clone()
        {
            let at = event.accepted_at;
            let round = Round::of(event, None, now);
            let found =
                Entity { updated: updated_of(&embedded), bytes: embedded, operation: None, as_of: at };
            return self.publish(round, found, now);
        }
        self.wait(event, None, now);
    }

    /// It waits to be fetched, by itself where its company would wait in vain.
    pub(super) fn wait(&mut self, event: Event, parked: Option<i64>, now: Instant) {
        let known = self.unfetchable(&event).map(|offset| (Key::of(&event), offset));
        self.coalescer.add(event, parked, now);
        if let Some((key, offset)) = known {
            self.coalescer.keep_apart(&key, offset);
        }
    }
}

/// `UpdatedUtc` of an entity in the older form.
fn updated_of(entity: &[u8]) -> Option<SystemTime> {
    #[derive(serde::Deserialize)]
    struct Head {
        #[serde(rename = "UpdatedUtc")]
        updated: String,
    }
    humantime::parse_rfc3339(&serde_json::from_slice::<Head>(entity).ok()?.updated).ok()
}

fn original(record: Consumed) -> Original {
    Original {
        origin: Origin { topic: record.topic, partition: record.partition, offset: record.offset },
        key: record.key.unwrap_or_default(),
        value: record.value,
        headers: record.headers,
        timestamp: record.timestamp.unwrap_or(SystemTime::UNIX_EPOCH),
    }
}
