//! Instances that come and go, die, stand still, and lose their broker.

use std::time::{Duration, Instant};

use mews_bridge::simulator::Config;
use rustix::process::Signal;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    bridge::{Bridge, Setup},
    cluster::Cluster,
    world::{World, quiet},
};

/// Hotels in which something happens all the time.
fn busy() -> Config {
    let mut config = quiet();
    config.hotels = 6;
    config.knobs.frozen = false;
    config.knobs.pace = 3.0;
    config
}

/// A world in which a dead instance is noticed within seconds by either protocol.
async fn world(name: &str, protocol: &str) -> World {
    World::on(&Cluster::shared().bootstrap(), name, busy(), |setup| spoken(setup, protocol)).await
}

fn spoken(setup: Setup, protocol: &str) -> Setup {
    let setup = setup.set("enricher.group_protocol", protocol).set("topics.partitions", 6);
    if protocol == "classic" { setup.property("session.timeout.ms", "6000") } else { setup }
}

async fn settle(world: &World, enrichers: &[&Bridge]) {
    world.turn(json!({ "frozen": true })).await;
    world.until_true(enrichers).await;
    assert_eq!(world.dead_letters().keys().filter(|reason| *reason != "not_visible").count(), 0);
}

/// Waits until so many more entity records are there.
async fn until_published(world: &World, more: usize, enrichers: &[&Bridge]) {
    let count = || {
        ["reservations", "customers", "payments"].map(|kind| world.view.count(&format!("entities.{kind}")))
    };
    let before: usize = count().iter().sum();
    let deadline = Instant::now() + Duration::from_secs(60);
    while count().iter().sum::<usize>() < before + more {
        let logs = || enrichers.iter().map(|each| each.log()).collect::<Vec<_>>().join("\n----\n");
        assert!(Instant::now() < deadline, "nothing is published\n{}", logs());
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_under_load_lose_nothing() {
    let world = world("members-kills", "auto").await;
    for round in 0..20u64 {
        let mut enricher = world.setup.launch_enricher();
        until_published(&world, 1, &[&enricher]).await;
        sleep(Duration::from_millis(round * 37 % 400)).await;
        enricher.kill();
    }
    let enricher = world.enricher().await;
    settle(&world, &[&enricher]).await;
}

/// The offset of what is done is behind that of what is not, and only the latter counts.
#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_is_not_committed_with_what_came_after_it() {
    let world = World::on(&Cluster::shared().bootstrap(), "members-watermark", quiet(), |setup| {
        setup.set("topics.partitions", 1).set("enricher.park_after", "60s")
    })
    .await;
    let mut first = world.enricher().await;
    let integration = world.simulator.connections()[0].integration_id;
    world.turn(json!({ "hanging": [integration] })).await;
    world.change(json!({ "hotel": 0, "kind": "customers", "count": 3 })).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while !world.requests().await.iter().any(|token| token["Requests"] != 0) {
        assert!(Instant::now() < deadline, "nothing is asked for\n{}", first.log());
        sleep(Duration::from_millis(20)).await;
    }
    let customers = world.change(json!({ "hotel": 1, "kind": "customers", "count": 3 })).await;
    world.until_true_of(&customers, &[&first]).await;
    // Of another topic, so that it is known when offsets were committed after that.
    world.change(json!({ "hotel": 1, "kind": "resources", "count": 1 })).await;
    world.simulator.flush().await;
    let resources = world.setup.topic("events.ResourceUpdated");
    first
        .until_metric("enricher_events_total", &[("entity", "resources"), ("outcome", "enriched")], 1.0)
        .await;
    first.until_metric("enricher_lag_records", &[("topic", &resources)], 0.0).await;
    first.kill();
    world.turn(json!({ "hanging": [] })).await;
    let second = world.enricher().await;
    world.until_true(&[&second]).await;
}

/// Once settled, nothing of a hotel is asked for by two instances within one window of its token.
async fn until_each_hotel_has_one_client(world: &World, enrichers: &[&Bridge]) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let tokens = world.requests().await;
        let clients: Vec<_> =
            tokens.iter().map(|token| token["LatestClients"].as_array().map_or(0, Vec::len)).collect();
        if clients.len() == 6 && clients.iter().all(|clients| *clients == 1) {
            return;
        }
        let logs = || enrichers.iter().map(|each| each.log()).collect::<Vec<_>>().join("\n----\n");
        assert!(Instant::now() < deadline, "{clients:?} instances ask for the hotels\n{}", logs());
        sleep(Duration::from_millis(200)).await;
    }
}

async fn instances_join_and_leave(name: &str, protocol: &str) {
    let world = world(name, protocol).await;
    let mut first = world.enricher().await;
    until_published(&world, 20, &[&first]).await;
    let mut second = world.enricher().await;
    until_published(&world, 20, &[&first, &second]).await;
    let mut third = world.enricher().await;
    until_published(&world, 20, &[&first, &second, &third]).await;
    until_each_hotel_has_one_client(&world, &[&first, &second, &third]).await;
    assert_eq!(first.stop(), 0, "{}", first.log());
    until_published(&world, 20, &[&second, &third]).await;
    assert_eq!(second.stop(), 0, "{}", second.log());
    until_published(&world, 20, &[&third]).await;
    settle(&world, &[&third]).await;
    assert_eq!(third.stop(), 0, "{}", third.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_join_and_leave_by_the_new_protocol() {
    instances_join_and_leave("members-consumer", "consumer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_join_and_leave_by_the_classic_protocol() {
    instances_join_and_leave("members-classic", "classic").await;
}

async fn a_frozen_instance(name: &str, protocol: &str) {
    let world = world(name, protocol).await;
    let mut frozen = world.enricher().await;
    until_published(&world, 20, &[&frozen]).await;
    let other = world.setup.launch_enricher();
    frozen.signal(Signal::STOP);
    // Its partitions go to the other one.
    until_published(&world, 100, &[&other]).await;
    frozen.signal(Signal::CONT);
    until_published(&world, 50, &[&other, &frozen]).await;
    settle(&world, &[&other, &frozen]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_stood_still_past_its_session_publishes_nothing_old_by_the_new_protocol() {
    a_frozen_instance("members-frozen-consumer", "consumer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_stood_still_past_its_session_publishes_nothing_old_by_the_classic_protocol() {
    a_frozen_instance("members-frozen-classic", "classic").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_killed_costs_time_only() {
    let cluster = Cluster::start_private(3);
    let world =
        World::on(&cluster.bootstrap(), "members-leader", busy(), |setup| spoken(setup, "auto")).await;
    let enricher = world.enricher().await;
    until_published(&world, 20, &[&enricher]).await;
    cluster.kill(2);
    until_published(&world, 20, &[&enricher]).await;
    cluster.start_again(2);
    until_published(&world, 20, &[&enricher]).await;
    settle(&world, &[&enricher]).await;
}
