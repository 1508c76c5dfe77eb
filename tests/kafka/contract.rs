//! `contract`: what is on the topics is what it says.

use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Method;
use serde_json::{Map, Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    bridge::{Setup, TOKEN},
    cluster::{Cluster, free_port},
    http::Client,
    reader::{self, Query, Record},
    samples,
    world::{World, quiet},
};

/// What is wrong with a value; only what the contract's schemas use is understood.
fn objection(schema: &Value, value: &Value) -> Option<String> {
    let keywords = schema.as_object().expect("a schema is an object");
    keywords.iter().find_map(|(keyword, wanted)| {
        let holds = match keyword.as_str() {
            "$schema" | "description" => true,
            "type" => match wanted {
                Value::Array(kinds) => kinds.iter().any(|kind| is_a(value, kind)),
                kind => is_a(value, kind),
            },
            "const" => value == wanted,
            "enum" => wanted.as_array().expect("a list").contains(value),
            "minLength" => {
                value.as_str().is_none_or(|text| text.len() as u64 >= wanted.as_u64().expect("a number"))
            }
            "format" => value.as_str().is_none_or(|text| match wanted.as_str() {
                Some("date-time") => humantime::parse_rfc3339(text).is_ok(),
                Some("uuid") => Uuid::try_parse(text).is_ok(),
                other => panic!("format {other:?} is not understood"),
            }),
            "required" => {
                let names = wanted.as_array().expect("a list");
                let has = |name: &Value| value.get(name.as_str().expect("a name")).is_some();
                !value.is_object() || names.iter().all(has)
            }
            "properties" => {
                let members = wanted.as_object().expect("an object");
                let wrong = members.iter().find_map(|(name, schema)| {
                    Some(format!("{name}: {}", objection(schema, value.get(name)?)?))
                });
                return wrong;
            }
            other => panic!("keyword {other} is not understood"),
        };
        (!holds).then(|| format!("{keyword} is to be {wanted}, and it is {value}"))
    })
}

fn is_a(value: &Value, kind: &Value) -> bool {
    match kind.as_str().expect("a kind") {
        "object" => value.is_object(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("type {other} is not understood"),
    }
}

/// The document of a configuration.
fn contract(setup: &Setup) -> Value {
    serde_json::from_slice(&setup.command(&["contract"]).must_exit(0).bytes).expect("the contract is JSON")
}

fn follow<'a>(document: &'a Value, holder: &'a Value) -> &'a Value {
    let reference = holder["$ref"].as_str().expect("a reference");
    document.pointer(reference.strip_prefix('#').expect("within the document")).expect("it leads somewhere")
}

/// Checks a record against the message of its topic.
fn judge(document: &Value, record: &Record) {
    let channels = document["channels"].as_object().expect("channels by name");
    let channel = channels.values().find(|channel| channel["address"] == record.topic);
    let channel = channel.unwrap_or_else(|| panic!("{} is no channel", record.topic));
    let message = follow(document, &channel["messages"]["record"]);
    // A tombstone has no value, and on mews.parked no headers either.
    let Some(value) = &record.value else { return };
    let headers = record.headers.iter().map(|(name, value)| (name.clone(), value.clone().into()));
    let headers = Value::Object(headers.collect::<Map<_, _>>());
    let wrong = objection(follow(document, &message["headers"]), &headers);
    assert_eq!(wrong, None, "headers on {}: {headers}", record.topic);
    let known = follow(document, &message["headers"])["properties"].as_object().expect("headers by name");
    let unknown: Vec<_> = record.headers.iter().filter(|(name, _)| !known.contains_key(name)).collect();
    assert!(unknown.is_empty(), "headers on {} that no schema names: {unknown:?}", record.topic);
    // One sample has a number that JSON allows and no float holds.
    let value = String::from_utf8_lossy(value).replace("1e400", "1e300");
    let value: Value = serde_json::from_str(&value).expect("the samples are JSON, or sealed");
    let wrong = objection(follow(document, &message["payload"]), &value);
    assert_eq!(wrong, None, "value on {}: {value}", record.topic);
}

#[test]
fn a_schema_is_printed_alone_and_kafka_is_not_asked() {
    let setup = Setup::new("contract-away", &format!("127.0.0.1:{}", free_port()));
    let document = contract(&setup);
    assert_eq!(document["channels"]["quarantine"]["address"], setup.topic("quarantine"));
    let printed = setup.command(&["contract", "--schema", "events.CustomerAdded"]).must_exit(0).bytes;
    let schema: Value = serde_json::from_slice(&printed).expect("a schema is JSON");
    let value = |id: &str| {
        let event = samples::event("h", "i", "CustomerAdded", id, None);
        serde_json::from_str::<Value>(&event).expect("an event is JSON")
    };
    assert_eq!(objection(&schema, &value(r#"{"Id":"a","New":1}"#)), None);
    for wrong in ["null", "{}", r#"{"Id":""}"#, r#"{"Id":7}"#] {
        assert!(objection(&schema, &value(wrong)).is_some(), "{wrong}");
    }
    let said = setup.command(&["contract", "--schema", "nobody"]).must_exit(64).all();
    assert!(said.contains("events.CustomerAdded"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_topic_is_in_it_and_every_record_of_an_ingress_is_as_it_says() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("contract", &bootstrap);
    let mut bridge = setup.start().await;
    let mut client = Client::new(bridge.port());
    let samples = samples::all();
    for sample in &samples {
        let path = format!("{}?token={TOKEN}", sample.route);
        let answer = client.send(Method::POST, &path, &[], Bytes::from(sample.body.clone())).await;
        assert_eq!(answer.expect("an answer").status, sample.status, "{}", sample.name);
    }
    bridge.until_drained().await;
    let document = contract(&setup);
    let wanted: usize = samples.iter().map(|sample| sample.records.len()).sum();
    let records = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, ".*", wanted + 7));
    records.iter().for_each(|record| judge(&document, record));
    let channels = document["channels"].as_object().expect("channels by name");
    for (topic, found) in reader::shared().topics(&bootstrap, &setup.prefix) {
        let binding = &channels[&topic]["bindings"]["kafka"];
        assert_eq!(binding["partitions"], found.partitions, "{topic}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_record_of_an_enricher_is_as_it_says() {
    let bootstrap = Cluster::shared().bootstrap();
    let mut world = World::new("contract-enricher", quiet()).await;
    let enricher = world.enricher().await;
    for kind in
        ["reservations", "resources", "messages", "resource-blocks", "customers", "payments", "products"]
    {
        world.change(json!({ "kind": kind, "count": 2 })).await;
    }
    world.until_true(&[&enricher]).await;
    let integration = world.simulator.connections()[0].integration_id;
    let body = |hotel: &str| {
        json!({
            "EnterpriseId": hotel, "IntegrationId": integration,
            "Events": [{ "Discriminator": "ResourceUpdated", "Value": { "Id": Uuid::new_v4() } }],
        })
    };
    let hotel = world.hotel(0).await;
    world.ingress.accept(body(&hotel).to_string()).await;
    // Nobody has a token for it, so it is parked.
    world
        .ingress
        .accept(body(&Uuid::new_v4().to_string()).to_string().replace(&integration.to_string(), "other"))
        .await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while world.view.count("dead-letters") == 0 || world.view.count("parked") == 0 {
        assert!(Instant::now() < deadline, "{:?}\n{}", world.dead_letters(), enricher.log());
        sleep(Duration::from_millis(50)).await;
    }
    let document = contract(&world.setup);
    let query = Query::of(&world.setup.prefix, "(entities|parked|dead-letters|events).*", 14);
    let records = reader::shared().read(&bootstrap, &query);
    records.iter().for_each(|record| judge(&document, record));
    for topic in ["parked", "dead-letters", "entities.products", "entities.messages"] {
        let topic = world.setup.topic(topic);
        assert!(records.iter().any(|record| record.topic == topic), "{topic}");
    }
}
