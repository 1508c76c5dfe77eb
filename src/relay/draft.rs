//! One record before it is built: slices of the delivery's body, and what is said of them.
//!
//! A draft is some hundred bytes where the record, with its eleven headers, is a thousand, so the
//! relay holds drafts and builds a record each time it is sent. Guarantees: the same draft gives the
//! same record every time; the only copy is into the record's value.

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;

use super::{dead_letter::DeadLetter, value};
use crate::{
    credentials::record::Known,
    kafka::{Record, TopicNames},
    webhook::{
        Content, Delivery,
        envelope::{self, Envelope, Headers, event_id},
    },
};

/// What the records of one delivery share.
#[derive(Debug)]
pub struct Source {
    /// The delivery itself.
    pub delivery: Delivery,
    /// The hotel, where this webhook names it.
    pub enterprise_id: Option<String>,
    /// The connection, where this webhook names it.
    pub integration_id: Option<String>,
}

/// A record that one delivery owes.
#[derive(Clone)]
pub struct Draft {
    /// Index in `Events`, 0 for what is no event.
    pub index: u32,
    /// What it is.
    pub part: Part,
}

/// What a draft becomes.
#[derive(Clone)]
pub enum Part {
    /// An event for the topic of its discriminator.
    Event {
        /// What happened.
        discriminator: Box<str>,
        /// The entity it happened to.
        entity_id: Option<Box<str>>,
        /// `Value` as it came.
        value: Bytes,
        /// The entity as it came, where the delivery carried it.
        entity: Option<Bytes>,
    },
    /// An element of `Events` for the quarantine, in its envelope.
    BadEvent {
        /// The element as it stands in the journal.
        raw: Bytes,
        /// What is wrong with it.
        detail: &'static str,
    },
    /// An Integration webhook for the topic of its action.
    Integration {
        /// What happened.
        action: Box<str>,
    },
    /// What is known of an integration, for `mews.credentials`.
    Credentials {
        /// What happened.
        action: Box<str>,
        /// All that is known, once it is merged.
        known: Box<Known>,
    },
    /// A whole body for the quarantine.
    Quarantined,
    /// What the journal gave back and this build cannot read, for the dead letters.
    Undecodable {
        /// What is wrong with it.
        detail: Box<str>,
    },
}

/// In which form a record is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// As it is.
    Whole,
    /// Without `Entity`, because it was too large with it.
    WithoutEntity,
    /// As it is, on the topic of the dead letters.
    DeadLetter(Box<DeadLetter>),
}

/// Bytes that a record has beside values, ids and the trace: names of headers and members, times,
/// the delivery's id. A bound, not a measure.
const FIXED_BYTES_MAX: usize = 2048;

impl Source {
    /// For a delivery of which no ids are known.
    #[must_use]
    pub fn unknown(delivery: Delivery) -> Arc<Self> {
        Arc::new(Self { delivery, enterprise_id: None, integration_id: None })
    }

    fn delivery_id(&self) -> String {
        self.delivery.id.to_string()
    }

    /// The hotel, or nothing.
    #[must_use]
    pub fn enterprise(&self) -> &str {
        self.enterprise_id.as_deref().unwrap_or_default()
    }

    /// The connection, or nothing.
    #[must_use]
    pub fn integration(&self) -> &str {
        self.integration_id.as_deref().unwrap_or_default()
    }
}

impl Draft {
    /// The topic it is for, before anything goes wrong.
    #[must_use]
    pub fn topic(&self, names: &TopicNames) -> Arc<str> {
        match &self.part {
            Part::Event { discriminator, .. } => names.events(discriminator),
            Part::Integration { action } => names.integrations(action),
            Part::Credentials { .. } => names.credentials(),
            Part::BadEvent { .. } | Part::Quarantined => names.quarantine(),
            Part::Undecodable { .. } => names.dead_letters(),
        }
    }

    /// The record's key: decides its partition, and among which records it keeps its place.
    #[must_use]
    pub fn key<'a>(&self, source: &'a Source) -> Cow<'a, str> {
        match &self.part {
            Part::Event { .. } => source.enterprise().into(),
            Part::Integration { .. } => {
                source.enterprise_id.as_deref().unwrap_or_else(|| source.integration()).into()
            }
            Part::Credentials { .. } => source.integration().into(),
            Part::BadEvent { .. } | Part::Quarantined | Part::Undecodable { .. } => {
                source.delivery_id().into()
            }
        }
    }

    /// Whether leaving the entity out would make it smaller.
    #[must_use]
    pub const fn has_entity(&self) -> bool {
        matches!(self.part, Part::Event { entity: Some(_), .. })
    }

    /// Never less than the size of the record, whatever its strings need for escapes.
    #[must_use]
    pub fn size_bound(&self, source: &Source, form: &Form) -> usize {
        let ids = 6 * (source.enterprise().len() + source.integration().len());
        let shared = FIXED_BYTES_MAX + ids + source.delivery.traceparent.len();
        let own = match &self.part {
            Part::Event { discriminator, entity_id, value, entity } => {
                let entity = match form {
                    Form::Whole | Form::DeadLetter(_) => entity.as_ref().map_or(0, Bytes::len),
                    Form::WithoutEntity => 0,
                };
                3 * discriminator.len() + entity_id.as_ref().map_or(0, |id| id.len()) + value.len() + entity
            }
            Part::BadEvent { raw, .. } => raw.len(),
            Part::Integration { action } => action.len() + source.delivery.body.len(),
            Part::Credentials { action, known } => action.len() + known.to_json().len(),
            Part::Quarantined => source.delivery.body.len() + quarantine_bytes(&source.delivery),
            Part::Undecodable { detail } => detail.len() + source.delivery.body.len(),
        };
        let dead_letter = match form {
            Form::DeadLetter(dead_letter) => dead_letter.detail.len() + dead_letter.topic.len(),
            Form::Whole | Form::WithoutEntity => 0,
        };
        shared + own + dead_letter
    }

    /// The record itself.
    #[must_use]
    pub fn record(&self, source: &Source, form: &Form, names: &TopicNames) -> Record {
        let key = self.key(source);
        let mut headers = self.envelope(source, &key).headers();
        self.own_headers(source, form, &mut headers);
        let topic = match form {
            Form::Whole | Form::WithoutEntity => self.topic(names),
            Form::DeadLetter(dead_letter) => {
                dead_letter.add_to(&mut headers);
                names.dead_letters()
            }
        };
        let key = Bytes::from(key.into_owned());
        Record { topic, key, partition: None, value: Some(self.value(source, form)), headers }
    }

    fn envelope<'a>(&'a self, source: &'a Source, key: &'a str) -> Envelope<'a> {
        let (kind, of, subject) = match &self.part {
            Part::Event { discriminator, entity_id, .. } => (
                ["com.mews.connector.", discriminator],
                ["/mews/enterprises/", source.enterprise()],
                entity_id.as_deref().map(Cow::Borrowed),
            ),
            Part::Integration { action } | Part::Credentials { action, .. } => (
                ["com.mews.integration.", action],
                ["/mews/integrations/", source.integration()],
                source.integration_id.as_deref().map(Cow::Borrowed),
            ),
            Part::BadEvent { .. } | Part::Quarantined | Part::Undecodable { .. } => {
                (["com.mews.bridge.", "quarantined"], ["/mews/", "bridge"], None)
            }
        };
        let content_type = match self.part {
            Part::Undecodable { .. } => "application/octet-stream",
            _ => envelope::JSON,
        };
        Envelope {
            content_type,
            id: event_id(source.delivery.id, self.index as usize).into(),
            source: of,
            kind,
            subject,
            time: source.delivery.accepted_at,
            enterprise_id: source.enterprise_id.as_deref().map(Cow::Borrowed),
            integration_id: source.integration_id.as_deref().map(Cow::Borrowed),
            partition_key: key.into(),
            traceparent: source.delivery.traceparent.as_str().into(),
        }
    }

    fn own_headers(&self, source: &Source, form: &Form, headers: &mut Headers) {
        match (&self.part, &source.delivery.content) {
            (Part::BadEvent { detail, .. }, _) => {
                headers.push("quarantine_reason", "bad_event");
                headers.push("quarantine_detail", detail);
            }
            (Part::Quarantined, Content::Quarantined { reason, detail }) => {
                headers.push("quarantine_reason", reason);
                headers.push("quarantine_detail", detail);
            }
            (
                Part::Event { .. }
                | Part::Integration { .. }
                | Part::Credentials { .. }
                | Part::Quarantined
                | Part::Undecodable { .. },
                _,
            ) => {}
        }
        if *form == Form::WithoutEntity {
            headers.push("entity_omitted", "true");
        }
    }

    fn value(&self, source: &Source, form: &Form) -> Bytes {
        match &self.part {
            Part::Event { discriminator, value, entity, .. } => {
                let entity = match form {
                    Form::Whole | Form::DeadLetter(_) => entity.as_deref(),
                    Form::WithoutEntity => None,
                };
                value::event(source, discriminator, value, entity)
            }
            Part::BadEvent { raw, .. } => value::bad_event(source, raw),
            Part::Integration { .. } => value::integration(&source.delivery.body),
            Part::Credentials { known, .. } => known.to_json().into(),
            Part::Quarantined | Part::Undecodable { .. } => source.delivery.body.clone(),
        }
    }
}

/// Shows which record it is, never what is in it.
impl fmt::Debug for Draft {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match &self.part {
            Part::Event { .. } => "event",
            Part::BadEvent { .. } => "bad event",
            Part::Integration { .. } => "integration",
            Part::Credentials { .. } => "credentials",
            Part::Quarantined => "quarantined",
            Part::Undecodable { .. } => "undecodable",
        };
        write!(formatter, "{part} {}", self.index)
    }
}

fn quarantine_bytes(delivery: &Delivery) -> usize {
    match &delivery.content {
        Content::Quarantined { reason, detail } => reason.len() + detail.len(),
        Content::General | Content::Integration => 0,
    }
}
