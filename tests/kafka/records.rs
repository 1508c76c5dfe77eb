//! What a subscriber gets: topics, keys, partitions, values and headers, and no secrets.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use hyper::Method;
use uuid::Uuid;

use crate::{
    bridge::{Bridge, Setup, TOKEN},
    cluster::Cluster,
    http::{Client, raw},
    reader::{self, Query, Record},
    samples::{self, CANARY, Expected, HOTEL, INTEGRATION, Key, Sample, Value},
};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// What goes to subscribers; `mews.credentials` is for the enricher.
const PUBLIC: &str = "(events|integrations|quarantine|dead-letters).*";

/// Sends every sample, each with the trace context, one after the other.
async fn send_all(bridge: &Bridge, samples: &[Sample]) {
    let mut client = Client::new(bridge.port());
    for sample in samples {
        let path = format!("{}?Token={TOKEN}", sample.route);
        let body = Bytes::from(sample.body.clone());
        let answer = client.send(Method::POST, &path, &[("traceparent", TRACE)], body).await;
        let answer = answer.unwrap_or_else(|error| panic!("{}: {error}\n{}", sample.name, bridge.log()));
        assert_eq!(answer.status, sample.status, "{}: {}", sample.name, answer.text());
        if sample.status == 400 {
            assert_eq!(answer.header("content-type"), "application/problem+json", "{}", sample.name);
            assert!(!answer.text().contains(CANARY), "{}: the answer repeats the body", sample.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_webhook_becomes_its_records() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("records", &bootstrap).set("topics.partitions", 12);
    let mut bridge = setup.start().await;
    let began = SystemTime::now() - Duration::from_millis(1);
    let samples = samples::all();
    send_all(&bridge, &samples).await;
    let wanted = samples.iter().map(|sample| sample.records.len()).sum();
    bridge.until_drained().await;
    let records = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, PUBLIC, wanted));
    assert_eq!(records.len(), wanted, "records that no sample asked for");

    for sample in &samples {
        let mut delivery = None;
        for expected in &sample.records {
            let record = find(&records, &setup, expected, sample.name);
            let id = judge(record, expected, sample.name, began);
            let same = *delivery.get_or_insert(id);
            assert_eq!(id, same, "{}: one delivery has one id", sample.name);
        }
    }
    let keys: Vec<_> = records.iter().map(|record| record.key.as_deref().unwrap()).collect();
    let placed = reader::shared().partitions(&keys, 12);
    for (record, partition) in records.iter().zip(placed) {
        assert_eq!(record.partition, partition, "partition of key {} on {}", record.key_text(), record.topic);
    }
    let hotels = records.iter().filter(|record| record.key_text() == HOTEL);
    assert!(hotels.clone().count() > 10);
    assert!(hotels.clone().all(|record| record.partition == 3), "the reference key is on 3 of 12");
}

/// The one record that an expectation means.
fn find<'a>(records: &'a [Record], setup: &Setup, expected: &Expected, sample: &str) -> &'a Record {
    let topic = setup.topic(&expected.topic);
    let on_topic: Vec<_> = records.iter().filter(|record| record.topic == topic).collect();
    let mut found = on_topic.iter().filter(|record| {
        let text = record.text();
        let is_value = match &expected.value {
            Value::Exactly(value) => text == *value,
            Value::SealedBetween(before, after) => is_sealed_between(&text, before, after),
        };
        is_value && record.header("quarantine_reason") == expected.quarantine_reason
    });
    let values: Vec<_> = on_topic.iter().map(|record| record.text()).collect();
    let record = found.next().unwrap_or_else(|| panic!("{sample}: no such record on {topic}: {values:#?}"));
    // Two bodies that are not JSON look alike: each is sealed whole.
    let is_whole = matches!(&expected.value, Value::SealedBetween(before, _) if before.is_empty());
    assert!(is_whole || found.next().is_none(), "{sample}: twice on {topic}");
    record
}

fn is_sealed_between(text: &str, before: &str, after: &str) -> bool {
    let literal = text.strip_prefix(before).and_then(|text| text.strip_suffix(after));
    let base64 = literal.and_then(|text| text.strip_prefix(r#"{"Sealed":""#)?.strip_suffix(r#""}"#));
    base64.is_some_and(|base64| base64.len() > 40 && !base64.contains('"'))
}

/// Checks a record's key and headers; returns the delivery's id.
fn judge(record: &Record, expected: &Expected, sample: &str, began: SystemTime) -> Uuid {
    let id = record.must("ce_id");
    let (delivery, index) = id.split_at_checked(36).unwrap_or_else(|| panic!("{sample}: ce_id {id}"));
    assert_eq!(index, format!("-{}", expected.index), "{sample}: index in ce_id {id}");
    let delivery: Uuid = delivery.parse().unwrap_or_else(|_| panic!("{sample}: ce_id {id}"));
    assert_eq!(delivery.get_version_num(), 7, "{sample}: {id}");
    let key = match &expected.key {
        Key::Is(key) => key.clone(),
        Key::DeliveryId => delivery.to_string(),
    };
    assert_eq!(record.key_text(), key, "{sample}: key");
    let optional = |text: &Option<String>| text.clone();
    for (name, value) in [
        ("content-type", Some("application/json".to_owned())),
        ("ce_specversion", Some("1.0".to_owned())),
        ("ce_source", Some(expected.source.clone())),
        ("ce_type", Some(expected.kind.clone())),
        ("ce_subject", optional(&expected.subject)),
        ("ce_partitionkey", Some(key)),
        ("traceparent", Some(TRACE.to_owned())),
        ("entity_omitted", None),
    ] {
        assert_eq!(record.header(name), value.as_deref(), "{sample}: {name}");
    }
    if expected.quarantine_reason.is_some() {
        assert!(!record.must("quarantine_detail").is_empty(), "{sample}: says what is wrong");
    } else {
        assert_eq!(
            record.header("ce_enterpriseid"),
            expected.enterprise.as_deref(),
            "{sample}: ce_enterpriseid"
        );
        assert_eq!(
            record.header("ce_integrationid"),
            expected.integration.as_deref(),
            "{sample}: ce_integrationid"
        );
    }
    let time = record.must("ce_time");
    let time = humantime::parse_rfc3339(time).unwrap_or_else(|_| panic!("{sample}: ce_time {time}"));
    assert!(
        time >= began - Duration::from_millis(1) && time <= SystemTime::now(),
        "{sample}: ce_time {time:?}"
    );
    delivery
}

#[tokio::test(flavor = "multi_thread")]
async fn every_integration_has_its_sealed_credentials() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("credentials", &bootstrap);
    let mut bridge = setup.start().await;
    let samples = samples::all();
    send_all(&bridge, &samples).await;
    bridge.until_drained().await;
    let records = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, "credentials", 7));
    for sample in &samples {
        let [expected] = &sample.records[..] else { continue };
        if !expected.topic.starts_with("integrations.Integration") {
            continue;
        }
        let integration = expected.integration.clone().unwrap();
        let last = records.iter().rfind(|record| record.key_text() == integration);
        let last = last.unwrap_or_else(|| panic!("{}: no credentials record", sample.name));
        assert_eq!(last.must("ce_type"), expected.kind);
        assert_eq!(last.must("ce_source"), expected.source);
        assert_eq!(last.must("ce_subject"), integration);
        let brings_token = ["IntegrationCreated", "IntegrationApiKeyCreated"].contains(&sample.name);
        assert_eq!(last.text().contains(r#"{"Sealed":""#), brings_token, "{}: {}", sample.name, last.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_nowhere_in_plain() {
    let bootstrap = Cluster::shared().bootstrap();
    let wrong = "canary-wrong-token-77aa";
    let second = "canary-second-token-19fe";
    let setup = Setup::new("secrets", &bootstrap).set("telemetry.log", "debug");
    let file = setup.dir().join("second.token");
    fs::write(&file, format!(" {second}\n")).unwrap();
    let setup = setup.set("ingress.token_files.second", file.display().to_string());
    let mut bridge = setup.start().await;
    send_all(&bridge, &samples::all()).await;
    let mut client = Client::new(bridge.port());
    let body = samples::general(HOTEL, "CustomerAdded", r#"{"Id":"a"}"#);
    for (path, status) in [
        (format!("/webhooks?token={second}"), 202),
        (format!("/webhooks/general/{second}"), 202),
        (format!("/webhooks/{TOKEN}"), 202),
        (format!("/webhooks?token={wrong}"), 401),
        (format!("/webhooks/{wrong}"), 401),
        (format!("/{TOKEN}"), 404),
    ] {
        let answer = client.post(&path, body.clone()).await.unwrap();
        assert_eq!(answer.status, status, "{}", answer.text());
        assert!(!answer.text().contains("canary-"), "the answer repeats a token: {}", answer.text());
    }
    bridge.until_drained().await;
    // While the journal is open: a clean end may delete what is delivered.
    let mut places = files_under(&setup.journal());
    let (metrics, state) = (bridge.admin("/metrics").await.text(), bridge.admin("/state").await.text());
    assert!(metrics.contains("token=\"second\""), "a token is known by its alias");
    assert_eq!(bridge.stop(), 0, "{}", bridge.log());
    places.push(("log".to_owned(), bridge.log().into_bytes()));
    places.push(("/metrics".to_owned(), metrics.into_bytes()));
    places.push(("/state".to_owned(), state.into_bytes()));
    places
        .push(("config show".to_owned(), setup.command(&["config", "show"]).must_exit(0).all().into_bytes()));
    for record in reader::shared().read(&bootstrap, &Query::of(&setup.prefix, ".*", 30)) {
        let headers: String = record.headers.iter().map(|(name, value)| format!("{name}={value} ")).collect();
        let parts = [record.key.unwrap_or_default(), record.value.unwrap_or_default(), headers.into_bytes()];
        places.push((record.topic, parts.concat()));
    }
    let key = "5a".repeat(32);
    for (place, bytes) in &places {
        for secret in [CANARY, TOKEN, wrong, second, &key] {
            assert!(!contains(bytes, secret.as_bytes()), "{secret} is in {place}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn discarded_secrets_are_kept_nowhere_at_all() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("discard", &bootstrap)
        .unset("credentials.sealing_key_files")
        .set("credentials.discard_secrets", true);
    let mut bridge = setup.start().await;
    send_all(&bridge, &samples::all()).await;
    bridge.until_drained().await;
    let records = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, ".*", 30));
    assert!(records.iter().all(|record| !record.text().contains("Sealed")), "nothing is sealed");
    let not_json =
        records.iter().find(|record| record.header("quarantine_reason") == Some("not_json")).unwrap();
    assert_eq!(not_json.value.as_deref(), Some(&[][..]), "an empty value, which is no tombstone");
    assert!(not_json.must("quarantine_detail").contains("discarded"), "{:?}", not_json.headers);
    let created =
        records.iter().find(|record| record.topic == setup.topic("integrations.IntegrationCreated"));
    assert!(
        created.unwrap().text().contains(r#""AccessToken": {"Discarded":true}"#),
        "{}",
        created.unwrap().text()
    );
}

/// Mews re-sends a refused body; the same bytes are quarantined once an hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_json_is_quarantined_once_however_often_it_is_sent() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("resent", &bootstrap);
    let mut bridge = setup.start().await;
    for body in ["not JSON", "not JSON", "not JSON either", "not JSON"] {
        assert_eq!(bridge.post(body).await.status, 400);
    }
    bridge.until_drained().await;
    let records = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, "quarantine", 2));
    assert_eq!(records.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn quarantined_bodies_can_be_opened_byte_for_byte() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("opened", &bootstrap);
    let mut bridge = setup.start().await;
    let body = format!("\u{0}not JSON \"AccessToken\" {CANARY}\r\n");
    assert_eq!(bridge.post(body.clone()).await.status, 400);
    bridge.until_drained().await;
    let records = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, "quarantine", 1));
    let id = records[0].must("ce_id");
    let closed = setup.command(&["quarantine", "cat", id]).must_exit(0);
    assert_eq!(Some(closed.bytes), records[0].value, "without --open: the record as it is");
    let opened = setup.command(&["quarantine", "cat", "--open", id]).must_exit(0);
    assert_eq!(opened.bytes, body.as_bytes());
    let listed = setup.command(&["quarantine", "ls", "--output", "json"]).must_exit(0).text();
    assert!(listed.contains(id) && listed.contains("not_json"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_begun_where_none_came_in() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("trace", &bootstrap);
    let mut bridge = setup.start().await;
    let body = format!(
        r#"{{"EnterpriseId":"{HOTEL}","IntegrationId":"{INTEGRATION}","Events":[{{"Discriminator":"CustomerAdded","Value":{{"Id":"a"}}}}]}}"#
    );
    bridge.accept(body.clone()).await;
    bridge.accept(body).await;
    let records = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, "events.*", 2));
    let traces: Vec<_> = records.iter().map(|record| record.must("traceparent")).collect();
    for trace in &traces {
        let parts: Vec<_> = trace.split('-').map(str::len).collect();
        assert_eq!(parts, [2, 32, 16, 2], "{trace}");
    }
    assert_ne!(traces[0], traces[1]);
    assert_ne!(records[0].must("ce_id"), records[1].must("ce_id"), "two equal bodies are two deliveries");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_before_the_body_is_sent() {
    let setup = Setup::new("refused", &Cluster::shared().bootstrap());
    let bridge = setup.start().await;
    let head = |token: &str| {
        format!(
            "POST /webhooks?token={token} HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 100000\r\n\r\n"
        )
    };
    let wrong = raw(bridge.port(), head("wrong").as_bytes(), Duration::from_secs(2)).await;
    assert!(wrong.starts_with("HTTP/1.1 401 "), "{wrong}");
    let right = raw(bridge.port(), head(TOKEN).as_bytes(), Duration::from_secs(2)).await;
    assert!(right.starts_with("HTTP/1.1 100 "), "{right}");
}

fn files_under(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the journal can be read") {
            let path = entry.expect("a folder entry").path();
            let kind = fs::symlink_metadata(&path).expect("a folder entry").file_type();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                files.push((path.display().to_string(), fs::read(&path).expect("a file of ours")));
            }
        }
    }
    assert!(!files.is_empty(), "the journal has files");
    files
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
