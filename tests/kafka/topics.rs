//! Topics: made, compared, missing, forbidden sizes; and the dead letters.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    bridge::{Bridge, Setup},
    cluster::{Cluster, free_port},
    reader::{self, Query, Record},
    samples::{ENTITY, HOTEL, INTEGRATION, event, general},
};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

#[tokio::test(flavor = "multi_thread")]
async fn the_ingress_makes_its_topics_as_documented() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("made", &bootstrap)
        .set("topics.partitions", 5)
        .set("topics.replication_factor", 1)
        .set("topics.discriminators", vec!["CustomerAdded", "SpaUpdated"])
        .set("ingress.max_body_bytes", "1MiB");
    let mut bridge = setup.start().await;
    bridge.accept(general(HOTEL, "SpaUpdated", r#"{"Id":"a"}"#)).await;
    bridge.accept(general(HOTEL, "CustomerUpdated", r#"{"Id":"a"}"#)).await;
    bridge.until_drained().await;
    let records = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, "events.*", 2));
    let on = |rest: &str| records.iter().filter(|record| record.topic == setup.topic(rest)).count();
    assert_eq!((on("events.SpaUpdated"), on("events.unrecognized")), (1, 1));
    setup.command(&["topics", "apply"]).must_exit(0);
    let topics = reader::shared().topics(&bootstrap, &setup.prefix);
    let config = |topic: &str, name: &str| {
        let topic = topics.get(topic).unwrap_or_else(|| panic!("no topic {topic} in {:?}", topics.keys()));
        topic.configs.get(name).cloned().unwrap_or_default()
    };
    for (name, topic) in &topics {
        let with_hotels = ["events.", "integrations.", "parked"].iter().any(|start| name.starts_with(start));
        assert!(!with_hotels || topic.partitions == 5, "{name} has {} partitions", topic.partitions);
        assert_eq!(topic.replicas, 1);
    }
    assert!(!topics.contains_key("events.CustomerUpdated"), "only configured discriminators have topics");
    assert_eq!(config("events.SpaUpdated", "retention.ms"), (7 * DAY_MS).to_string());
    for topic in ["quarantine", "dead-letters"] {
        assert_eq!(config(topic, "retention.ms"), (30 * DAY_MS).to_string(), "{topic}");
        assert_eq!(config(topic, "max.message.bytes"), (2 << 20).to_string(), "{topic}");
    }
    for topic in ["credentials", "parked", "entities.reservations", "entities.resource-blocks"] {
        assert_eq!(config(topic, "cleanup.policy"), "compact", "{topic}");
    }
}

#[test]
fn plan_and_apply_agree_on_what_is_missing() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("plan", &bootstrap).set("topics.discriminators", vec!["CustomerAdded"]);
    let plan = || setup.command(&["topics", "plan"]);
    let missing = plan().must_exit(1).all();
    assert!(missing.contains(&setup.topic("events.CustomerAdded")), "{missing}");
    assert!(reader::shared().topics(&bootstrap, &setup.prefix).is_empty(), "a plan makes nothing");
    setup.command(&["topics", "apply"]).must_exit(0);
    plan().must_exit(0);
    setup.command(&["topics", "apply"]).must_exit(0);
    let topic = setup.topic("events.CustomerAdded");
    reader::shared().grow(&bootstrap, &topic, 4);
    let differs = plan().must_exit(1).all();
    assert!(differs.contains(&topic), "unequal partition counts are reported: {differs}");
}

#[test]
fn plan_without_kafka_says_that_it_could_not_be_reached() {
    let setup = Setup::new("unreachable", &format!("127.0.0.1:{}", free_port()));
    setup.command(&["topics", "plan"]).must_exit(69);
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_reports_what_is_missing_makes_nothing_and_goes_on() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("verify", &bootstrap).set("topics.provision", "verify");
    let mut bridge = setup.start().await;
    bridge.until_logged(&setup.topic("events.CustomerAdded")).await;
    bridge.accept(general(HOTEL, "CustomerAdded", r#"{"Id":"a"}"#)).await;
    assert!(reader::shared().topics(&bootstrap, &setup.prefix).is_empty());
    setup.command(&["topics", "apply"]).must_exit(0);
    bridge.until_drained().await;
    reader::shared().read(&bootstrap, &Query::of(&setup.prefix, "events.CustomerAdded", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_topic_holds_back_nothing_but_its_own_records() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("missing", &bootstrap).set("topics.provision", "off");
    reader::shared().create(&bootstrap, &setup.topic("events.CustomerAdded"), 3, &[]);
    let mut bridge = setup.start().await;
    for number in 0..10 {
        let value = format!(r#"{{"Id":"a","Number":{number}}}"#);
        bridge.accept(general(HOTEL, "PaymentUpdated", &value)).await;
        bridge.accept(general(HOTEL, "CustomerAdded", &value)).await;
    }
    let flowing = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, "events.CustomerAdded", 10));
    assert_eq!(numbers(&flowing), (0..10).collect::<Vec<_>>());
    assert!(bridge.metric("journal_pending_records", &[]).await >= 10.0, "the others wait in the journal");
    reader::shared().create(&bootstrap, &setup.topic("events.PaymentUpdated"), 3, &[]);
    bridge.until_drained().await;
    let waited = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, "events.PaymentUpdated", 10));
    assert_eq!(numbers(&waited), (0..10).collect::<Vec<_>>(), "in the order of acceptance");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_deleted_and_made_again_flows_again() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("deleted", &bootstrap).set("topics.provision", "off");
    let topic = setup.topic("events.CustomerAdded");
    reader::shared().create(&bootstrap, &topic, 3, &[]);
    let mut bridge = setup.start().await;
    bridge.accept(general(HOTEL, "CustomerAdded", r#"{"Id":"a","Number":0}"#)).await;
    bridge.until_drained().await;
    reader::shared().delete(&bootstrap, &topic);
    for number in 1..6 {
        let value = format!(r#"{{"Id":"a","Number":{number}}}"#);
        bridge.accept(general(HOTEL, "CustomerAdded", &value)).await;
    }
    sleep(Duration::from_secs(2)).await;
    reader::shared().create(&bootstrap, &topic, 3, &[]);
    bridge.until_drained().await;
    let records = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, "events.CustomerAdded", 5));
    assert_eq!(numbers(&records), [1, 2, 3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_stays_missing_is_given_up_while_others_flow() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("given-up", &bootstrap)
        .set("topics.provision", "off")
        .set("kafka.give_up_topic_after", "3s");
    for topic in ["events.CustomerAdded", "dead-letters"] {
        reader::shared().create(&bootstrap, &setup.topic(topic), 3, &[]);
    }
    let mut bridge = setup.start().await;
    bridge.accept(general(HOTEL, "PaymentUpdated", r#"{"Id":"a"}"#)).await;
    for _ in 0..20 {
        bridge.accept(general(HOTEL, "CustomerAdded", r#"{"Id":"a"}"#)).await;
        sleep(Duration::from_millis(250)).await;
    }
    bridge.until_drained().await;
    let letters = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, "dead-letters", 1));
    let value = event(HOTEL, INTEGRATION, "PaymentUpdated", r#"{"Id":"a"}"#, None);
    judge_dead_letter(&setup, &letters[0], "topic_unavailable", "events.PaymentUpdated", &value);
    bridge.until_metric("journal_completed_records_total", &[("disposition", "dead_lettered")], 1.0).await;
    bridge.until_metric("journal_completed_records_total", &[("disposition", "delivered")], 20.0).await;
}

fn numbers(records: &[Record]) -> Vec<i64> {
    let number = |record: &Record| {
        let event: serde_json::Value = serde_json::from_str(&record.text()).expect("an event");
        event["Value"]["Number"].as_i64().expect("a number")
    };
    records.iter().map(number).collect()
}

fn judge_dead_letter(setup: &Setup, letter: &Record, reason: &str, topic: &str, value: &str) {
    assert_eq!(letter.must("dead_letter_reason"), reason);
    assert_eq!(letter.must("dead_letter_stage"), "relay");
    assert_eq!(letter.must("dead_letter_topic"), setup.topic(topic));
    assert!(letter.must("dead_letter_attempts").parse::<u32>().is_ok_and(|attempts| attempts > 0));
    assert!(letter.header("dead_letter_detail").is_some());
    assert_eq!(letter.key_text(), HOTEL, "the record's own key");
    assert_eq!(letter.text(), value, "the record's own value");
    assert_eq!(letter.must("ce_source"), format!("/mews/enterprises/{HOTEL}"), "the record's own context");
}

/// An ingress one of whose topics takes only 10 000 bytes a record.
async fn with_a_narrow_topic(name: &str, bootstrap: &str) -> (Setup, Bridge) {
    let setup = Setup::new(name, bootstrap);
    let narrow = [("max.message.bytes", "10000")];
    reader::shared().create(bootstrap, &setup.topic("events.CustomerUpdated"), 3, &narrow);
    let bridge = setup.start().await;
    (setup, bridge)
}

/// A body of the older form with one numbered event and its entity.
fn old_form(number: usize, value_padding: usize, entity_padding: usize) -> (String, String, String) {
    let value = format!(r#"{{"Id":"{ENTITY}","Number":{number},"Padding":"{}"}}"#, noise(value_padding));
    let entity = format!(r#"{{"Id":"{ENTITY}","Padding":"{}"}}"#, noise(entity_padding));
    let body = format!(
        r#"{{"EnterpriseId":"{HOTEL}","IntegrationId":"{INTEGRATION}","Events":[{{"Discriminator":"CustomerUpdated","Value":{value}}}],"Entities":{{"Customers":[{entity}]}}}}"#
    );
    (body, value, entity)
}

/// Text that compression cannot shrink much: the limit is on compressed batches.
fn noise(length: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[(state % 64) as usize])
    };
    (0..length).map(|_| letter()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_too_large_goes_without_its_entity_and_then_to_the_dead_letters() {
    let bootstrap = Cluster::shared().bootstrap();
    let (setup, mut bridge) = with_a_narrow_topic("narrow", &bootstrap).await;
    let sizes = [(0, 10), (0, 30_000), (30_000, 10), (0, 10), (0, 30_000)];
    let sent: Vec<_> =
        sizes.iter().enumerate().map(|(number, (value, entity))| old_form(number, *value, *entity)).collect();
    for (body, ..) in &sent {
        bridge.accept(body.clone()).await;
    }
    bridge.until_drained().await;
    let records = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, "events.*", 4));
    assert_eq!(numbers(&records), [0, 1, 3, 4], "one hotel, one partition, in order");
    for record in &records {
        let number = usize::try_from(numbers(std::slice::from_ref(record))[0]).unwrap();
        let (_, value, entity) = &sent[number];
        let omitted = sizes[number].1 > 10_000;
        let entity = (!omitted).then_some(entity.as_str());
        assert_eq!(record.text(), event(HOTEL, INTEGRATION, "CustomerUpdated", value, entity));
        assert_eq!(record.header("entity_omitted"), omitted.then_some("true"), "event {number}");
    }
    let letters = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, "dead-letters", 1));
    let (_, value, entity) = &sent[2];
    let whole = event(HOTEL, INTEGRATION, "CustomerUpdated", value, Some(entity));
    let bare = event(HOTEL, INTEGRATION, "CustomerUpdated", value, None);
    let kept = if letters[0].header("entity_omitted").is_some() { bare } else { whole };
    judge_dead_letter(&setup, &letters[0], "too_large", "events.CustomerUpdated", &kept);
    bridge.until_metric("journal_completed_records_total", &[("disposition", "dead_lettered")], 1.0).await;
    let id = letters[0].must("ce_id");
    let listed = setup.command(&["dead-letters", "ls", "--output", "json"]).must_exit(0).text();
    assert!(listed.contains(id) && listed.contains("too_large"), "{listed}");
    let cat = setup.command(&["dead-letters", "cat", id]).must_exit(0);
    assert_eq!(cat.bytes, kept.as_bytes());
}

/// The broker refuses a whole batch when one record of it is too large.
#[tokio::test(flavor = "multi_thread")]
async fn small_events_beside_a_too_large_one_are_delivered_in_order() {
    let bootstrap = Cluster::shared().bootstrap();
    let (setup, mut bridge) = with_a_narrow_topic("beside", &bootstrap).await;
    let events: Vec<_> = (0..200)
        .map(|number| {
            let padding = if number % 50 == 25 { 20_000 } else { 10 };
            format!(
                r#"{{"Discriminator":"CustomerUpdated","Value":{{"Id":"a","Number":{number},"Padding":"{}"}}}}"#,
                noise(padding)
            )
        })
        .collect();
    let body = format!(
        r#"{{"EnterpriseId":"{HOTEL}","IntegrationId":"{INTEGRATION}","Events":[{}]}}"#,
        events.join(",")
    );
    bridge.accept(body).await;
    bridge.until_drained().await;
    let records = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, "events.*", 196));
    let expected: Vec<_> = (0..200).filter(|number| number % 50 != 25).collect();
    assert_eq!(numbers(&records), expected);
    let letters = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, "dead-letters", 4));
    assert!(letters.iter().all(|letter| letter.must("dead_letter_reason") == "too_large"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_dead_letters_refuse_is_kept_in_a_file_and_listed() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("kept", &bootstrap);
    for topic in ["events.CustomerUpdated", "dead-letters"] {
        reader::shared().create(&bootstrap, &setup.topic(topic), 3, &[("max.message.bytes", "10000")]);
    }
    let mut bridge = setup.start().await;
    let value = format!(r#"{{"Id":"a","Number":1,"Padding":"{}"}}"#, noise(30_000));
    bridge.accept(general(HOTEL, "CustomerUpdated", &value)).await;
    bridge.accept(general(HOTEL, "CustomerUpdated", r#"{"Id":"a","Number":2}"#)).await;
    bridge.until_drained().await;
    let records = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, "events.*", 1));
    assert_eq!(numbers(&records), [2]);
    bridge.until_metric("journal_completed_records_total", &[("disposition", "dead_lettered")], 1.0).await;
    let listed = setup.command(&["dead-letters", "ls", "--output", "json"]).must_exit(0).text();
    let lines: Vec<serde_json::Value> =
        listed.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
    assert_eq!(lines.len(), 1, "{listed}");
    assert!(listed.contains("too_large"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_delivery_fits_through_kafka_whole() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("large", &bootstrap);
    let mut bridge = setup.start().await;
    let body = format!(r#"{{"Unknown":"{}"}}"#, noise(7 << 20));
    bridge.accept(body.clone()).await;
    let hundreds: Vec<_> = (0..2000)
        .map(|n| format!(r#"{{"Discriminator":"CustomerUpdated","Value":{{"Id":"a","Number":{n}}}}}"#))
        .collect();
    bridge
        .accept(format!(
            r#"{{"EnterpriseId":"{HOTEL}","IntegrationId":"{INTEGRATION}","Events":[{}]}}"#,
            hundreds.join(",")
        ))
        .await;
    bridge.until_drained().await;
    let quarantined = reader::shared().read(&bootstrap, &Query::of(&setup.prefix, "quarantine", 1));
    assert!(quarantined[0].text() == body, "7 MiB arrive byte for byte");
    let records =
        reader::shared().read(&bootstrap, &Query::of(&setup.prefix, "events.CustomerUpdated", 2000));
    assert_eq!(numbers(&records), (0..2000).collect::<Vec<_>>());
    let indexes: Vec<_> =
        records.iter().map(|record| record.must("ce_id")[37..].parse::<i64>().unwrap()).collect();
    assert_eq!(indexes, (0..2000).collect::<Vec<_>>());
}
