//! The records that the enricher writes: entities, tombstones, dead letters, parked events.
//!
//! An entity's value is what the Connector API returned, byte for byte; a dead letter and a parked
//! event are the event's own record with some headers behind its own. Pure.

use std::{sync::Arc, time::SystemTime};

use bytes::Bytes;

use super::{
    coalesce::{HoldReason, Round},
    entity::Entity,
    event::{Event, Origin, Original, PARKED_ATTEMPTS},
};
use crate::{
    connector::Operation,
    kafka::{Record, TopicNames},
    telemetry::{
        family::Label as _,
        metrics::{DeadLetter, Stage},
    },
    webhook::envelope::{self, Envelope, Headers},
};

/// Since when an event is parked, and why.
const PARKED_SINCE: &str = "parked_since";
const PARKED_REASON: &str = "parked_reason";
/// Where it was read before.
const PARKED_TOPIC: &str = "parked_topic";
const PARKED_OFFSET: &str = "parked_offset";

/// Why an event became a dead letter.
#[derive(Clone, Debug)]
pub struct Cause {
    /// One of the closed list.
    pub reason: DeadLetter,
    /// What exactly: never content.
    pub detail: String,
    /// Where it was then.
    pub stage: Stage,
    /// How often it was tried.
    pub attempts: u32,
}

/// The topic of a kind of entity.
fn topic(names: &TopicNames, entity: Entity) -> Arc<str> {
    names.entities(entity.value()).expect("every kind of entity has a topic")
}

/// An entity as Mews returned it, or its tombstone.
#[must_use]
pub fn entity(
    names: &TopicNames,
    newest: &Event,
    value: Option<Bytes>,
    operation: Option<Operation>,
    fetched_at: SystemTime,
) -> Record {
    let mut headers = Envelope {
        content_type: envelope::JSON,
        id: newest.ce_id().into(),
        source: ["/mews/enterprises/", &newest.enterprise_id],
        kind: ["com.mews.entity.", newest.entity.value()],
        subject: Some((&*newest.id).into()),
        time: fetched_at,
        enterprise_id: Some((&*newest.enterprise_id).into()),
        integration_id: Some((&*newest.integration_id).into()),
        partition_key: (&*newest.id).into(),
        traceparent: newest.traceparent().into(),
    }
    .headers();
    // Told apart by nothing else: both kinds of service orders are on one topic.
    if operation == Some(Operation::ProductServiceOrders) {
        headers.push("mews_operation", operation.map_or("", |operation| operation.value()));
    }
    Record {
        topic: topic(names, newest.entity),
        key: Bytes::copy_from_slice(newest.id.as_bytes()),
        partition: None,
        value,
        headers,
    }
}

/// A record as a dead letter.
#[must_use]
pub fn dead_letter(names: &TopicNames, original: &Original, cause: &Cause) -> Record {
    let mut headers = own_headers(original);
    headers.push("dead_letter_reason", cause.reason.value());
    headers.push("dead_letter_detail", &cause.detail);
    headers.push("dead_letter_stage", cause.stage.value());
    headers.push("dead_letter_topic", &original.origin.topic);
    headers.write("dead_letter_partition", format_args!("{}", original.origin.partition));
    headers.write("dead_letter_offset", format_args!("{}", original.origin.offset));
    headers.write("dead_letter_attempts", format_args!("{}", cause.attempts));
    Record {
        topic: names.dead_letters(),
        key: original.key.clone(),
        partition: None,
        value: original.value.clone(),
        headers,
    }
}

/// The newest event of a round, parked on the partition that its hotel has on every topic.
#[must_use]
pub fn parked(names: &TopicNames, round: &Round, reason: HoldReason, since: SystemTime) -> Record {
    let newest = &round.newest;
    let mut headers = own_headers(&newest.original);
    let since = parked_since(&newest.original).map_or(since, |before| before.min(since));
    headers.write(PARKED_SINCE, format_args!("{}", humantime::format_rfc3339_millis(since)));
    headers.push(PARKED_REASON, reason.value());
    headers.push(PARKED_TOPIC, &newest.original.origin.topic);
    headers.write(PARKED_OFFSET, format_args!("{}", newest.original.origin.offset));
    headers.write(PARKED_ATTEMPTS, format_args!("{}", round.tries));
    Record { headers, value: newest.original.value.clone(), ..unparked(names, newest) }
}

/// The tombstone of a parked event.
#[must_use]
pub fn unparked(names: &TopicNames, event: &Event) -> Record {
    Record {
        topic: names.parked(),
        key: parked_key(event).into(),
        partition: Some(event.original.origin.partition),
        value: None,
        headers: Headers::default(),
    }
}

/// `EnterpriseId/entity/id`
#[must_use]
pub fn parked_key(event: &Event) -> String {
    format!("{}/{}/{}", event.enterprise_id, event.entity.value(), event.id)
}

/// The EnterpriseId and the entity's id in a parked event's key.
#[must_use]
pub fn parked_parts(key: &[u8]) -> Option<(&str, &str)> {
    let (enterprise_id, rest) = std::str::from_utf8(key).ok()?.split_once('/')?;
    Some((enterprise_id, rest.split_once('/')?.1))
}

/// A parked record as it was before, and the place where it was read first.
#[must_use]
pub fn restored(original: Original) -> Original {
    let topic = original.headers.get(PARKED_TOPIC).map_or_else(|| original.origin.topic.clone(), Arc::from);
    let offset = original.headers.get(PARKED_OFFSET).and_then(|offset| offset.parse().ok());
    let origin = Origin { topic, offset: offset.unwrap_or(-1), ..original.origin };
    Original { origin, key: key_of(&original.key), ..original }
}

/// The EnterpriseId in front of a parked event's key.
fn key_of(key: &Bytes) -> Bytes {
    let end = key.iter().position(|byte| *byte == b'/').unwrap_or(key.len());
    key.slice(..end)
}

/// Since when a record is parked; `None` for one that is not.
#[must_use]
pub fn parked_since(original: &Original) -> Option<SystemTime> {
    humantime::parse_rfc3339_weak(original.headers.get(PARKED_SINCE)?).ok()
}

/// Why a record is parked.
#[must_use]
pub fn parked_reason(original: &Original) -> Option<HoldReason> {
    let reason = original.headers.get(PARKED_REASON)?;
    HoldReason::ALL.iter().copied().find(|each| each.value() == reason)
}

/// Its headers as they came, without what parking or a former death has added.
fn own_headers(original: &Original) -> Headers {
    let added = |name: &str| name.starts_with("dead_letter_") || name.starts_with("parked_");
    original
        .headers
        .iter()
        .filter(|(name, _)| !added(name))
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        enricher::{coalesce, event::tests::record},
        kafka::topics,
    };
    use std::time::Duration;

    fn names() -> TopicNames {
        TopicNames::new(&topics::Config::default(), 8 << 20).unwrap()
    }

    fn shown(record: &Record) -> Vec<String> {
        record.headers.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    fn round(original: Original) -> Round {
        coalesce::tests::round(Event::read(original).unwrap())
    }

    #[test]
    fn an_entity_keeps_its_bytes_and_carries_the_newest_events_context() {
        let event = Event::read(record("CustomerUpdated", r#"{"Id":"c"}"#, 4)).unwrap();
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1500);
        let bytes = Bytes::from_static(b"{ \"Id\" : \"c\" }");
        let written = entity(&names(), &event, Some(bytes.clone()), Some(Operation::Customers), at);
        assert_eq!((&*written.topic, &*written.key), ("mews.entities.customers", &b"c"[..]));
        assert_eq!((written.value, written.partition), (Some(bytes), None));
        assert_eq!(
            written
                .headers
                .iter()
                .filter(|(name, _)| *name != "traceparent")
                .map(|(_, value)| value)
                .collect::<Vec<_>>(),
            [
                "application/json",
                "1.0",
                "d-4",
                "/mews/enterprises/e",
                "com.mews.entity.customers",
                "c",
                "1970-01-01T00:00:01.500Z",
                "e",
                "i",
                "c"
            ]
        );
    }

    #[test]
    fn a_dead_letter_is_the_record_and_why() {
        let original = record("CustomerUpdated", r#"{"Id":"c"}"#, 4);
        let cause = Cause {
            reason: DeadLetter::NotReturned,
            detail: "no".to_owned(),
            stage: Stage::Enrich,
            attempts: 2,
        };
        let dead = dead_letter(&names(), &original, &cause);
        assert_eq!((dead.key, dead.value), (original.key, original.value));
        assert_eq!(
            shown(&Record {
                topic: dead.topic.clone(),
                key: Bytes::new(),
                partition: None,
                value: None,
                headers: dead.headers
            })[2..],
            [
                "dead_letter_reason=not_returned",
                "dead_letter_detail=no",
                "dead_letter_stage=enrich",
                "dead_letter_topic=CustomerUpdated",
                "dead_letter_partition=3",
                "dead_letter_offset=4",
                "dead_letter_attempts=2"
            ]
        );
    }

    #[test]
    fn tries_before_and_after_parking_add_up() {
        let mut asked = round(record("CustomerUpdated", r#"{"Id":"c"}"#, 4));
        for tries in [2, 5] {
            asked.tries += tries;
            let parked = parked(&names(), &asked, HoldReason::Throttled, SystemTime::UNIX_EPOCH);
            let (key, value, headers) = (parked.key, parked.value, parked.headers);
            let read = Original { key, value, headers, ..asked.newest.original.clone() };
            asked = Round::of(Event::read(restored(read)).unwrap(), Some(9), asked.since);
        }
        assert_eq!(asked.tries, 7);
        let again = own_headers(&asked.newest.original);
        assert_eq!(again.get(PARKED_ATTEMPTS), None, "a dead letter that is replayed begins anew");
    }

    #[test]
    fn parking_twice_keeps_when_it_began_and_the_last_reason() {
        let (first, later) = (
            SystemTime::UNIX_EPOCH + Duration::from_secs(1),
            SystemTime::UNIX_EPOCH + Duration::from_secs(9),
        );
        let once = parked(
            &names(),
            &round(record("CustomerUpdated", r#"{"Id":"c"}"#, 4)),
            HoldReason::NoCredentials,
            first,
        );
        assert_eq!((&*once.key, once.partition), (&b"e/customers/c"[..], Some(3)));
        let read = Original { headers: once.headers, ..record("CustomerUpdated", r#"{"Id":"c"}"#, 4) };
        assert_eq!(
            (parked_since(&read), parked_reason(&read)),
            (Some(first), Some(HoldReason::NoCredentials))
        );
        let twice = parked(&names(), &round(read), HoldReason::Unauthorized, later);
        let read =
            Original { headers: twice.headers.clone(), ..record("CustomerUpdated", r#"{"Id":"c"}"#, 4) };
        assert_eq!(
            (parked_since(&read), parked_reason(&read)),
            (Some(first), Some(HoldReason::Unauthorized))
        );
        assert_eq!(twice.headers.iter().filter(|(name, _)| name.starts_with("parked")).count(), 5);
        let restored = restored(Original { key: once.key, ..read });
        assert_eq!(
            (&*restored.origin.topic, restored.origin.offset, &*restored.key),
            ("CustomerUpdated", 4, &b"e"[..])
        );
    }
}
