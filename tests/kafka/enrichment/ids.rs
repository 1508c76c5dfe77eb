//! Ids that are bad, unknown, late, or change all the time.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    bridge::Bridge,
    world::{World, quiet},
};

/// A webhook about ids, with a hotel's own first integration.
async fn webhook(world: &World, place: usize, discriminator: &str, ids: &[String]) -> String {
    let (hotel, integration) =
        (world.hotel(place).await, world.simulator.connections()[place].integration_id);
    let events: Vec<Value> =
        ids.iter().map(|id| json!({ "Discriminator": discriminator, "Value": { "Id": id } })).collect();
    json!({ "EnterpriseId": hotel, "IntegrationId": integration, "Events": events }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_id_in_a_thousand_is_found_and_the_others_arrive() {
    let mut world = World::new("ids-bad", quiet()).await;
    let enricher = world.enricher().await;
    let bad = Uuid::new_v4().to_string();
    world.turn(json!({ "bad_ids": [bad], "rate_limit": 200 })).await;
    let mut ids = world.change(json!({ "kind": "resources", "count": 999, "silent": true })).await;
    ids.insert(500, bad.clone());
    let body = webhook(&world, 0, "ResourceUpdated", &ids).await;
    world.ingress.accept(body).await;
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.view.count("entities.resources") < 999 || world.dead_letters().is_empty() {
        assert!(Instant::now() < deadline, "{:?}\n{}", world.dead_letters(), enricher.log());
        sleep(Duration::from_millis(100)).await;
    }
    world.until_true_of(&ids, &[&enricher]).await;
    assert_eq!(world.dead_letters(), [("bad_request".to_owned(), 1)].into());
    // Halves of a thousand: the whole, then two for each step down.
    assert!(world.asked("resources").await <= 24, "{:?}", world.requests().await);
    let table = world.view.table();
    let dead = table.iter().find(|((topic, _), _)| topic == "dead-letters").expect("it is there").1;
    assert!(dead.value.as_ref().expect("the event").contains(&bad));
    assert_eq!(dead.headers["dead_letter_stage"], "enrich");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_id_on_which_mews_fails_holds_up_no_other() {
    for status in [500, 408, 403] {
        // Long enough to tell it from the others.
        let bootstrap = crate::cluster::Cluster::shared().bootstrap();
        let mut world = World::on(&bootstrap, &format!("ids-poison-{status}"), quiet(), |setup| {
            setup.set("enricher.park_after", "8s")
        })
        .await;
        let mut enricher = world.enricher().await;
        let mut ids = world.change(json!({ "kind": "resources", "count": 40, "silent": true })).await;
        let bad = ids.swap_remove(17);
        world.turn(json!({ "bad_ids": [bad], "bad_ids_status": status, "rate_limit": 200 })).await;
        let all: Vec<_> = ids.iter().chain([&bad]).cloned().collect();
        let body = webhook(&world, 0, "ResourceUpdated", &all).await;
        world.ingress.accept(body).await;
        // Others of its kind are answered all the while: it must not go on with those that came with it.
        let busy = async {
            loop {
                world.change(json!({ "hotel": 0, "kind": "resources", "count": 2 })).await;
                sleep(Duration::from_millis(50)).await;
            }
        };
        let enrichers = [&enricher];
        tokio::select! {
            () = world.until_true_of(&ids, &enrichers) => {}
            () = busy => {}
        }
        if status == 403 {
            until(&enricher, || world.dead_letters() == [("rejected".to_owned(), 1)].into()).await;
        } else {
            enricher.until_metric("enricher_parked_records", &[("reason", "unfetchable")], 1.0).await;
            assert_eq!(world.dead_letters(), [].into());
        }
        // What comes later of it disturbs nobody either, and brings it once Mews has mended it.
        let body = webhook(&world, 0, "ResourceUpdated", &all).await;
        world.turn(json!({ "bad_ids": [] })).await;
        world.ingress.accept(body).await;
        world.until_true_of(&all, &[&enricher]).await;
        enricher.until_metric("enricher_parked_records", &[("reason", "unfetchable")], 0.0).await;
    }
}

async fn until(enricher: &Bridge, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "{}", enricher.log());
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_that_never_appear_are_asked_for_twice_and_become_dead_letters_or_tombstones() {
    let mut world = World::new("ids-unknown", quiet()).await;
    let enricher = world.enricher().await;
    let ids: Vec<String> = (0..2).map(|_| Uuid::new_v4().to_string()).collect();
    let (updated, deleted) = (&ids[..1], &ids[1..]);
    world.change(json!({ "kind": "resources", "count": 5 })).await;
    world.ingress.accept(webhook(&world, 0, "ResourceUpdated", updated).await).await;
    world.ingress.accept(webhook(&world, 0, "ResourceDeleted", deleted).await).await;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let gone = world.view.last("entities.resources", &ids[1]);
        if gone.is_some_and(|gone| gone.value.is_none()) && !world.dead_letters().is_empty() {
            break;
        }
        assert!(Instant::now() < deadline, "{}", enricher.log());
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.dead_letters(), [("not_returned".to_owned(), 1)].into());
    assert!(world.view.last("entities.resources", &ids[0]).is_none());
    world.until_true(&[&enricher]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_yet_is_read_again() {
    let mut config = quiet();
    config.knobs.read_lag = Duration::from_millis(900);
    let world = World::on(&crate::cluster::Cluster::shared().bootstrap(), "ids-lag", config, |setup| {
        setup.set("enricher.recheck_after", "2s")
    })
    .await;
    let enricher = world.enricher().await;
    let ids = world.change(json!({ "kind": "reservations", "count": 20 })).await;
    world.until_true(&[&enricher]).await;
    // Now what is published is known, and an old state of it is seen for what it is.
    world.change(json!({ "kind": "reservations", "action": "update", "ids": ids })).await;
    world.until_true(&[&enricher]).await;
    assert_eq!(world.dead_letters(), [].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_that_changes_during_its_fetch_a_hundred_times_ends_as_it_is() {
    let mut config = quiet();
    config.knobs.latency = serde_json::from_value(json!("150ms")).expect("a latency");
    config.knobs.delay = Duration::from_millis(1);
    let world = World::new("ids-changing", config).await;
    let enricher = world.enricher().await;
    let ids = world.change(json!({ "kind": "reservations", "count": 1 })).await;
    for _ in 0..100 {
        world.change(json!({ "kind": "reservations", "action": "update", "id": ids[0] })).await;
        sleep(Duration::from_millis(20)).await;
    }
    world.until_true(&[&enricher]).await;
    let requests = world.asked("reservations").await;
    assert!(requests < 60, "{requests} requests for 100 changes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_updates_within_the_window_are_one_request() {
    const WINDOW: Duration = Duration::from_secs(5);
    let mut config = quiet();
    config.knobs.delay = Duration::from_millis(1);
    config.knobs.events_per_message = 1;
    let world = World::on(&crate::cluster::Cluster::shared().bootstrap(), "ids-window", config, |setup| {
        setup.set("enricher.window", format!("{}s", WINDOW.as_secs()))
    })
    .await;
    let enricher = world.enricher().await;
    let ids = world.change(json!({ "kind": "reservations", "count": 1, "silent": true })).await;
    let begin = Instant::now();
    for _ in 0..100 {
        world.change(json!({ "kind": "reservations", "action": "update", "id": ids[0] })).await;
        sleep(Duration::from_millis(10)).await;
    }
    world.simulator.flush().await;
    // One on most machines; where a hundred webhooks take longer than a window, one for each.
    let windows = 1 + begin.elapsed().as_secs() / WINDOW.as_secs();
    world.until_true(&[&enricher]).await;
    let (asked, published) =
        (world.asked("reservations").await, world.view.last("entities.reservations", &ids[0]));
    assert!((1..=windows).contains(&asked), "{asked} requests in {windows} windows");
    assert!(published.expect("it is there").count as u64 <= windows);
}

/// What is no longer there, or is another now.
#[tokio::test(flavor = "multi_thread")]
async fn entities_that_vanish_return_merge_and_are_deleted_end_as_they_are() {
    let world = World::new("ids-gone", quiet()).await;
    let enricher = world.enricher().await;
    let customers = world.change(json!({ "kind": "customers", "count": 3 })).await;
    let resources = world.change(json!({ "kind": "resources", "count": 2 })).await;
    world.until_true(&[&enricher]).await;
    world.change(json!({ "kind": "resources", "action": "delete", "id": resources[0] })).await;
    world
        .change(json!({ "kind": "customers", "action": "merge", "id": customers[0], "into": customers[1] }))
        .await;
    world.change(json!({ "kind": "resources", "action": "vanish", "id": resources[1] })).await;
    world.until_true(&[&enricher]).await;
    world.change(json!({ "kind": "resources", "action": "return", "id": resources[1] })).await;
    world.until_true(&[&enricher]).await;
}
