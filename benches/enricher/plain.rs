//! The loop to compare with: asks for batches, splits the answers, produces records with as many headers of
//! the same sizes. Nothing else: no events are read, no budget, no order, no offsets, no second try.

use std::{fs, sync::Arc, time::Duration};

use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{FutureProducer, FutureRecord, Producer as _},
};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::task::JoinSet;

/// The argument that makes this program the loop.
pub const ROLE: &str = "plain-loop";
/// Requests under way, as many as the enricher has with 20 tokens.
const AT_ONCE: usize = 16;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch {
    access_token: String,
    enterprise_id: String,
    ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    reservations: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    id: String,
}

/// `bootstrap topic platform client-token batches`
pub async fn run(arguments: &[String]) {
    let [bootstrap, topic, platform, client_token, batches] = arguments else { panic!("five arguments") };
    // Nobody has installed one in this process.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let batches: Vec<Batch> =
        serde_json::from_slice(&fs::read(batches).expect("batches")).expect("a list of batches");
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .expect("a producer");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = Arc::new(format!("{platform}/api/connector/v1/reservations/getAll/2023-06-06"));
    let mut tasks = JoinSet::new();
    for batch in batches {
        if tasks.len() >= AT_ONCE {
            tasks.join_next().await.expect("there are some").expect("a batch is done");
        }
        let (producer, client, url) = (producer.clone(), client.clone(), Arc::clone(&url));
        let (topic, client_token) = (topic.clone(), client_token.clone());
        tasks.spawn(async move {
            let body = json!({
                "ClientToken": client_token, "AccessToken": batch.access_token, "Client": "plain loop 1.0",
                "EnterpriseIds": [batch.enterprise_id], "ReservationIds": batch.ids,
                "Limitation": { "Count": 1000 },
            });
            let answer = client.post(&*url).body(body.to_string()).send().await.expect("an answer");
            assert!(answer.status().is_success(), "{}", answer.text().await.unwrap_or_default());
            let bytes = answer.bytes().await.expect("a body");
            let answer: Answer = serde_json::from_slice(&bytes).expect("reservations");
            for record in &answer.reservations {
                let named: Named = serde_json::from_str(record.get()).expect("an id");
                let record = FutureRecord::to(&topic)
                    .key(&named.id)
                    .payload(record.get())
                    .headers(headers(&named.id, &batch.enterprise_id));
                drop(producer.send_result(record).expect("room in the queue"));
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    producer.flush(Duration::from_secs(60)).expect("Kafka takes them");
}

/// Those of an entity's record, with made-up values.
fn headers(id: &str, enterprise_id: &str) -> OwnedHeaders {
    let source = format!("/mews/enterprises/{enterprise_id}");
    [
        ("content-type", "application/json"),
        ("ce_specversion", "1.0"),
        ("ce_id", id),
        ("ce_source", &source),
        ("ce_type", "com.mews.entity.reservations"),
        ("ce_subject", id),
        ("ce_time", "2026-01-01T00:00:00.000Z"),
        ("ce_enterpriseid", enterprise_id),
        ("ce_integrationid", enterprise_id),
        ("ce_partitionkey", id),
        ("traceparent", ""),
    ]
    .into_iter()
    .fold(OwnedHeaders::new_with_capacity(11), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}
