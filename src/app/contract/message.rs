//! What is on a topic, by the topic's name without prefix and overrides.

use serde_json::Value;

use super::{headers, values};
use crate::kafka::topics::UNRECOGNIZED;

/// The records of one topic.
pub struct Message {
    /// What a record is.
    pub title: &'static str,
    /// What a subscriber must know of it.
    pub description: &'static str,
    /// What the key is.
    pub key: &'static str,
    /// The schema of its headers.
    pub headers: &'static str,
    /// The schema of its value.
    pub value: Value,
}

impl Message {
    /// Of a topic by its logical name.
    pub fn of(logical: &str) -> Self {
        match logical.split_once('.') {
            Some(("events", discriminator)) => Self::event(discriminator),
            Some(("integrations", action)) => Self::integration(action),
            Some(("entities", _)) => Self::entity(),
            Some(_) | None => match logical {
                "credentials" => Self::credentials(),
                "quarantine" => Self::quarantine(),
                "parked" => Self::parked(),
                _ => Self::dead_letter(),
            },
        }
    }

    fn event(discriminator: &str) -> Self {
        let known = Some(discriminator).filter(|name| *name != UNRECOGNIZED);
        Self {
            title: "Something has happened to an entity",
            description: "One element of the Events of a General webhook. Value is byte for byte what Mews sent. \
                On unrecognized are those whose discriminator has no topic of its own.",
            key: "EnterpriseId: the hotel",
            headers: headers::EVENT,
            value: values::event(known),
        }
    }

    fn integration(action: &str) -> Self {
        let known = Some(action).filter(|name| *name != UNRECOGNIZED);
        Self {
            title: "Something has happened to an integration",
            description: "An Integration webhook, in place of each secret a mark. On unrecognized are those whose \
                action is not one that Mews documents.",
            key: "EnterpriseId if this webhook carries one, else IntegrationId",
            headers: headers::INTEGRATION,
            value: values::integration(known),
        }
    }

    fn entity() -> Self {
        Self {
            title: "An entity as it is",
            description: "The newest record of an entity, byte for byte as the Connector API returned it; no value \
                (a tombstone) when it is gone. Compacted.",
            key: "id of the entity",
            headers: headers::ENTITY,
            value: values::entity(),
        }
    }

    fn credentials() -> Self {
        Self {
            title: "What is known of an integration",
            description: "State and sealed access token of an integration, for the enricher. Compacted.",
            key: "IntegrationId",
            headers: headers::INTEGRATION,
            value: values::credentials(),
        }
    }

    fn quarantine() -> Self {
        Self {
            title: "What could not be understood",
            description: "A body, or one element of Events in its envelope, secrets sealed. A body that is no JSON \
                is sealed as a whole, or empty where secrets are discarded.",
            key: "delivery id",
            headers: headers::QUARANTINE,
            value: values::quarantine(),
        }
    }

    fn parked() -> Self {
        Self {
            title: "An event that waits for its integration",
            description: "For the enricher alone: the event as it was on its topic; no value (a tombstone) once it \
                was taken up again. Placed by EnterpriseId. Compacted.",
            key: "EnterpriseId/entity/id",
            headers: headers::PARKED,
            value: values::event(None),
        }
    }

    fn dead_letter() -> Self {
        Self {
            title: "What could not be delivered or enriched",
            description: "A record with its own key, value and headers, and why it is here. One that could not be \
                read in the journal has content-type application/octet-stream.",
            key: "that of the record",
            headers: headers::DEAD_LETTER,
            value: values::dead_letter(),
        }
    }
}
