//! Events on their topic as the ingress writes them, without the ingress.

use std::time::{Duration, SystemTime};

use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use crate::world::World;

/// What one hotel's integration tells of.
pub struct Told {
    pub hotel: String,
    pub integration: String,
    pub ids: Vec<String>,
}

/// Events of one webhook: Mews batches them by the hundreds (contract 1.5).
const EVENTS: usize = 100;

/// `ServiceOrderUpdated` for every id, webhook by webhook, the hotels in turn.
pub fn write(bootstrap: &str, world: &World, told: &[Told]) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("partitioner", "murmur2_random")
        .set("queue.buffering.max.messages", "1000000")
        .create()
        .expect("a producer");
    let topic = world.setup.topic("events.ServiceOrderUpdated");
    let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let longest = told.iter().map(|told| told.ids.len()).max().unwrap_or_default();
    for webhook in (0..longest).step_by(EVENTS) {
        for Told { hotel, integration, ids } in told {
            for id in ids.iter().skip(webhook).take(EVENTS) {
                let value = format!(
                    r#"{{"EnterpriseId":"{hotel}","IntegrationId":"{integration}","Discriminator":"ServiceOrderUpdated","Value":{{"Id":"{id}"}}}}"#
                );
                let ce_id = format!("{id}-0");
                let header = |key, value| Header { key, value: Some(value) };
                let headers =
                    OwnedHeaders::new().insert(header("ce_id", &*ce_id)).insert(header("ce_time", &*time));
                let record = BaseRecord::to(&topic).key(hotel).payload(&value).headers(headers);
                producer.send(record).expect("the queue is large enough");
            }
        }
    }
    producer.flush(Duration::from_secs(60)).expect("Kafka takes them");
}
