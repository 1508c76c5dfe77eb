//! `quarantine replay`.

use std::time::Duration;

use mews_bridge::credentials::seal::{KeyRing, Sealer};
use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
};

use super::{finished, replay, results};
use crate::{
    bridge::Setup,
    cluster::{Cluster, free_port},
    reader::{self, Query, Record},
    samples::{CANARY, HOTEL, INTEGRATION, event},
};

const DELIVERY: &str = "0199d1a4-5f60-7cc0-8000-1b6b1b6b1b6b";
const TIME: &str = "2026-11-01T10:00:00.250Z";

fn read(setup: &Setup, topic: &str, until: usize) -> Vec<Record> {
    reader::shared().read(&Cluster::shared().bootstrap(), &Query::of(&setup.prefix, topic, until))
}

/// A body as an earlier version has quarantined it.
fn quarantined_before(setup: &Setup, value: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", Cluster::shared().bootstrap())
        .create()
        .expect("a producer");
    let id = format!("{DELIVERY}-0");
    let header = |key, value| Header { key, value: Some(value) };
    let headers = OwnedHeaders::new()
        .insert(header("ce_id", id.as_str()))
        .insert(header("ce_time", TIME))
        .insert(header("traceparent", "trace"))
        .insert(header("quarantine_reason", "unknown_shape"));
    let topic = setup.topic("quarantine");
    producer
        .send(BaseRecord::to(&topic).key(DELIVERY).payload(value).headers(headers))
        .expect("room in the queue");
    producer.flush(Duration::from_secs(20)).expect("it is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_understood_now_goes_out_with_the_id_it_had() {
    let setup = Setup::new("replay-event", &Cluster::shared().bootstrap());
    let mut bridge = setup.start().await;
    let bad = r#"{"Name":"without an id"}"#;
    bridge
        .accept(format!(
            r#"{{"EnterpriseId":"{HOTEL}","IntegrationId":"{INTEGRATION}","Events":[
            {{"Discriminator":"CustomerAdded","Value":{{"Id":"a"}}}},{{"Discriminator":"CustomerAdded","Value":{bad}}}]}}"#
        ))
        .await;
    bridge.until_drained().await;
    assert_eq!(bridge.stop(), 0, "no ingress is needed: {}", bridge.log());
    let quarantined = read(&setup, "quarantine", 1).remove(0);
    let id = quarantined.must("ce_id");
    assert!(id.ends_with("-1"), "{id}");

    let refused = replay(&setup, &["quarantine", "replay", id], 74);
    assert_eq!(results(&refused), ["refused"]);
    assert!(refused[0]["detail"].as_str().unwrap().contains("still not understood"), "{refused:?}");
    // Under a discriminator that is not in the list, any value is taken.
    let setup = setup.set("topics.discriminators", vec!["PaymentUpdated"]);
    let dry = replay(&setup, &["quarantine", "replay", "--all", "--dry-run"], 0);
    assert_eq!(results(&dry), ["selected"]);
    assert_eq!(dry[0]["to"], setup.topic("events.unrecognized"));
    let sent = replay(&setup, &["quarantine", "replay", "--reason", "bad_event"], 0);
    assert_eq!(results(&sent), ["replayed"]);
    let record = read(&setup, "events.unrecognized", 1).remove(0);
    assert_eq!(record.text(), event(HOTEL, INTEGRATION, "CustomerAdded", bad, None));
    assert_eq!(record.key_text(), HOTEL);
    for name in ["ce_id", "ce_time", "traceparent"] {
        assert_eq!(record.must(name), quarantined.must(name), "{name}");
    }
    assert_eq!(read(&setup, "quarantine", 1).len(), 1, "it is not written a second time");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_integration_webhook_that_is_understood_now_brings_its_sealed_token() {
    let setup = Setup::new("replay-token", &Cluster::shared().bootstrap());
    setup.command(&["topics", "apply"]).must_exit(0);
    let sealed = Sealer::Seal(KeyRing::of(&[[0x5a; 32]])).conceal(format!("\"{CANARY}\"").as_bytes());
    let body = |token: &str| {
        format!(
            r#"{{"Action":"IntegrationCreated","Data":{{"Integration":{{"Id":"{INTEGRATION}"}},"AccessToken":{token}}}}}"#
        )
    };
    quarantined_before(&setup, &body(&sealed));
    let sent = finished(&setup, &["quarantine", "replay", DELIVERY], 0);
    for topic in ["integrations.IntegrationCreated", "credentials"] {
        assert!(sent.text().contains(&setup.topic(topic)), "{}", sent.text());
    }
    assert!(!sent.all().contains(CANARY), "{}", sent.all());
    let record = read(&setup, "integrations.IntegrationCreated", 1).remove(0);
    assert_eq!(record.text(), body(r#"{"Sealed":true}"#));
    assert_eq!((record.must("ce_id"), record.must("ce_time")), (&*format!("{DELIVERY}-0"), TIME));
    let credentials = read(&setup, "credentials", 1).remove(0);
    assert_eq!(credentials.key_text(), INTEGRATION);
    assert!(credentials.text().contains(&sealed), "{}", credentials.text());
    assert!(credentials.text().contains(DELIVERY), "as of the delivery that it was: {}", credentials.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_way_of_a_quarantine_replay_is_said() {
    let away = Setup::new("replay-q-away", &format!("127.0.0.1:{}", free_port()));
    away.command(&["quarantine", "replay"]).must_exit(64);
    let said = away.command(&["quarantine", "replay", "--all"]).must_exit(69).all();
    assert!(said.contains("Kafka"), "{said}");
    let away = away.unset("credentials.sealing_key_files");
    let said = away.command(&["quarantine", "replay", "--all"]).must_exit(64).all();
    assert!(said.contains("sealing_key_files"), "{said}");
    let setup = Setup::new("replay-q-missing", &Cluster::shared().bootstrap());
    for topic in ["quarantine", "dead-letters"] {
        reader::shared().create(&Cluster::shared().bootstrap(), &setup.topic(topic), 3, &[]);
    }
    quarantined_before(
        &setup,
        &format!(
            r#"{{"EnterpriseId":"{HOTEL}","IntegrationId":"{INTEGRATION}","Events":[{{"Discriminator":"CustomerAdded","Value":{{"Id":"a"}}}}]}}"#
        ),
    );
    let rows = replay(&setup, &["quarantine", "replay", "--all"], 74);
    assert!(rows[0]["detail"].as_str().unwrap().contains("events.CustomerAdded is missing"), "{rows:?}");
    let rows = replay(&setup, &["quarantine", "replay", "nobody"], 74);
    assert_eq!((results(&rows), rows[0]["id"].as_str()), (vec!["refused"], Some("nobody")));
}
