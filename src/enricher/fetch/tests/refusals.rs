//! What is refused, and what is made of it.

use std::time::Duration;

use serde_json::json;

use super::{
    super::*,
    world::{World, wanted},
};
use crate::{connector::Fingerprint, simulator::Config};

const HOUR: Duration = Duration::from_secs(60 * 60);

#[tokio::test]
async fn a_bad_id_fails_all_of_its_request() {
    let world = World::new().await;
    let ids = world.wish(json!({ "kind": "resources", "count": 3 })).await;
    world.turn(json!({ "bad_ids": [ids[1]] })).await;
    let failed = world.fetch(Entity::Resources, &ids).await.failed.unwrap();
    assert_eq!((failed.ids.len(), failed.operation), (3, Operation::Resources));
    assert!(matches!(failed.error, Error::BadRequest(_)), "{:?}", failed.error);
    assert_eq!(world.fetch(Entity::Resources, &[&ids[0], &ids[2]]).await.counts(), (2, 0));
}

#[tokio::test]
async fn what_was_found_before_an_error_is_found() {
    let world = World::new().await;
    let mut ids = world.wish(json!({ "kind": "reservations", "count": 2 })).await;
    ids.extend(world.wish(json!({ "kind": "product-service-orders" })).await);
    world.turn(json!({ "errors": { "productServiceOrders": 1.0 } })).await;
    let fetched = world.fetch(Entity::Reservations, &ids).await;
    assert_eq!((fetched.found.len(), fetched.missing.len()), (2, 0));
    let failed = fetched.failed.unwrap();
    assert_eq!((&*failed.ids[0], failed.operation), (ids[2].as_str(), Operation::ProductServiceOrders));
    assert!(matches!(failed.error, Error::Unavailable { .. }));
}

#[tokio::test]
async fn orders_that_are_not_permitted_are_missing_and_the_permission_is_tried_hourly() {
    let world = World::new().await;
    world.turn(json!({ "not_permitted": { "*": ["productServiceOrders"] } })).await;
    let ids = world.wish(json!({ "kind": "product-service-orders" })).await;
    for _ in 0..3 {
        assert_eq!(world.fetch(Entity::Reservations, &ids).await.counts(), (0, 1));
        assert_eq!(world.asked("productServiceOrders").await, 1);
    }
    world.turn(json!({ "not_permitted": {} })).await;
    assert_eq!(world.again(Entity::Reservations, &ids).await.counts(), (0, 1));
    world.fetcher.pass(HOUR + Duration::from_secs(1));
    assert_eq!(world.again(Entity::Reservations, &ids).await.counts(), (1, 0));
}

#[tokio::test]
async fn a_token_that_was_out_of_favour_may_have_its_permissions_back() {
    let world = World::new().await;
    let ids = world.wish(json!({ "kind": "product-service-orders" })).await;
    world.turn(json!({ "not_permitted": { "*": ["productServiceOrders"] } })).await;
    assert_eq!(world.fetch(Entity::Reservations, &ids).await.counts(), (0, 1));
    world.turn(json!({ "not_permitted": { "*": ["reservations"] } })).await;
    let failed = world.fetch(Entity::Reservations, &ids).await.failed.unwrap();
    assert!(matches!(failed.error, Error::Unauthorized(_)));
    assert_eq!(failed.operation, Operation::Reservations);
    world.turn(json!({ "not_permitted": {} })).await;
    assert_eq!(world.fetch(Entity::Reservations, &ids).await.counts(), (1, 0));
}

#[tokio::test]
async fn products_need_the_permission_for_services() {
    let world = World::new().await;
    world.turn(json!({ "not_permitted": { "*": ["services"] } })).await;
    let ids = world.wish(json!({ "kind": "products" })).await;
    let failed = world.fetch(Entity::Products, &ids).await.failed.unwrap();
    assert_eq!((failed.ids.len(), failed.operation), (1, Operation::Services));
    assert!(matches!(failed.error, Error::Unauthorized(_)));
    // A refusal is not remembered.
    world.turn(json!({ "not_permitted": {} })).await;
    assert_eq!(world.fetch(Entity::Products, &ids).await.counts(), (1, 0));
}

#[tokio::test]
async fn a_service_that_is_no_more_and_is_refused_is_not_asked_for_again() {
    let world = World::new().await;
    let truth = world.truth(&world.hotel(0), &["products"]).await;
    let hotels = world.hotels().await;
    let (stays, gone) = (&hotels[0]["ServiceIds"][0], &hotels[0]["ServiceIds"][1]);
    let of = format!(r#""ServiceId":{stays}"#);
    let ids: Vec<_> = truth.iter().filter(|(_, text)| text.contains(&of)).map(|(id, _)| id).collect();
    assert_eq!(world.fetch(Entity::Products, &ids).await.counts(), (ids.len(), 0));
    world.wish(json!({ "kind": "services", "id": gone, "action": "vanish" })).await;
    world.turn(json!({ "bad_ids": [gone] })).await;
    // Too young to be doubted.
    assert!(world.fetch(Entity::Products, &ids).await.failed.is_some());
    world.fetcher.pass(Duration::from_secs(31));
    assert_eq!(world.fetch(Entity::Products, &ids).await.counts(), (ids.len(), 0));
    assert_eq!(world.asked("services").await, 2);
}

#[tokio::test]
async fn a_chain_that_a_hotel_has_left_is_not_asked_for_again() {
    let world = World::with(Config { portfolio_hotels: 2, ..Config::default() }).await;
    let at = world.simulator.connections().iter().position(|one| one.enterprise_id.is_none()).unwrap();
    let hotel = world.hotels().await[1]["EnterpriseId"].as_str().unwrap().to_owned();
    let truth = world.truth(&hotel, &["customers"]).await;
    let ids: Vec<_> = truth.keys().collect();
    let memory = &world.fetcher.0.memory;
    let token = Secret::new(world.simulator.connections()[at].access_token.clone());
    let left = [(hotel.clone(), uuid::Uuid::new_v4().to_string())].into();
    memory.chains.put(&Fingerprint::of(&token), Some(left), memory.clock.now()).await;
    let failed = world.fetch_as(at, &hotel, Entity::Customers, wanted(&ids)).await.failed.unwrap();
    assert!(matches!(failed.error, Error::BadRequest(_)));
    world.fetcher.pass(Duration::from_secs(31));
    assert_eq!(world.fetch_as(at, &hotel, Entity::Customers, wanted(&ids)).await.texts(), truth);
    assert_eq!(world.asked("enterprises").await, 1);
}

#[tokio::test]
async fn what_stops_one_request_of_a_batch_stops_those_behind_it() {
    let world = World::new().await;
    world.turn(json!({ "errors": { "payments": 1.0 } })).await;
    let ids: Vec<_> = std::iter::repeat_with(|| uuid::Uuid::new_v4().to_string()).take(2500).collect();
    assert_eq!(world.fetch(Entity::Payments, &ids).await.failed.unwrap().ids.len(), 2500);
    assert_eq!(world.asked("payments").await, 1);
}

#[tokio::test]
async fn customers_are_found_without_the_permission_for_enterprises_and_it_is_tried_hourly() {
    let world = World::new().await;
    let ids = world.wish(json!({ "kind": "customers", "count": 2 })).await;
    // While the token does not work at all, nothing is learned about permissions.
    world.turn(json!({ "not_permitted": { "*": ["enterprises", "customers"] } })).await;
    let failed = world.fetch(Entity::Customers, &ids).await.failed.unwrap();
    assert_eq!(failed.operation, Operation::Customers);
    world.turn(json!({ "not_permitted": { "*": ["enterprises"] } })).await;
    for _ in 0..3 {
        assert_eq!(world.fetch(Entity::Customers, &ids).await.counts(), (2, 0));
        assert_eq!(world.asked("enterprises").await, 2);
    }
    world.fetcher.pass(HOUR + Duration::from_secs(1));
    assert_eq!(world.fetch(Entity::Customers, &ids).await.counts(), (2, 0));
    assert_eq!(world.asked("enterprises").await, 3);
}

#[tokio::test]
async fn many_who_ask_at_once_look_up_services_once() {
    let world = World::new().await;
    let ids = world.wish(json!({ "kind": "products" })).await;
    let fetch = || world.fetch(Entity::Products, &ids);
    let (a, b, c) = tokio::join!(fetch(), fetch(), fetch());
    assert_eq!([a, b, c].map(|fetched| fetched.counts()), [(1, 0); 3]);
    assert_eq!((world.asked("services").await, world.asked("products").await), (1, 3));
}

#[tokio::test]
async fn whatever_goes_wrong_every_id_has_one_end() {
    let world = World::new().await;
    let ids = |kind: &'static str| {
        let world = &world;
        async move { world.wish(json!({ "kind": kind, "count": 5 })).await }
    };
    let mut orders = ids("reservations").await;
    orders.extend(ids("product-service-orders").await);
    let batches = [
        (Entity::Reservations, orders),
        (Entity::Products, ids("products").await),
        (Entity::Customers, ids("customers").await),
        (Entity::Messages, ids("messages").await),
    ];
    // The world holds every round to it.
    world.turn(json!({ "timeouts": 0.4, "throttles": 0.0 })).await;
    let mut failures = 0;
    for _ in 0..8 {
        for (entity, ids) in &batches {
            failures += usize::from(world.fetch(*entity, ids).await.failed.is_some());
            world.fetcher.pass(HOUR);
        }
    }
    assert!(failures > 0);
}
