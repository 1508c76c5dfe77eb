//! What each codec costs and saves on the records that the bridge really sends.
//!
//! ```text
//! cargo bench --bench compression            three rounds of 200 000 records a codec
//! ```
//!
//! Records are General events of one id, headers included, keyed by one of 50 hotels, handed to a
//! client with the bridge's own settings. Bytes are what the client put on the wire; CPU is that of
//! the whole process, the embedded broker's included, which stores batches as they come. The codecs
//! take turns; figures are medians. The choice is the default of `compression.type` in `settings.rs`.

#![expect(clippy::print_stdout, reason = "a benchmark's figures are for whoever runs it")]

use std::{sync::mpsc, time::Duration};

use mews_bridge::kafka::{Config, embedded::Embedded};
use rdkafka::{
    ClientContext,
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer},
};

const CODECS: [&str; 4] = ["none", "lz4", "snappy", "zstd"];
const RECORDS: usize = 200_000;
const ROUNDS: usize = 3;

fn main() {
    println!("{RECORDS} records a round, medians of {ROUNDS} rounds\n");
    println!("{:<8} {:>14} {:>16}", "codec", "wire bytes", "CPU us a record");
    let mut rounds = vec![Vec::new(); CODECS.len()];
    for _ in 0..ROUNDS {
        for (codec, figures) in CODECS.iter().zip(&mut rounds) {
            figures.push(round(codec));
        }
    }
    for (codec, figures) in CODECS.iter().zip(rounds) {
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let bytes = median(figures.iter().map(|(bytes, _)| *bytes as f64 / RECORDS as f64).collect());
        let cpu = median(figures.iter().map(|(_, cpu)| cpu.as_secs_f64() * 1e6 / RECORDS as f64).collect());
        println!("{codec:<8} {bytes:>14.1} {cpu:>16.2}");
    }
}

/// Wire bytes and CPU time of one round.
fn round(codec: &str) -> (u64, Duration) {
    let names = mews_bridge::config::Config::default().topic_names().expect("the defaults are sound");
    let topic = names.events("ServiceOrderUpdated");
    let broker = Embedded::start(1).expect("the embedded broker starts");
    broker.create(&names.written_by_ingress()).expect("topics are made");
    let config = Config { bootstrap_servers: broker.bootstrap_servers().to_owned(), ..Config::default() };
    let mut settings = config.producer().expect("the defaults are sound");
    settings.set("compression.type", codec).set("statistics.interval.ms", "100");
    let (statistics, sent) = mpsc::channel();
    let producer: ThreadedProducer<Meter> =
        settings.create_with_context(Meter(statistics)).expect("a producer");
    let before = cpu();
    for n in 0..RECORDS {
        let mut record = (key(n), value(n), headers(n));
        loop {
            let (key, value, headers) = record;
            let sending = BaseRecord::to(&topic).key(&key).payload(&value).headers(headers.clone());
            match producer.send(sending) {
                Ok(()) => break,
                // Only a full queue refuses here, and it empties.
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
            record = (key, value, headers);
        }
    }
    producer.flush(Duration::from_secs(60)).expect("everything is delivered");
    let took = cpu() - before;
    std::thread::sleep(Duration::from_millis(300));
    (sent.try_iter().max().unwrap_or_default(), took)
}

struct Meter(mpsc::Sender<u64>);

impl ClientContext for Meter {
    fn stats(&self, statistics: rdkafka::Statistics) {
        let bytes = u64::try_from(statistics.tx_bytes).unwrap_or_default();
        // The receiver is there as long as the round.
        let _ = self.0.send(bytes);
    }
}

impl ProducerContext for Meter {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

fn key(n: usize) -> String {
    format!("851df8c8-90f2-4c4a-8e01-a4fc46b251{:02}", n % 50)
}

/// Ids have little in common, as UUIDs do.
fn id(n: usize) -> String {
    let mixed = (n as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    uuid::Builder::from_random_bytes(mixed.to_be_bytes()).into_uuid().to_string()
}

fn value(n: usize) -> String {
    format!(
        r#"{{"EnterpriseId":"{}","IntegrationId":"7d9f2e31-8c44-4f0b-a1b2-c3d4e5f60718","Discriminator":"ServiceOrderUpdated","Value":{{"Id":"{}"}}}}"#,
        key(n),
        id(n)
    )
}

fn headers(n: usize) -> OwnedHeaders {
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", format!("{}-{}", id(n / 6), n % 6)),
        ("ce_source", format!("/mews/enterprises/{}", key(n))),
        ("ce_type", "com.mews.connector.ServiceOrderUpdated".to_owned()),
        ("ce_subject", id(n)),
        ("ce_time", format!("2026-03-01T10:15:{:02}.{:03}Z", n / 1000 % 60, n % 1000)),
        ("ce_enterpriseid", key(n)),
        ("ce_integrationid", "7d9f2e31-8c44-4f0b-a1b2-c3d4e5f60718".to_owned()),
        ("ce_partitionkey", key(n)),
        ("traceparent", format!("00-{}-00f067aa0ba902b7-01", id(n / 6).replace('-', ""))),
    ];
    headers
        .iter()
        .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(value) }))
}

/// User and system time of this process, from the kernel's clock ticks of 10 ms.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: u64 = [11, 12].iter().map(|at| fields[*at].parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}
