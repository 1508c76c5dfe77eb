//! One event as it stands on its topic, read for what has to be fetched.
//!
//! The record itself is kept beside what was read of it: parked or dead, an event is written again
//! with its own key, value and headers, byte for byte.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::entity::{Change, Entity, spoken_of};
use crate::webhook::{envelope::Headers, id};

/// How often the entity of a parked event was asked for, a header of its record.
pub const PARKED_ATTEMPTS: &str = "parked_attempts";

/// Where a record was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Full topic name.
    pub topic: Arc<str>,
    /// Partition: everything about one hotel is on the same one of every topic.
    pub partition: i32,
    /// Offset in it.
    pub offset: i64,
}

/// A record as it was read.
#[derive(Clone, Debug)]
pub struct Original {
    /// Where from.
    pub origin: Origin,
    /// Its key.
    pub key: Bytes,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Its headers; what is not UTF-8 in them is replaced.
    pub headers: Headers,
    /// When Kafka took it.
    pub timestamp: SystemTime,
}

impl Original {
    /// Bytes that it takes in memory, about.
    #[must_use]
    pub fn size(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Bytes::len) + self.headers.size()
    }
}

/// An event and what it asks for.
#[derive(Clone, Debug)]
pub struct Event {
    /// The hotel.
    pub enterprise_id: Arc<str>,
    /// The connection that told of it.
    pub integration_id: Arc<str>,
    /// What kind of thing.
    pub entity: Entity,
    /// Which one, in its one spelling.
    pub id: Arc<str>,
    /// What happened to it.
    pub change: Change,
    /// A message's thread, where the event says it.
    pub thread_id: Option<Box<str>>,
    /// The entity as an older webhook carried it.
    pub embedded: Option<Bytes>,
    /// When the bridge accepted its delivery.
    pub accepted_at: SystemTime,
    /// How often it was asked for before it was parked.
    pub tries: u32,
    /// The record.
    pub original: Original,
}

/// Why a record is no event that can be enriched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Not the value of an event.
    #[error("value is not that of an event: {0}")]
    Value(String),
    /// The kind of entity is not known.
    #[error("discriminator is not one whose entities can be fetched")]
    Discriminator,
    /// Nothing to ask for.
    #[error("event has no usable id")]
    Id,
}

#[derive(Deserialize)]
struct Value<'a> {
    #[serde(rename = "EnterpriseId", borrow)]
    enterprise_id: Cow<'a, str>,
    #[serde(rename = "IntegrationId", borrow)]
    integration_id: Cow<'a, str>,
    #[serde(rename = "Discriminator", borrow)]
    discriminator: Cow<'a, str>,
    #[serde(rename = "Value")]
    value: Named,
    #[serde(rename = "Entity", borrow)]
    entity: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
struct Named {
    #[serde(rename = "Id")]
    id: Option<String>,
    /// Not documented, but a page of Mews's speaks of it (contract 1.3).
    #[serde(rename = "MessageThreadId", default, deserialize_with = "text")]
    thread_id: Option<String>,
}

/// A string; anything else is as good as nothing.
fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(value.as_str().map(str::to_owned))
}

/// What a record's value asks for.
struct Asked<'a> {
    value: Value<'a>,
    entity: Entity,
    change: Change,
    id: String,
}

impl<'a> Asked<'a> {
    fn read(bytes: Option<&'a Bytes>) -> Result<Self, Unreadable> {
        let bytes = bytes.ok_or_else(|| Unreadable::Value("there is none".to_owned()))?;
        let mut value: Value<'_> =
            serde_json::from_slice(bytes).map_err(|error| Unreadable::Value(error.to_string()))?;
        let (entity, change) = spoken_of(&value.discriminator).ok_or(Unreadable::Discriminator)?;
        let id = value.value.id.take().filter(|id| id::usable(id)).ok_or(Unreadable::Id)?;
        Ok(Self { value, entity, change, id })
    }

    fn thread_id(&self) -> Option<Box<str>> {
        let carried = || {
            let carried = self.value.entity.filter(|_| self.entity == Entity::Messages)?;
            serde_json::from_str::<Named>(carried.get()).ok()?.thread_id
        };
        self.value.value.thread_id.clone().or_else(carried).map(Into::into)
    }
}

impl Event {
    /// Reads a record.
    ///
    /// # Errors
    /// The record and what is wrong with it.
    pub fn read(original: Original) -> Result<Self, Box<(Original, Unreadable)>> {
        let bytes = original.value.clone();
        let asked = match Asked::read(bytes.as_ref()) {
            Ok(asked) => asked,
            Err(unreadable) => return Err(Box::new((original, unreadable))),
        };
        let embedded = bytes.as_ref().zip(asked.value.entity);
        let accepted_at =
            original.headers.get("ce_time").and_then(|time| humantime::parse_rfc3339_weak(time).ok());
        let tries = original.headers.get(PARKED_ATTEMPTS).and_then(|tries| tries.parse().ok());
        Ok(Self {
            enterprise_id: id::normal(&asked.value.enterprise_id).into(),
            integration_id: id::normal(&asked.value.integration_id).into(),
            entity: asked.entity,
            id: id::normal(&asked.id).into(),
            change: asked.change,
            thread_id: asked.thread_id(),
            embedded: embedded.map(|(bytes, raw)| bytes.slice_ref(raw.get().as_bytes())),
            accepted_at: accepted_at.unwrap_or(original.timestamp),
            tries: tries.unwrap_or_default(),
            original,
        })
    }

    /// Its `ce_id`, or nothing.
    #[must_use]
    pub fn ce_id(&self) -> &str {
        self.original.headers.get("ce_id").unwrap_or_default()
    }

    /// The trace that it belongs to, or nothing.
    #[must_use]
    pub fn traceparent(&self) -> &str {
        self.original.headers.get("traceparent").unwrap_or_default()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::time::Duration;

    /// A record of the hotel `e` and the connection `i`.
    pub(crate) fn record(discriminator: &str, value: &str, offset: i64) -> Original {
        let value = format!(
            r#"{{"EnterpriseId":"e","IntegrationId":"i","Discriminator":"{discriminator}","Value":{value}}}"#
        );
        Original {
            origin: Origin { topic: discriminator.into(), partition: 3, offset },
            key: Bytes::from_static(b"e"),
            value: Some(value.into()),
            headers: [("ce_id", format!("d-{offset}")), ("ce_time", "2026-11-01T10:00:00.250Z".to_owned())]
                .into_iter()
                .collect(),
            timestamp: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn an_event_says_what_to_ask_for() {
        let event = Event::read(record("ResourceDeleted", r#"{"Id":"851DF8C890F24C4A8E01A4FC46B25178"}"#, 7))
            .unwrap();
        assert_eq!((event.entity, event.change), (Entity::Resources, Change::Deleted));
        assert_eq!(&*event.id, "851df8c8-90f2-4c4a-8e01-a4fc46b25178");
        assert_eq!(event.ce_id(), "d-7");
        let accepted = SystemTime::UNIX_EPOCH + Duration::from_millis(1_793_527_200_250);
        assert_eq!(event.accepted_at, accepted);
    }

    #[test]
    fn a_message_knows_its_thread_where_the_event_says_it() {
        let odd = Event::read(record("MessageAdded", r#"{"Id":"m","MessageThreadId":7}"#, 0)).unwrap();
        assert_eq!(odd.thread_id, None);
        let said = Event::read(record("MessageAdded", r#"{"Id":"m","MessageThreadId":"t"}"#, 0)).unwrap();
        assert_eq!(said.thread_id.as_deref(), Some("t"));
        let mut carried =
            record("MessageAdded", r#"{"Id":"m"},"Entity":{"Id":"m","MessageThreadId":"u"}"#, 0);
        assert_eq!(Event::read(carried.clone()).unwrap().thread_id.as_deref(), Some("u"));
        carried.headers = Headers::default();
        assert_eq!(Event::read(carried).unwrap().accepted_at, SystemTime::UNIX_EPOCH);
    }

    #[test]
    fn what_is_no_event_says_why_and_keeps_its_record() {
        for (original, why) in [
            (record("MessageAdded", "{}", 0), Unreadable::Id),
            (record("RateUpdated", r#"{"Id":"r"}"#, 0), Unreadable::Discriminator),
            (Original { value: None, ..record("x", "{}", 0) }, Unreadable::Value("there is none".into())),
        ] {
            let (kept, found) = *Event::read(original.clone()).unwrap_err();
            assert_eq!((found, kept.value), (why, original.value));
        }
    }
}
