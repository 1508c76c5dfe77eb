//! Integrations that have no token, lose it, or get another; and the events that wait for them.

use std::{
    fs,
    time::{Duration, Instant},
};

use mews_bridge::simulator::Config;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    bridge::Bridge,
    cluster::Cluster,
    outage::outage,
    view::Last,
    world::{World, quiet},
};

/// All hotels on one partition, so that one could be held up by another.
async fn narrow(name: &str, config: Config) -> World {
    World::on(&Cluster::shared().bootstrap(), name, config, |setup| setup.set("topics.partitions", 1)).await
}

fn parked(world: &World) -> Vec<Last> {
    let table = world.view.table().into_iter().filter(|((topic, _), _)| topic == "parked");
    table.map(|(_, last)| last).filter(|last| last.value.is_some()).collect()
}

async fn until_parked(world: &World, enricher: &Bridge, count: usize, reason: &str) {
    let deadline = Instant::now() + Duration::from_secs(40);
    loop {
        let parked = parked(world);
        if parked.len() == count {
            for each in parked {
                assert_eq!(each.headers["parked_reason"], reason, "{each:?}");
            }
            return;
        }
        assert!(Instant::now() < deadline, "{} are parked, not {count}\n{}", parked.len(), enricher.log());
        sleep(Duration::from_millis(50)).await;
    }
}

/// The parked topic says of every event that it waits no more.
async fn until_nothing_is_parked(world: &World, enricher: &Bridge) {
    until_parked(world, enricher, 0, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_in_mid_batch_parks_and_a_new_one_by_webhook_takes_up() {
    let world = narrow("credentials-rekeyed", quiet()).await;
    let mut enricher = world.enricher().await;
    world.change(json!({ "hotel": 0, "kind": "customers", "count": 5 })).await;
    world.until_true(&[&enricher]).await;
    world.turn(json!({ "latency": "500ms" })).await;
    world.change(json!({ "hotel": 0, "kind": "reservations", "count": 20 })).await;
    world.change(json!({ "hotel": 0, "kind": "customers", "count": 20 })).await;
    world.simulator.flush().await;
    world.act(0, "revoke", true).await;
    world.turn(json!({ "latency": "0s" })).await;
    world.change(json!({ "hotel": 0, "kind": "payments", "count": 10 })).await;
    world.simulator.flush().await;
    // What was not answered before is parked, and completed on its partition.
    for kind in ["PaymentUpdated", "ServiceOrderUpdated", "CustomerAdded", "CustomerUpdated"] {
        let topic = world.setup.topic(&format!("events.{kind}"));
        enricher.until_metric("enricher_lag_records", &[("topic", &topic)], 0.0).await;
    }
    let waiting = parked(&world);
    assert!(
        waiting.len() >= 10 && waiting.iter().all(|each| each.headers["parked_reason"] == "unauthorized")
    );
    // The neighbours on the partition are as fast as ever, and its offset moves.
    for _ in 0..10 {
        let ids = world.change(json!({ "hotel": 1, "kind": "resources", "count": 1 })).await;
        let begin = Instant::now();
        while world.view.last("entities.resources", &ids[0]).is_none() {
            assert!(begin.elapsed() < Duration::from_secs(10), "held up by a neighbour\n{}", enricher.log());
            sleep(Duration::from_millis(20)).await;
        }
    }
    enricher
        .until_metric("enricher_lag_records", &[("topic", &world.setup.topic("events.PaymentUpdated"))], 0.0)
        .await;
    enricher
        .until_metric("enricher_lag_records", &[("topic", &world.setup.topic("events.ResourceUpdated"))], 0.0)
        .await;
    // A new key, and Mews says so.
    world.act(0, "regenerate", false).await;
    world.until_true(&[&enricher]).await;
    until_nothing_is_parked(&world, &enricher).await;
    assert_eq!(world.dead_letters(), [].into());
}

/// Mews refuses a token for a while, says nothing, and takes it again. The token is probed sixty times as
/// often here as by default, so that `MEWS_TEST_OUTAGE_SECONDS=60` is an hour of the hotel's clock.
#[tokio::test(flavor = "multi_thread")]
async fn a_hotel_that_is_locked_out_for_a_while_is_taken_up_without_a_word() {
    let world = narrow("credentials-lockout", quiet()).await;
    let mut enricher = world.enricher().await;
    world.act(0, "disable-enterprise", true).await;
    world.change(json!({ "hotel": 0, "kind": "resources", "count": 5 })).await;
    world.change(json!({ "hotel": 0, "kind": "customers", "count": 5 })).await;
    world.simulator.flush().await;
    until_parked(&world, &enricher, 10, "unauthorized").await;
    let (asked, locked_out) = (world.asked("resources").await, outage(3));
    let mut resources = 5;
    let begin = Instant::now();
    while begin.elapsed() < locked_out {
        // The neighbours on the partition are as fast as ever, and its offset moves.
        let ids = world.change(json!({ "hotel": 1, "kind": "payments", "count": 1 })).await;
        world.change(json!({ "hotel": 0, "kind": "resources", "count": 1 })).await;
        resources += 1;
        let told = Instant::now();
        while world.view.last("entities.payments", &ids[0]).is_none() {
            assert!(told.elapsed() < Duration::from_secs(10), "held up by a neighbour\n{}", enricher.log());
            sleep(Duration::from_millis(20)).await;
        }
        sleep(Duration::from_millis(500)).await;
    }
    world.simulator.flush().await;
    until_parked(&world, &enricher, resources + 5, "unauthorized").await;
    for kind in ["PaymentUpdated", "ResourceUpdated"] {
        let topic = world.setup.topic(&format!("events.{kind}"));
        enricher.until_metric("enricher_lag_records", &[("topic", &topic)], 0.0).await;
    }
    let (asked, seconds) = (world.asked("resources").await - asked, begin.elapsed().as_secs());
    assert!((1..=2 * seconds).contains(&asked), "{asked} requests in {seconds} s at one a second");
    world.act(0, "enable-enterprise", true).await;
    world.until_true(&[&enricher]).await;
    until_nothing_is_parked(&world, &enricher).await;
}

/// A token that comes for one integration serves the other of the same hotel.
#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_a_second_integration_takes_up_what_waits_for_the_first() {
    let mut config = quiet();
    config.second_integrations = 1;
    let world = narrow("credentials-sibling", config).await;
    let file = world.setup.dir().join("credentials.json");
    let connections = world.simulator.connections();
    let of_the_hotel = |connection: &&_| {
        let connection: &mews_bridge::simulator::Connection = connection;
        connection.enterprise_id == connections[0].enterprise_id
    };
    let second: Vec<_> = connections.iter().filter(of_the_hotel).skip(1).collect();
    assert_eq!(second.len(), 1);
    fs::write(&file, "[]").expect("written");
    let enricher = world.enricher().await;
    world.change(json!({ "hotel": 0, "kind": "resources", "count": 3 })).await;
    world.simulator.flush().await;
    until_parked(&world, &enricher, 3, "no_credentials").await;
    fs::write(&file, serde_json::to_vec(&second).expect("JSON")).expect("written");
    world.until_true(&[&enricher]).await;
    until_nothing_is_parked(&world, &enricher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_without_credentials_wait_and_are_taken_up_when_they_come() {
    let world = narrow("credentials-missing", quiet()).await;
    let file = world.setup.dir().join("credentials.json");
    let all = fs::read(&file).expect("the credentials");
    fs::write(&file, serde_json::to_vec(&world.simulator.connections()[1..]).expect("JSON"))
        .expect("written");
    let mut enricher = world.enricher().await;
    world.change(json!({ "hotel": 0, "kind": "resources", "count": 7 })).await;
    world.change(json!({ "hotel": 1, "kind": "resources", "count": 7 })).await;
    until_parked(&world, &enricher, 7, "no_credentials").await;
    enricher.until_metric("enricher_parked_records", &[("reason", "no_credentials")], 7.0).await;
    enricher.until_metric("connector_integrations", &[("state", "unknown")], 1.0).await;
    let connection = &world.simulator.connections()[0];
    let strangers = strangers(&mut enricher).await;
    let [stranger] = &strangers[..] else { panic!("{strangers:?}") };
    assert_eq!(
        (&stranger["integration"], &stranger["enterprise"], &stranger["parked"]),
        (&json!(connection.integration_id), &json!(connection.enterprise_id), &json!(7))
    );
    fs::write(&file, all).expect("written");
    world.until_true(&[&enricher]).await;
    until_nothing_is_parked(&world, &enricher).await;
    enricher.until_metric("enricher_parked_records", &[("reason", "no_credentials")], 0.0).await;
    enricher.until_metric("connector_integrations", &[("state", "unknown")], 0.0).await;
    assert_eq!(self::strangers(&mut enricher).await, [json!(null); 0]);
}

/// Those whose events wait without credentials, as `/state` shows them.
async fn strangers(enricher: &mut Bridge) -> Vec<Value> {
    let state = enricher.admin("/state").await.text();
    let state: Value = serde_json::from_str(&state).expect("JSON");
    state["enricher"]["without_credentials"].as_array().unwrap_or_else(|| panic!("{state}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn parked_work_is_taken_over_by_another_instance() {
    let world = narrow("credentials-takeover", quiet()).await;
    let mut first = world.enricher().await;
    world.act(0, "revoke", true).await;
    world.change(json!({ "hotel": 0, "kind": "resources", "count": 7 })).await;
    until_parked(&world, &first, 7, "unauthorized").await;
    let topic = world.setup.topic("events.ResourceUpdated");
    first.until_metric("enricher_lag_records", &[("topic", &topic)], 0.0).await;
    assert_eq!(first.stop(), 0);
    let second = world.enricher().await;
    world.act(0, "regenerate", false).await;
    world.until_true(&[&second]).await;
    until_nothing_is_parked(&world, &second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_for_too_long_becomes_dead_letters() {
    let world = World::on(&Cluster::shared().bootstrap(), "credentials-never", quiet(), |setup| {
        setup.set("enricher.park_after", "500ms").set("enricher.park_limit", "3s")
    })
    .await;
    let file = world.setup.dir().join("credentials.json");
    let credentials = fs::read(&file).expect("they are there");
    fs::write(&file, "[]").expect("written");
    let enricher = world.enricher().await;
    world.change(json!({ "kind": "resources", "count": 3 })).await;
    let deadline = Instant::now() + Duration::from_secs(40);
    while world.dead_letters().values().sum::<usize>() < 3 {
        assert!(Instant::now() < deadline, "{:?}\n{}", world.dead_letters(), enricher.log());
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.dead_letters(), [("no_credentials".to_owned(), 3)].into());
    until_nothing_is_parked(&world, &enricher).await;
    fs::write(&file, credentials).expect("written");
    world.setup.command(&["dead-letters", "replay", "--all"]).must_exit(0);
    world.until_true(&[&enricher]).await;
}

/// The parked topic keeps what was buried for a while, in front of its tombstone, and is read again for the
/// sake of others.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_buried_is_not_buried_again_with_others() {
    let world = World::on(&Cluster::shared().bootstrap(), "credentials-buried", quiet(), |setup| {
        setup.set("topics.partitions", 1).set("enricher.park_after", "500ms").set("enricher.park_limit", "3s")
    })
    .await;
    let file = world.setup.dir().join("credentials.json");
    fs::write(&file, serde_json::to_vec(&world.simulator.connections()[1..]).expect("JSON"))
        .expect("written");
    let mut enricher = world.enricher().await;
    world.change(json!({ "hotel": 0, "kind": "resources", "count": 3 })).await;
    until_buried(&world, &enricher, "no_credentials", 3).await;
    world.act(1, "revoke", true).await;
    world.change(json!({ "hotel": 1, "kind": "customers", "count": 2 })).await;
    until_buried(&world, &enricher, "unauthorized", 2).await;
    for (reason, count) in [("no_credentials", 3.0), ("unauthorized", 2.0)] {
        assert_eq!(
            enricher.metric("dlq_records_total", &[("stage", "enrich"), ("reason", reason)]).await,
            count,
            "{reason}"
        );
    }
    let letters = world.view.table().into_iter().filter(|((topic, _), _)| topic == "dead-letters");
    for (_, letter) in letters {
        let tries: u32 = letter.headers["dead_letter_attempts"].parse().expect("a number");
        let was_asked_for = letter.headers["dead_letter_reason"] == "unauthorized";
        assert_eq!(tries > 0, was_asked_for, "{letter:?}");
    }
}

async fn until_buried(world: &World, enricher: &Bridge, reason: &str, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(40);
    while world.dead_letters().get(reason).copied().unwrap_or_default() < count {
        assert!(Instant::now() < deadline, "{:?}\n{}", world.dead_letters(), enricher.log());
        sleep(Duration::from_millis(50)).await;
    }
    until_nothing_is_parked(world, enricher).await;
}

/// An instance that takes a partition over reads what was parked before it reads its tombstone.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_long_ago_is_not_buried_after_a_restart() {
    let mut world = narrow("credentials-restart", quiet()).await;
    let file = world.setup.dir().join("credentials.json");
    let all = fs::read(&file).expect("the credentials");
    fs::write(&file, "[]").expect("written");
    let mut first = world.enricher().await;
    world.change(json!({ "kind": "resources", "count": 5 })).await;
    until_parked(&world, &first, 5, "no_credentials").await;
    fs::write(&file, all).expect("written");
    world.until_true(&[&first]).await;
    until_nothing_is_parked(&world, &first).await;
    assert_eq!(first.stop(), 0);
    // All that was parked is older than this now.
    world.setup = world.setup.set("enricher.park_limit", "10ms");
    let mut second = world.enricher().await;
    let topic = world.setup.topic("parked");
    second.until_metric("enricher_consumed_records_total", &[("topic", &topic)], 10.0).await;
    world.change(json!({ "kind": "customers", "count": 3 })).await;
    world.until_true(&[&second]).await;
    assert_eq!(
        second.metric("dlq_records_total", &[("stage", "enrich"), ("reason", "no_credentials")]).await,
        0.0
    );
    assert_eq!(world.dead_letters(), [].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_operation_that_is_not_permitted_holds_up_only_its_own_kind() {
    let world = narrow("credentials-permission", quiet()).await;
    let enricher = world.enricher().await;
    let integration = world.simulator.connections()[0].integration_id.to_string();
    world.turn(json!({ "not_permitted": { integration: ["customers"] } })).await;
    world.change(json!({ "hotel": 0, "kind": "customers", "count": 5 })).await;
    let ids = world.change(json!({ "hotel": 0, "kind": "resources", "count": 1 })).await;
    until_parked(&world, &enricher, 5, "unauthorized").await;
    assert!(world.view.last("entities.resources", &ids[0]).is_some());
    world.turn(json!({ "not_permitted": null })).await;
    // Found out by trying now and then.
    world.until_true(&[&enricher]).await;
    until_nothing_is_parked(&world, &enricher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_alone_bring_tokens_and_take_them_away() {
    let mut config = quiet();
    config.announce = true;
    let world = World::on(&Cluster::shared().bootstrap(), "credentials-webhooks", config, |setup| {
        setup.unset("credentials.file")
    })
    .await;
    let enricher = world.enricher().await;
    world.change(json!({ "hotel": 0, "kind": "resources", "count": 3 })).await;
    world.until_true(&[&enricher]).await;
    world.act(0, "disable", false).await;
    world.simulator.flush().await;
    world.change(json!({ "hotel": 0, "kind": "resources", "count": 3 })).await;
    until_parked(&world, &enricher, 3, "unauthorized").await;
    world.act(0, "enable", false).await;
    world.until_true(&[&enricher]).await;
    until_nothing_is_parked(&world, &enricher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn portfolio_tokens_and_second_integrations_are_served() {
    let mut config = quiet();
    (config.hotels, config.portfolio_hotels, config.second_integrations) = (5, 2, 1);
    let world = World::new("credentials-portfolio", config).await;
    let enricher = world.enricher().await;
    for hotel in 0..5 {
        for kind in ["customers", "reservations", "products"] {
            world.change(json!({ "hotel": hotel, "kind": kind, "count": 3 })).await;
        }
    }
    world.until_true(&[&enricher]).await;
    assert_eq!(world.dead_letters(), [].into());
}
