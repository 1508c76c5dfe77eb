//! `dead-letters replay`.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{finished, replay, results, rows};
use crate::{
    bridge::{Bridge, Setup},
    cluster::{Cluster, free_port},
    reader::{self, Query, Record},
    samples::{HOTEL, INTEGRATION, event, general},
    world::{World, quiet},
};

/// An ingress on a cluster that has only these topics, and gives the others up after 3 s.
async fn with_topics(name: &str, topics: &[&str]) -> (Setup, Bridge) {
    let bootstrap = Cluster::shared().bootstrap();
    let setup =
        Setup::new(name, &bootstrap).set("topics.provision", "off").set("kafka.give_up_topic_after", "3s");
    create(&setup, topics);
    let bridge = setup.start().await;
    (setup, bridge)
}

fn create(setup: &Setup, topics: &[&str]) {
    for topic in topics {
        reader::shared().create(&Cluster::shared().bootstrap(), &setup.topic(topic), 3, &[]);
    }
}

fn read(setup: &Setup, topic: &str, until: usize) -> Vec<Record> {
    reader::shared().read(&Cluster::shared().bootstrap(), &Query::of(&setup.prefix, topic, until))
}

/// Keeps other topics flowing until a dead letter is there.
async fn until_dead(setup: &Setup, bridge: &mut Bridge) -> Record {
    let deadline = Instant::now() + Duration::from_secs(30);
    while bridge.metric("journal_completed_records_total", &[("disposition", "dead_lettered")]).await < 1.0 {
        bridge.accept(general(HOTEL, "CustomerAdded", r#"{"Id":"a"}"#)).await;
        assert!(Instant::now() < deadline, "{}", bridge.log());
        sleep(Duration::from_millis(100)).await;
    }
    read(setup, "dead-letters", 1).remove(0)
}

/// Dead letters as no part of the bridge writes them: an id and an origin, or none.
fn odd_letters<'a>(
    setup: &Setup,
    cluster: &Cluster,
    letters: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
) {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", cluster.bootstrap()).create().expect("a producer");
    let header = |key, value| Header { key, value: Some(value) };
    let topic = setup.topic("dead-letters");
    for (id, origin) in letters {
        let mut headers = OwnedHeaders::new().insert(header("ce_id", id));
        if let Some(origin) = origin {
            headers = headers.insert(header("dead_letter_topic", origin));
        }
        let record = BaseRecord::to(&topic).key("odd").payload("{}").headers(headers);
        producer.send(record).expect("room in the queue");
    }
    producer.flush(Duration::from_secs(20)).expect("it is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_goes_back_as_it_was_once_its_topic_is_there() {
    let (setup, mut bridge) = with_topics("replay-dead", &["events.CustomerAdded", "dead-letters"]).await;
    bridge.accept(general(HOTEL, "PaymentUpdated", r#"{"Id":"a"}"#)).await;
    let letter = until_dead(&setup, &mut bridge).await;
    let id = letter.must("ce_id").to_owned();

    let tried = replay(&setup, &["dead-letters", "replay", &id], 74);
    assert_eq!(results(&tried), ["refused"]);
    assert!(tried[0]["detail"].as_str().unwrap().contains("missing"), "{tried:?}");
    create(&setup, &["events.PaymentUpdated"]);
    let dry = replay(&setup, &["dead-letters", "replay", "--all", "--dry-run"], 0);
    assert_eq!(results(&dry), ["selected"]);
    assert_eq!(dry[0]["to"], setup.topic("events.PaymentUpdated"));

    let sent = finished(&setup, &["dead-letters", "replay", "--reason", "topic_unavailable"], 0);
    assert_eq!(results(&rows(&sent)), ["replayed"]);
    assert_eq!(rows(&sent)[0]["id"], id);
    assert!(sent.errors.contains("1 replayed, 0 refused"), "the sum: {}", sent.errors);
    let record = read(&setup, "events.PaymentUpdated", 1).remove(0);
    assert_eq!(record.text(), event(HOTEL, INTEGRATION, "PaymentUpdated", r#"{"Id":"a"}"#, None));
    assert_eq!(record.key_text(), HOTEL);
    assert_eq!(vec![record.partition], reader::shared().partitions(&[HOTEL.as_bytes()], 3));
    let own = |record: &Record| {
        let mut headers = record.headers.clone();
        headers.retain(|(name, _)| !name.starts_with("dead_letter_"));
        headers
    };
    assert_eq!(own(&record), own(&letter));
    let added = record.headers.iter().filter(|(name, _)| name.starts_with("dead_letter_")).count();
    assert_eq!((added, record.header("dead_letter_replayed").is_some()), (1, true));

    // A second replay sends it again; what has no origin holds nothing up.
    odd_letters(&setup, Cluster::shared(), [("odd-0", None), ("odd-1", Some("somebody.elses"))]);
    let again = replay(&setup, &["dead-letters", "replay", "--all"], 74);
    let mut both = results(&again);
    both.sort_unstable();
    assert_eq!(both, ["refused", "refused", "replayed"]);
    let twice = read(&setup, "events.PaymentUpdated", 2);
    assert!(twice.iter().all(|record| record.must("ce_id") == id), "known by its ce_id");
    let of_topic = setup.topic("events.PaymentUpdated");
    assert_eq!(results(&replay(&setup, &["dead-letters", "replay", "--topic", &of_topic], 0)), ["replayed"]);
}

#[test]
fn what_no_broker_confirms_is_said_and_nothing_more_is_sent() {
    let cluster = Cluster::start_private(1);
    let setup = Setup::new("replay-frozen", &cluster.bootstrap());
    setup.command(&["topics", "apply"]).must_exit(0);
    let origin = setup.topic("events.PaymentUpdated");
    let ids: Vec<_> = (0..5000).map(|number| format!("letter-{number}")).collect();
    odd_letters(&setup, &cluster, ids.iter().map(|id| (id.as_str(), Some(origin.as_str()))));
    let mut command = Command::new(env!("CARGO_BIN_EXE_mews-bridge"))
        .args(["dead-letters", "replay", "--all", "--output", "json", "--config", &setup.config()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary can be started");
    let mut rows = BufReader::new(command.stdout.take().expect("it is piped")).lines();
    rows.next().expect("a row").expect("a line");
    cluster.freeze(1);
    let rest: Vec<Value> =
        rows.map(|row| serde_json::from_str(&row.expect("a line")).expect("a JSON line")).collect();
    cluster.thaw(1);
    assert_eq!(command.wait().expect("it is ours").code(), Some(69));
    assert!(rest.len() < 4999, "it was under way when the broker froze");
    let (last, confirmed) = rest.split_last().expect("the broker was frozen before the end");
    assert_eq!(results(std::slice::from_ref(last)), ["unconfirmed"]);
    assert!(results(confirmed).iter().all(|result| *result == "replayed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_unknown_ids_and_a_kafka_that_is_away_have_their_codes() {
    let away = Setup::new("replay-away", &format!("127.0.0.1:{}", free_port()));
    away.command(&["dead-letters", "replay"]).must_exit(64);
    away.command(&["dead-letters", "replay", "--all", "x"]).must_exit(64);
    away.command(&["dead-letters", "replay", "--reason", "bad_luck"]).must_exit(64);
    let said = away.command(&["dead-letters", "replay", "--all"]).must_exit(69).all();
    assert!(said.contains("Kafka"), "{said}");
    let help = away.command(&["dead-letters", "replay", "--help"]).must_exit(0).all();
    assert!(help.contains("ce_id") && help.contains("At least once"), "{help}");
    let setup = Setup::new("replay-unknown", &Cluster::shared().bootstrap());
    create(&setup, &["dead-letters"]);
    let unknown = replay(&setup, &["dead-letters", "replay", "nobody", "nothing"], 74);
    assert_eq!(results(&unknown), ["refused", "refused"]);
    assert_eq!(unknown[0]["id"], "nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_removed_once_its_record_is_confirmed() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("replay-file", &bootstrap);
    for topic in ["events.CustomerUpdated", "dead-letters"] {
        reader::shared().create(&bootstrap, &setup.topic(topic), 3, &[("max.message.bytes", "1000")]);
    }
    let mut bridge = setup.start().await;
    let noise: String = (0..400).map(|_| uuid::Uuid::new_v4().to_string()).collect();
    let value = format!(r#"{{"Id":"a","Padding":"{noise}"}}"#);
    bridge.accept(general(HOTEL, "CustomerUpdated", &value)).await;
    bridge.until_drained().await;
    assert_eq!(bridge.stop(), 0, "{}", bridge.log());
    let files = || fs::read_dir(setup.journal().join("undeliverable")).expect("a folder").count();
    assert_eq!(files(), 1);
    let refused = replay(&setup, &["dead-letters", "replay", "--all"], 74);
    assert!(refused[0]["detail"].as_str().unwrap().contains("max.message.bytes"), "{refused:?}");
    assert_eq!(files(), 1, "what was refused is kept");
    reader::shared().delete(&bootstrap, &setup.topic("events.CustomerUpdated"));
    sleep(Duration::from_secs(1)).await;
    create(&setup, &["events.CustomerUpdated"]);
    let sent = replay(&setup, &["dead-letters", "replay", "--all"], 0);
    assert_eq!(results(&sent), ["replayed"]);
    assert!(sent[0]["from"].as_str().unwrap().contains("undeliverable"), "{sent:?}");
    assert_eq!(files(), 0);
    let record = read(&setup, "events.CustomerUpdated", 1).remove(0);
    assert_eq!(record.text(), event(HOTEL, INTEGRATION, "CustomerUpdated", &value, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_access_token_is_merged_and_never_takes_a_newer_ones_place() {
    let topics =
        ["events.CustomerAdded", "integrations.IntegrationCreated", "integrations.IntegrationApiKeyCreated"];
    let (setup, mut bridge) = with_topics("replay-credentials", &topics).await;
    create(&setup, &["dead-letters"]);
    let told = |action: &str, secret: &str| {
        let data = format!(r#"{{"Integration":{{"Id":"{INTEGRATION}"}},{secret}}}"#);
        format!(r#"{{"Action":"{action}","Data":{data}}}"#)
    };
    bridge.accept(told("IntegrationCreated", r#""AccessToken":"first""#)).await;
    let letter = until_dead(&setup, &mut bridge).await;
    assert_eq!(letter.must("dead_letter_topic"), setup.topic("credentials"));
    create(&setup, &["credentials"]);
    assert_eq!(results(&replay(&setup, &["dead-letters", "replay", "--all"], 0)), ["replayed"]);
    let first = read(&setup, "credentials", 1).remove(0);
    assert_eq!((first.key_text(), first.text()), (INTEGRATION.to_owned(), letter.text()));
    bridge.accept(told("IntegrationApiKeyCreated", r#""ApiKey":"second""#)).await;
    bridge.until_drained().await;
    let sent = replay(&setup, &["dead-letters", "replay", "--all"], 0);
    assert!(sent[0]["detail"].as_str().unwrap().contains("nothing to do"), "{sent:?}");
    let records = read(&setup, "credentials", 2);
    assert_eq!(records.len(), 2, "the older one was not put behind the newer");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_was_not_returned_is_enriched_after_its_replay() {
    let mut world = World::new("replay-enrich", quiet()).await;
    let enricher = world.enricher().await;
    let ids = world.change(json!({ "kind": "resources", "count": 1, "silent": true })).await;
    world.change(json!({ "kind": "resources", "action": "vanish", "id": ids[0], "silent": true })).await;
    let (hotel, integration) = (world.hotel(0).await, world.simulator.connections()[0].integration_id);
    let body = json!({
        "EnterpriseId": hotel, "IntegrationId": integration,
        "Events": [{ "Discriminator": "ResourceUpdated", "Value": { "Id": ids[0] } }],
    });
    world.ingress.accept(body.to_string()).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    while world.dead_letters() != [("not_returned".to_owned(), 1)].into() {
        assert!(Instant::now() < deadline, "{:?}\n{}", world.dead_letters(), enricher.log());
        sleep(Duration::from_millis(50)).await;
    }
    assert!(world.view.last("entities.resources", &ids[0]).is_none());
    world.change(json!({ "kind": "resources", "action": "return", "id": ids[0], "silent": true })).await;
    let sent = replay(&world.setup, &["dead-letters", "replay", "--reason", "not_returned"], 0);
    assert_eq!(results(&sent), ["replayed"]);
    while world.view.last("entities.resources", &ids[0]).is_none() {
        assert!(Instant::now() < deadline, "{}", enricher.log());
        sleep(Duration::from_millis(50)).await;
    }
}
