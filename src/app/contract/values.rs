//! Schemas of values. Each names what the bridge relies on or adds, and allows everything else.

use serde_json::{Value, json};

use crate::credentials::record::State;

fn id(description: &str) -> Value {
    json!({
        "type": "string",
        "minLength": 1,
        "description": format!("{description}; a UUID is lower-case with hyphens"),
    })
}

/// The value of an event; under a discriminator that has a topic, there is always an id.
pub fn event(discriminator: Option<&str>) -> Value {
    let (named, value) = match discriminator {
        Some(name) => (
            json!({ "const": name }),
            json!({
                "description": "Byte for byte what Mews sent",
                "type": "object",
                "required": ["Id"],
                "properties": { "Id": { "type": "string", "minLength": 1, "description": "Id of the entity" } },
            }),
        ),
        None => (
            json!({ "type": "string", "minLength": 1 }),
            json!({ "description": "Byte for byte what Mews sent" }),
        ),
    };
    json!({
        "type": "object",
        "required": ["EnterpriseId", "IntegrationId", "Discriminator", "Value"],
        "properties": {
            "EnterpriseId": id("The hotel"),
            "IntegrationId": id("The connection that told of it"),
            "Discriminator": named,
            "Value": value,
            "Entity": {
                "description": "The entity, where the webhook carried it and it was not too large",
                "type": "object",
            },
        },
    })
}

/// An Integration webhook.
pub fn integration(action: Option<&str>) -> Value {
    let named = |description: &str| {
        json!({
            "description": description,
            "type": ["object", "null"],
            "properties": { "Id": { "type": "string" }, "Name": { "type": ["string", "null"] } },
        })
    };
    json!({
        "type": "object",
        "required": ["Action", "Data"],
        "properties": {
            "Action": action.map_or_else(|| json!({ "type": "string", "minLength": 1 }), |name| json!({ "const": name })),
            "Data": {
                "type": "object",
                "required": ["Integration"],
                "properties": {
                    "Integration": {
                        "type": "object",
                        "required": ["Id"],
                        "properties": { "Id": { "type": "string", "minLength": 1 } },
                    },
                    "Enterprise": named("The hotel or chain, where the webhook names it"),
                    "AccessToken": mark(),
                    "ApiKey": mark(),
                },
            },
        },
    })
}

/// What stands where a secret stood, in records for everybody.
fn mark() -> Value {
    json!({
        "description": "A mark in place of the secret, if there was one",
        "enum": [{ "Sealed": true }, { "Discarded": true }, null],
    })
}

/// A record as the Connector API returned it.
pub fn entity() -> Value {
    json!({
        "description": "As the Connector API documents it; only the id is sure",
        "type": "object",
        "required": ["Id"],
        "properties": { "Id": { "type": "string", "minLength": 1 } },
    })
}

/// What is known of an integration.
pub fn credentials() -> Value {
    let states =
        [State::Created, State::Enabled, State::Disabled, State::Canceled, State::Reinstated, State::Deleted];
    let time =
        json!({ "type": "string", "format": "date-time", "description": "When that delivery was accepted" });
    let delivery = json!({ "type": "string", "format": "uuid", "description": "The delivery that said so" });
    json!({
        "type": "object",
        "required": ["IntegrationId"],
        "properties": {
            "IntegrationId": id("The connection"),
            "EnterpriseId": id("The hotel or chain"),
            "EnterpriseIdUtc": time,
            "EnterpriseIdDelivery": delivery,
            "State": { "enum": states },
            "IsEnabled": { "type": "boolean", "description": "Whether Mews takes its access token" },
            "StateUtc": time,
            "StateDelivery": delivery,
            "AccessToken": {
                "type": "object",
                "properties": { "Sealed": { "type": "string" }, "Discarded": { "type": "boolean" } },
                "description": "Sealed with a key of the bridge, or a mark that there is one; not there once the integration is deleted",
            },
            "AccessTokenUtc": time,
            "AccessTokenDelivery": delivery,
        },
    })
}

/// Any body at all.
pub fn quarantine() -> Value {
    json!({
        "description": "Any JSON: what came, in place of each secret {\"Sealed\":\"<base64>\"}; or nothing, where it was discarded",
    })
}

/// The value of any other topic.
pub fn dead_letter() -> Value {
    json!({ "description": "The value of the record, as the topic in dead_letter_topic has it" })
}
