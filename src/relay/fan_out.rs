//! Fan out: one journaled delivery becomes the records that it owes to Kafka.
//!
//! ```text
//! payload ── decode ──► Source ┬─ one draft per element of Events ──► events.<Discriminator>, quarantine
//!                              ├─ one draft for an Integration webhook ──► integrations.<Action>
//!                              ├─ what it says of the integration ──► credentials
//!                              └─ one draft for a body in quarantine ──► quarantine
//! ```
//!
//! Guarantees: the same payload gives the same drafts in the same order, so that a record keeps its
//! `ce_id` when it is sent again after a crash; `Value` and `Entity` are the bytes that came; every
//! payload ends in drafts, one that cannot be read any more in a draft for the dead letters. Called
//! by the relay as it reads the journal, and again for what it had put aside. No I/O, no clock.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use uuid::Builder;

use super::draft::{Draft, Part, Source};
use crate::{
    credentials::record::{AsOf, Known},
    webhook::{
        Content, Delivery, Discriminators, Event, General, Integration, Webhook, general::BadEvent, shape,
    },
};

/// What one delivery owes.
#[derive(Debug)]
pub struct FanOut {
    /// What all its records share.
    pub source: Arc<Source>,
    /// Its records in order; none for a webhook without events.
    pub drafts: Vec<Draft>,
    /// What it says of an integration, for the record of `mews.credentials` that it is merged into.
    pub news: Option<Draft>,
}

impl FanOut {
    /// One of its records by number: those in order, then the news.
    #[must_use]
    pub fn draft(&self, number: usize) -> Option<&Draft> {
        self.drafts.get(number).or(self.news.as_ref().filter(|_| number == self.drafts.len()))
    }
}

/// Fans out a payload of the journal.
#[must_use]
pub fn fan_out(payload: &Bytes, discriminators: &Discriminators) -> FanOut {
    let delivery = match Delivery::decode(payload) {
        Ok(delivery) => delivery,
        Err(error) => return undecodable(stand_in(payload), &error.to_string()),
    };
    let body = delivery.body.clone();
    match &delivery.content {
        Content::General | Content::Integration => match read(&body) {
            Ok(webhook) => events_or_action(delivery, &webhook, discriminators),
            Err(detail) => undecodable(delivery, &detail),
        },
        Content::Quarantined { .. } => FanOut {
            source: Source::unknown(delivery),
            drafts: vec![Draft { index: 0, part: Part::Quarantined }],
            news: None,
        },
    }
}

/// Reads a body that the ingress has read before.
fn read(body: &[u8]) -> Result<Webhook<'_>, String> {
    let text = std::str::from_utf8(body).map_err(|_| "body is not UTF-8".to_owned())?;
    shape::read(text).map_err(|unclear| unclear.reason().to_owned())
}

fn events_or_action(delivery: Delivery, webhook: &Webhook<'_>, known: &Discriminators) -> FanOut {
    match (&delivery.content, webhook) {
        (Content::General, Webhook::General(general)) => events(delivery, general, known),
        (Content::Integration, Webhook::Integration(integration)) => action(delivery, integration),
        _ => undecodable(delivery, "body is a webhook of the other kind"),
    }
}

fn events(delivery: Delivery, general: &General<'_>, known: &Discriminators) -> FanOut {
    let entities = general.entities();
    let slice = |raw: &RawValue| delivery.body.slice_ref(raw.get().as_bytes());
    let part = |event: Result<Event<'_>, _>| match event {
        Ok(event) => Part::Event {
            value: slice(event.value),
            entity: entities.of(&event).map(slice),
            entity_id: event.entity_id.map(|id| Box::from(&*id)),
            discriminator: Box::from(&*event.discriminator),
        },
        Err(BadEvent { raw, detail }) => Part::BadEvent { raw: slice(raw), detail },
    };
    let drafts = (delivery.first_index..)
        .zip(general.events(known))
        .map(|(index, event)| Draft { index, part: part(event) })
        .collect();
    let source = Source {
        enterprise_id: Some(general.enterprise_id.to_string()),
        integration_id: Some(general.integration_id.to_string()),
        delivery,
    };
    FanOut { source: Arc::new(source), drafts, news: None }
}

fn action(delivery: Delivery, integration: &Integration<'_>) -> FanOut {
    let as_of = AsOf { accepted_at: delivery.accepted_at, delivery: delivery.id };
    let action: Box<str> = Box::from(&*integration.action);
    let news = Known::of(integration, as_of)
        .map(|known| Part::Credentials { action: action.clone(), known: Box::new(known) });
    FanOut {
        source: Arc::new(Source {
            enterprise_id: integration.enterprise_id.as_ref().map(ToString::to_string),
            integration_id: Some(integration.integration_id.to_string()),
            delivery,
        }),
        drafts: vec![Draft { index: 0, part: Part::Integration { action } }],
        news: news.map(|part| Draft { index: 0, part }),
    }
}

/// A delivery for a payload that has none: its id is made from the bytes, so that it stays the same.
fn stand_in(payload: &Bytes) -> Delivery {
    let digest = Sha256::digest(payload);
    let mut id = [0u8; 16];
    id.copy_from_slice(&digest[..16]);
    Delivery {
        id: Builder::from_custom_bytes(id).into_uuid(),
        accepted_at: std::time::SystemTime::UNIX_EPOCH,
        content: Content::General,
        traceparent: String::new(),
        first_index: 0,
        body: payload.clone(),
    }
}

fn undecodable(delivery: Delivery, detail: &str) -> FanOut {
    FanOut {
        source: Source::unknown(delivery),
        drafts: vec![Draft { index: 0, part: Part::Undecodable { detail: detail.into() } }],
        news: None,
    }
}

#[cfg(test)]
mod tests;
