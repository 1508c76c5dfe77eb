//! The search for messages.

use std::time::Duration;

use serde_json::json;

use super::{
    super::*,
    world::{World, said, wanted},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn named(ids: &[String], thread: &str) -> Vec<Wanted> {
    wanted(ids).into_iter().map(|wanted| Wanted { thread_id: Some(thread.into()), ..wanted }).collect()
}

#[tokio::test]
async fn a_named_thread_costs_one_request() {
    let world = World::new().await;
    let thread = world.thread(true).await;
    let ids = world.wish(json!({ "kind": "messages", "into": thread, "count": 3 })).await;
    let fetched =
        world.fetch_as(0, &world.hotel(0), Entity::Messages, named(&ids, &thread.to_uppercase())).await;
    assert_eq!(fetched.counts(), (3, 0));
    assert_eq!(world.requests().await.into_iter().collect::<Vec<_>>(), [("messages".to_owned(), 1)]);
}

#[tokio::test]
async fn without_names_threads_are_swept_and_messages_are_found_as_they_are() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let thread = world.thread(true).await;
        ids.extend(world.wish(json!({ "kind": "messages", "into": thread, "count": 2 })).await);
    }
    let fetched = world.fetch(Entity::Messages, &ids).await;
    assert_eq!(fetched.counts(), (6, 0));
    let truth = world.truth(&world.hotel(0), &["messages"]).await;
    assert!(fetched.texts().iter().all(|(id, text)| truth[id] == *text));
    assert!(fetched.found.iter().all(|found| found.operation == Operation::Messages));
    assert_eq!((world.asked("messageThreads").await, world.asked("messages").await), (1, 1));
}

#[tokio::test]
async fn a_message_of_another_clients_thread_is_missing() {
    let world = World::new().await;
    let (own, other) = (world.thread(true).await, world.thread(false).await);
    let mut ids = world.wish(json!({ "kind": "messages", "into": own })).await;
    ids.extend(world.wish(json!({ "kind": "messages", "into": other })).await);
    for round in [Round::First, Round::Again] {
        let wanted = named(&ids, &other);
        let fetched = world.round(0, &world.hotel(0), Entity::Messages, wanted, round).await;
        assert_eq!((fetched.counts(), &*fetched.missing[0]), ((1, 1), ids[1].as_str()));
    }
    assert_eq!(world.metrics.missing_entities.of(Entity::Messages).get(), 1);
}

#[tokio::test]
async fn an_old_message_is_found_in_the_second_round() {
    let world = World::new().await;
    let hotel = world.hotel(0);
    // Those of the start are thirty days old.
    let truth = world.truth(&hotel, &["messages"]).await;
    let ids: Vec<_> = truth.keys().collect();
    let ago = || said(&ids, DAY * 4);
    assert_eq!(world.fetch_as(0, &hotel, Entity::Messages, ago()).await.counts(), (0, ids.len()));
    let again = world.round(0, &hotel, Entity::Messages, ago(), Round::Again).await;
    assert_eq!(again.texts(), truth);
}

#[tokio::test]
async fn a_thread_of_another_client_that_is_refused_does_not_stop_the_search() {
    let world = World::new().await;
    let (own, refused) = (world.thread(true).await, world.thread(false).await);
    world.turn(json!({ "bad_ids": [refused] })).await;
    let ids = world.wish(json!({ "kind": "messages", "into": own })).await;
    let fetched = world.fetch_as(0, &world.hotel(0), Entity::Messages, named(&ids, &refused)).await;
    assert_eq!(fetched.counts(), (1, 0));
}

#[tokio::test]
async fn threads_from_before_are_searched_too_and_forgotten_when_they_are_refused() {
    let world = World::new().await;
    let thread = world.thread(true).await;
    let ids = world.wish(json!({ "kind": "messages", "into": thread })).await;
    assert_eq!(world.fetch(Entity::Messages, &ids).await.counts(), (1, 0));
    // The sweep no longer returns it, as if its messages did not make it newer.
    world.wish(json!({ "kind": "message-threads", "id": thread, "action": "vanish" })).await;
    let later = world.wish(json!({ "kind": "messages", "into": thread })).await;
    assert_eq!(world.fetch(Entity::Messages, &later).await.counts(), (1, 0));
    world.turn(json!({ "bad_ids": [thread] })).await;
    let other = world.thread(true).await;
    let found = world.wish(json!({ "kind": "messages", "into": other })).await;
    assert_eq!(world.fetch(Entity::Messages, &found).await.counts(), (1, 0));
    assert_eq!(world.asked("messages").await, 4);
    // It is not tried again.
    assert_eq!(world.fetch(Entity::Messages, &found).await.counts(), (1, 0));
    assert_eq!(world.asked("messages").await, 5);
}

#[tokio::test]
async fn pages_are_turned_until_all_are_found() {
    let world = World::new().await;
    let thread = world.thread(true).await;
    let ids = world.wish(json!({ "kind": "messages", "into": thread, "count": 2100 })).await;
    let (oldest, newest) = (&ids[..1], &ids[2099..]);
    assert_eq!(world.fetch(Entity::Messages, newest).await.counts(), (1, 0));
    assert_eq!(world.asked("messages").await, 1);
    assert_eq!(world.fetch(Entity::Messages, oldest).await.counts(), (1, 0));
    assert_eq!(world.asked("messages").await, 4);
}

#[tokio::test]
async fn when_threads_cannot_be_swept_what_a_name_led_to_is_found_all_the_same() {
    let world = World::new().await;
    world.turn(json!({ "not_permitted": { "*": ["messageThreads"] } })).await;
    let (named_one, other) = (world.thread(true).await, world.thread(true).await);
    let ids = world.wish(json!({ "kind": "messages", "into": named_one })).await;
    let others = world.wish(json!({ "kind": "messages", "into": other })).await;
    let wanted = [named(&ids, &named_one), wanted(&others)].concat();
    let fetched = world.fetch_as(0, &world.hotel(0), Entity::Messages, wanted).await;
    assert_eq!((fetched.found.len(), fetched.missing.len()), (1, 0));
    let failed = fetched.failed.unwrap();
    assert_eq!((&*failed.ids[0], failed.operation), (others[0].as_str(), Operation::MessageThreads));
    assert!(matches!(failed.error, Error::Unauthorized(_)));
}

#[tokio::test]
async fn threads_that_are_too_many_at_once_are_halved() {
    let world = World::new().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let thread = world.thread(true).await;
        ids.extend(world.wish(json!({ "kind": "messages", "into": thread })).await);
    }
    world.turn(json!({ "heavy_ids": 2 })).await;
    assert_eq!(world.fetch(Entity::Messages, &ids).await.counts(), (5, 0));
    world.turn(json!({ "heavy_ids": 0 })).await;
    let failed = world.fetch(Entity::Messages, &ids).await.failed.unwrap();
    assert_eq!((failed.ids.len(), failed.operation), (5, Operation::Messages));
    assert!(matches!(failed.error, Error::TooHeavy(_)));
}
