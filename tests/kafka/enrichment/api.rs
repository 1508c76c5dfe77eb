//! A Connector API that is away, slow, overloaded or angry.

use std::time::{Duration, Instant};

use mews_bridge::simulator::Config;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    bridge::{Bridge, Setup},
    cluster::Cluster,
    outage::outage,
    world::{World, quiet},
};

/// Hotels in which something happens all the time.
fn busy() -> Config {
    let mut config = quiet();
    config.knobs.frozen = false;
    config.knobs.pace = 5.0;
    config
}

/// A busy world and one enricher.
async fn world(name: &str) -> (World, Bridge) {
    let world = World::new(name, busy()).await;
    let enricher = world.enricher().await;
    (world, enricher)
}

/// Nothing happens any more and nothing is wrong any more; then everything must be as it is.
async fn settle(world: &World, enricher: &Bridge) {
    world
        .turn(json!({ "frozen": true, "errors": 0.0, "hangs": 0.0, "throttles": 0.0, "timeouts": 0.0, "latency": "0s" }))
        .await;
    world.until_true(&[enricher]).await;
    assert!(world.truth().await.len() > 20, "something has happened");
    // Messages in threads of others are never to be seen.
    assert!(world.dead_letters().keys().all(|reason| reason == "not_visible"), "{:?}", world.dead_letters());
}

/// Waits until the API has refused or kept waiting so many requests.
async fn until_asked(world: &World, more: u64) {
    let before: u64 = requests(world).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while requests(world).await < before + more {
        assert!(Instant::now() < deadline, "the API is not asked");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn requests(world: &World) -> u64 {
    world.requests().await.iter().filter_map(|token| token["Requests"].as_u64()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_away_is_waited_for_and_nothing_is_parked() {
    let (world, mut enricher) = world("api-away").await;
    until_asked(&world, 5).await;
    world.turn(json!({ "errors": 1.0 })).await;
    enricher.until_metric("connector_circuit_state", &[("state", "open")], 1.0).await;
    // Longer than park_after.
    let away = Instant::now();
    while away.elapsed() < outage(6) {
        assert_eq!(world.view.count("parked"), 0);
        sleep(Duration::from_millis(100)).await;
    }
    settle(&world, &enricher).await;
    assert_eq!(world.view.count("parked"), 0);
    enricher.until_metric("connector_circuit_state", &[("state", "closed")], 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_at_thirty_percent_only_cost_time() {
    let (world, enricher) = world("api-errors").await;
    world.turn(json!({ "errors": 0.3 })).await;
    until_asked(&world, 100).await;
    world.turn(json!({ "frozen": true })).await;
    world.until_true(&[&enricher]).await;
    settle(&world, &enricher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_hang_are_given_up_and_made_again() {
    let (world, enricher) = world("api-hangs").await;
    world.turn(json!({ "hangs": 0.2 })).await;
    until_asked(&world, 60).await;
    settle(&world, &enricher).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_storms_are_sat_out() {
    for retry_after in ["always", "never"] {
        let (world, enricher) = world(&format!("api-throttles-{retry_after}")).await;
        world.turn(json!({ "throttles": 0.5, "retry_after": retry_after })).await;
        until_asked(&world, 40).await;
        settle(&world, &enricher).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_too_heavy_become_smaller() {
    let world = World::new("api-heavy", quiet()).await;
    let enricher = world.enricher().await;
    world.turn(json!({ "heavy_ids": 7 })).await;
    world.change(json!({ "kind": "reservations", "count": 60 })).await;
    world.until_true(&[&enricher]).await;
    assert_eq!(world.dead_letters(), [].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_too_large_are_asked_for_in_smaller_ones() {
    let small = |setup: Setup| setup.set("connector.response_bytes_max", "64KiB");
    let world = World::on(&Cluster::shared().bootstrap(), "api-large", quiet(), small).await;
    let mut enricher = world.enricher().await;
    world.change(json!({ "hotel": 0, "kind": "reservations", "count": 300 })).await;
    world.until_true(&[&enricher]).await;
    assert_eq!(world.dead_letters(), [].into());
    assert!(enricher.metric("enricher_retries_total", &[("reason", "too_large")]).await > 0.0);
}

/// One token is answered nothing but 429 although it is below its limit: the others notice nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_of_one_hotel_uses_its_budget_and_leaves_the_neighbours_theirs() {
    let mut config = quiet();
    config.knobs.heavy_ids = Some(5);
    config.reservations = 20;
    let world = World::new("api-backlog", config).await;
    let enricher = world.enricher().await;
    world.change(json!({ "hotel": 0, "kind": "resources", "count": 1500, "silent": true })).await;
    world.change(json!({ "hotel": 0, "kind": "resources", "action": "update", "count": 1500 })).await;
    for _ in 0..20 {
        let ids = world.change(json!({ "hotel": 1, "kind": "resources", "count": 1 })).await;
        let asked = Instant::now();
        while world.view.last("entities.resources", &ids[0]).is_none() {
            assert!(
                asked.elapsed() < Duration::from_secs(10),
                "held up by the neighbour\n{}",
                enricher.log()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }
    world.until_true(&[&enricher]).await;
    let throttled: u64 = world.requests().await.iter().filter_map(|token| token["Throttled"].as_u64()).sum();
    assert_eq!(throttled, 0);
}

/// contract 3.3
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_good_is_a_dead_letter_and_anything_else_is_asked_for_again() {
    let world = World::new("api-refusals", quiet()).await;
    let enricher = world.enricher().await;
    world.turn(json!({ "refusals": { "resources": 403, "customers": 409, "payments": 410 } })).await;
    let resources = world.change(json!({ "kind": "resources", "count": 2 })).await;
    for kind in ["customers", "payments"] {
        world.change(json!({ "kind": kind, "count": 2 })).await;
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.dead_letters() != [("rejected".to_owned(), 2)].into() {
        assert!(Instant::now() < deadline, "{:?}\n{}", world.dead_letters(), enricher.log());
        sleep(Duration::from_millis(50)).await;
    }
    world.turn(json!({ "refusals": null })).await;
    world.change(json!({ "kind": "resources", "action": "update", "ids": resources })).await;
    world.until_true(&[&enricher]).await;
    assert_eq!(world.dead_letters(), [("rejected".to_owned(), 2)].into());
}
