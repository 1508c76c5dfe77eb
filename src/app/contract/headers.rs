//! Schemas of headers, which all are text.

use serde_json::{Map, Value, json};

use crate::telemetry::{
    family::Label,
    metrics::{DeadLetter, Stage},
};

/// Headers of events.
pub const EVENT: &str = "headers.event";
/// Headers of Integration webhooks and of credentials.
pub const INTEGRATION: &str = "headers.integration";
/// Headers of entities.
pub const ENTITY: &str = "headers.entity";
/// Headers in the quarantine.
pub const QUARANTINE: &str = "headers.quarantine";
/// Headers of parked events.
pub const PARKED: &str = "headers.parked";
/// Headers of dead letters.
pub const DEAD_LETTER: &str = "headers.dead-letter";

/// All of them by their names.
pub fn all() -> impl Iterator<Item = (String, Value)> {
    let schemas = [
        (EVENT, event()),
        (INTEGRATION, integration()),
        (ENTITY, entity()),
        (QUARANTINE, quarantine()),
        (PARKED, parked()),
        (DEAD_LETTER, dead_letter()),
    ];
    schemas.into_iter().map(|(name, headers)| (name.to_owned(), headers.schema()))
}

/// Headers under way to their schema.
struct Headers {
    required: Vec<&'static str>,
    properties: Map<String, Value>,
}

impl Headers {
    /// Those of every record that is no tombstone of `parked`.
    fn common() -> Self {
        Self { required: Vec::new(), properties: Map::new() }
            .always(
                "content-type",
                "Of the value",
                json!({ "enum": ["application/json", "application/octet-stream"] }),
            )
            .always("ce_specversion", "Of CloudEvents", json!({ "const": "1.0" }))
            .always("ce_id", "<delivery id>-<index in Events>; the same when the record comes again", text())
            .always("ce_source", "Whose record it is", text())
            .always("ce_type", "What kind of record it is", text())
            .perhaps("ce_subject", "The entity or integration, where there is one", text())
            .always("ce_time", "When the webhook was accepted; of an entity: when it was fetched", time())
            .perhaps("ce_enterpriseid", "The hotel, where it is known", text())
            .perhaps("ce_integrationid", "The connection, where it is known", text())
            .always("ce_partitionkey", "The record's key", text())
            .always("traceparent", "W3C trace context", json!({ "type": "string" }))
    }

    fn always(mut self, name: &'static str, description: &str, schema: Value) -> Self {
        self.required.push(name);
        self.perhaps(name, description, schema)
    }

    fn perhaps(mut self, name: &str, description: &str, mut schema: Value) -> Self {
        schema["description"] = description.into();
        self.properties.insert(name.to_owned(), schema);
        self
    }

    fn replayed(self) -> Self {
        let description = "When it was put back by dead-letters replay: it comes behind newer ones";
        self.perhaps("dead_letter_replayed", description, time())
    }

    fn schema(self) -> Value {
        json!({ "type": "object", "required": self.required, "properties": self.properties })
    }
}

fn text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn one_of<L: Label>() -> Value {
    json!({ "enum": L::ALL.iter().map(|label| label.value()).collect::<Vec<_>>() })
}

fn event() -> Headers {
    let omitted = "Entity was left out, because the record was too large with it";
    Headers::common().perhaps("entity_omitted", omitted, json!({ "const": "true" })).replayed()
}

fn integration() -> Headers {
    Headers::common().replayed()
}

fn entity() -> Headers {
    let operation = "The operation that returned it, where it is not that of its kind";
    Headers::common().perhaps("mews_operation", operation, text())
}

fn quarantine() -> Headers {
    let reasons = ["not_json", "too_deep", "unknown_shape", "duplicate_member", "bad_event"];
    Headers::common()
        .always("quarantine_reason", "Why it was not understood", json!({ "enum": reasons }))
        .always("quarantine_detail", "What exactly was wrong, for a person", json!({ "type": "string" }))
        .replayed()
}

fn parked() -> Headers {
    event()
        .always("parked_since", "Since when", time())
        .always("parked_reason", "Why", text())
        .always("parked_topic", "Where it was before", text())
        .always("parked_offset", "Its offset there", text())
        .always("parked_attempts", "How often it was asked for, in all", text())
}

fn dead_letter() -> Headers {
    event()
        .always("dead_letter_reason", "Why it is here", one_of::<DeadLetter>())
        .always(
            "dead_letter_detail",
            "What exactly, for a person: never content",
            json!({ "type": "string" }),
        )
        .always("dead_letter_stage", "Where it was then", one_of::<Stage>())
        .always("dead_letter_topic", "The topic that it was for, or that it was read from", text())
        .always("dead_letter_partition", "The partition it was read from, or -1", text())
        .always("dead_letter_offset", "Its offset there, or -1", text())
        .always("dead_letter_attempts", "How often it was tried", text())
}
