//! `mews-bridge contract`: what subscribers can rely on, as AsyncAPI 3.0 and JSON Schema (draft 7).
//!
//! ```text
//! TopicNames ─► a channel for each topic ─► message: key, headers, payload
//!                                               └ $ref ─► components.schemas, one `--schema` each
//! ```
//!
//! Guarantees: every topic of the configuration in force is in it, by its name there; every schema stands
//! alone, so that a subscriber can take one. Members that a schema does not name are allowed: Mews adds
//! some without notice, and the bridge passes on what it gets. It needs no Kafka.

mod headers;
mod message;
mod values;

use serde_json::{Map, Value, json};

use self::message::Message;
use super::{Exit, Failure, output};
use crate::{
    config::Config,
    kafka::{TopicNames, topics::TopicSpec},
};

/// Which version of the Kafka bindings the document uses.
const BINDING: &str = "0.5.0";
const DRAFT: &str = "http://json-schema.org/draft-07/schema#";
const ABOUT: &str = "Webhooks of Mews, and the records that they speak of, as Kafka topics. CloudEvents 1.0 in \
binary mode: the value is the data, the headers carry the context. At least once: a record that comes again \
carries the ce_id it had before. On one topic, the records of one key keep their order; keys are placed as \
the Java client places them (murmur2_random). Members that a schema does not name may come at any time.";

/// Runs the command.
///
/// # Errors
/// When there is no schema of that name, or it cannot be written.
pub fn run(schema: Option<&str>, config: &Config) -> Result<Exit, Failure> {
    let names = config.topic_names().map_err(|error| Failure::configuration(&error))?;
    let shown = match schema {
        None => document(&names),
        Some(name) => alone(&names, name)?,
    };
    let text = serde_json::to_string_pretty(&shown).expect("values always serialise into memory");
    output::print(format!("{text}\n").as_bytes())?;
    Ok(Exit::Clean)
}

/// The whole document.
fn document(names: &TopicNames) -> Value {
    let by_topic = |part: fn(&TopicSpec) -> Value| -> Map<String, Value> {
        names.all().map(|spec| (spec.logical.clone(), part(spec))).collect()
    };
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "mews-bridge",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": env!("CARGO_PKG_LICENSE") },
        },
        "defaultContentType": "application/json",
        "channels": by_topic(channel),
        "operations": by_topic(operation),
        "components": { "messages": by_topic(components_message), "schemas": schemas(names) },
    })
}

fn channel(spec: &TopicSpec) -> Value {
    let number = |key: &str| spec.configs.get(key).and_then(|value| value.parse::<i64>().ok());
    let policies: Vec<_> =
        spec.configs.get("cleanup.policy").into_iter().flat_map(|list| list.split(',')).collect();
    let mut configuration = json!({ "cleanup.policy": policies });
    for key in ["retention.ms", "max.message.bytes"] {
        if let Some(number) = number(key) {
            configuration[key] = number.into();
        }
    }
    let mut binding = json!({
        "topic": &*spec.name,
        "partitions": spec.partitions,
        "topicConfiguration": configuration,
        "bindingVersion": BINDING,
    });
    if let Some(copies) = spec.replication_factor {
        binding["replicas"] = copies.into();
    }
    json!({
        "address": &*spec.name,
        "description": Message::of(&spec.logical).description,
        "messages": { "record": { "$ref": format!("#/components/messages/{}", spec.logical) } },
        "bindings": { "kafka": binding },
    })
}

fn operation(spec: &TopicSpec) -> Value {
    json!({ "action": "send", "channel": { "$ref": format!("#/channels/{}", spec.logical) } })
}

fn components_message(spec: &TopicSpec) -> Value {
    let message = Message::of(&spec.logical);
    json!({
        "name": spec.logical,
        "title": message.title,
        "contentType": "application/json",
        "headers": { "$ref": format!("#/components/schemas/{}", message.headers) },
        "payload": { "$ref": format!("#/components/schemas/{}", spec.logical) },
        "bindings": {
            "kafka": {
                "key": { "type": "string", "description": message.key },
                "bindingVersion": BINDING,
            },
        },
    })
}

/// Those of all values, by the topic's name without prefix, and those of headers.
fn schemas(names: &TopicNames) -> Map<String, Value> {
    let values = names.all().map(|spec| (spec.logical.clone(), Message::of(&spec.logical).value));
    values.chain(headers::all()).collect()
}

/// One schema as a document of its own.
fn alone(names: &TopicNames, name: &str) -> Result<Value, Failure> {
    let mut schemas = schemas(names);
    let Some(mut schema) = schemas.remove(name) else {
        let names: Vec<_> = schemas.keys().map(String::as_str).collect();
        let message = format!("there is no schema {name}; there are:\n{}", names.join("\n"));
        return Err(Failure { exit: Exit::Configuration, message });
    };
    schema["$schema"] = DRAFT.into();
    Ok(schema)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::topics;

    fn names(text: &str) -> TopicNames {
        TopicNames::new(&toml::from_str(text).unwrap(), 8 << 20).unwrap()
    }

    /// Every `$ref` in a value.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
                members.values().for_each(|member| references(member, found));
            }
            Value::Array(list) => list.iter().for_each(|each| references(each, found)),
            _ => {}
        }
    }

    #[test]
    fn every_topic_in_force_is_a_channel_by_its_name() {
        let names = names("prefix = 'prod'\ndiscriminators = ['New.One']\nnames.quarantine = 'odd'");
        let document = document(&names);
        for spec in names.all() {
            assert_eq!(document["channels"][&spec.logical]["address"], *spec.name);
            assert_eq!(document["operations"][&spec.logical]["action"], "send");
        }
        assert_eq!(document["channels"].as_object().unwrap().len(), names.all().count());
        assert_eq!(document["channels"]["quarantine"]["address"], "odd");
        assert_eq!(
            document["channels"]["parked"]["bindings"]["kafka"]["topicConfiguration"]["cleanup.policy"],
            json!(["compact"])
        );
        let discriminator =
            &document["components"]["schemas"]["events.New.One"]["properties"]["Discriminator"];
        assert_eq!(discriminator["const"], "New.One");
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document(&names(""));
        let mut found = Vec::new();
        references(&document, &mut found);
        for reference in &found {
            let pointer = reference.strip_prefix('#').expect("within the document");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let topics = names("").all().count();
        assert_eq!(found.len(), 4 * topics, "channel, operation, headers, payload");
    }

    #[test]
    fn a_schema_stands_alone_and_an_unknown_one_is_told_from_those_there_are() {
        let names = names("");
        for name in schemas(&names).keys() {
            let schema = alone(&names, name).unwrap();
            assert_eq!(schema["$schema"], DRAFT);
            let mut found = Vec::new();
            references(&schema, &mut found);
            assert!(found.is_empty(), "{name}");
        }
        let failure = alone(&names, "events.No").unwrap_err();
        assert_eq!(failure.exit, Exit::Configuration);
        assert!(
            failure.message.contains("events.CustomerAdded") && failure.message.contains("headers.event")
        );
    }

    #[test]
    fn the_published_contract_is_that_of_the_defaults() {
        let published = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/asyncapi.json");
        let published: Value = serde_json::from_str(&std::fs::read_to_string(published).unwrap()).unwrap();
        let names = TopicNames::new(&topics::Config::default(), 8 << 20).unwrap();
        assert!(published == document(&names), "write it anew: mews-bridge contract > deploy/asyncapi.json");
    }
}
