//! Every kind as it is, with as few requests as can be.

use std::time::Duration;

use serde_json::json;

use super::{
    super::*,
    world::{World, wanted},
};
use crate::simulator::Config;

#[tokio::test]
async fn every_kind_is_found_byte_for_byte() {
    let world = World::new().await;
    let thread = world.thread(true).await;
    world.wish(json!({ "kind": "messages", "into": thread, "count": 5 })).await;
    let hotel = world.hotel(0);
    for (entity, kinds, requests) in [
        (Entity::Reservations, ["reservations", "product-service-orders"].as_slice(), 3),
        (Entity::Resources, &["resources"], 1),
        (Entity::ResourceBlocks, &["resource-blocks"], 1),
        (Entity::Customers, &["customers"], 2),
        (Entity::Payments, &["payments"], 1),
        // The services are known by now.
        (Entity::Products, &["products"], 1),
    ] {
        let truth = world.truth(&hotel, kinds).await;
        let ids: Vec<_> = truth.keys().collect();
        assert!(!ids.is_empty());
        let before: u64 = world.requests().await.values().sum();
        let fetched = world.fetch(entity, &ids).await;
        assert_eq!(fetched.counts(), (ids.len(), 0), "{entity:?}");
        assert_eq!(fetched.texts(), truth, "{entity:?}");
        assert!(fetched.found.iter().all(|found| found.updated.is_some()), "{entity:?}");
        assert_eq!(world.requests().await.values().sum::<u64>() - before, requests, "{entity:?}");
    }
}

#[tokio::test]
async fn deleted_ones_are_found_too() {
    let world = World::new().await;
    for (entity, kind) in [
        (Entity::Resources, "resources"),
        (Entity::ResourceBlocks, "resource-blocks"),
        (Entity::Customers, "customers"),
        (Entity::Products, "products"),
    ] {
        let ids = world.wish(json!({ "kind": kind })).await;
        world.wish(json!({ "kind": kind, "id": ids[0], "action": "delete" })).await;
        assert_eq!(world.fetch(entity, &ids).await.counts(), (1, 0), "{entity:?}");
    }
}

#[tokio::test]
async fn a_thousand_ids_are_one_request_and_more_are_more() {
    let world = World::with(Config { hotels: 1, reservations: 1500, ..Config::default() }).await;
    let truth = world.truth(&world.hotel(0), &["reservations"]).await;
    let ids: Vec<_> = truth.keys().collect();
    assert_eq!(world.fetch(Entity::Reservations, &ids[..1000]).await.counts(), (1000, 0));
    assert_eq!(world.asked("reservations").await, 1);
    assert_eq!(world.fetch(Entity::Reservations, &ids).await.counts(), (1500, 0));
    assert_eq!(world.asked("reservations").await, 3);
    assert_eq!(world.asked("services").await, 0);
}

#[tokio::test]
async fn what_is_gone_is_missing_and_counted_in_the_second_round_only() {
    let world = World::new().await;
    let ids = world.wish(json!({ "kind": "payments", "count": 3 })).await;
    world.wish(json!({ "kind": "payments", "id": ids[1], "action": "vanish" })).await;
    let fetched = world.fetch(Entity::Payments, &ids).await;
    assert_eq!((fetched.counts(), &*fetched.missing[0]), ((2, 1), ids[1].as_str()));
    assert_eq!(world.metrics.missing_entities.of(Entity::Payments).get(), 0);
    assert_eq!(world.again(Entity::Payments, &ids[1..2]).await.counts(), (0, 1));
    assert_eq!(world.metrics.missing_entities.of(Entity::Payments).get(), 1);
}

#[tokio::test]
async fn ids_come_back_in_the_spelling_in_which_they_were_asked_for() {
    let world = World::new().await;
    let ids = world.wish(json!({ "kind": "resources", "count": 2 })).await;
    let spelled = [ids[0].to_uppercase(), ids[1].replace('-', ""), ids[1].clone()];
    let fetched = world.fetch(Entity::Resources, &spelled).await;
    assert_eq!(fetched.counts(), (3, 0));
    assert!(fetched.texts().keys().all(|id| spelled.contains(id)));
}

#[tokio::test]
async fn orders_say_which_operation_returned_them() {
    let world = World::new().await;
    let reservation = world.wish(json!({ "kind": "reservations" })).await.remove(0);
    let order = world.wish(json!({ "kind": "product-service-orders" })).await.remove(0);
    let fetched = world.fetch(Entity::Reservations, &[&order, &reservation]).await;
    let by = |id: &str| fetched.found.iter().find(|found| *found.id == *id).unwrap().operation;
    assert_eq!((by(&reservation), by(&order)), (Operation::Reservations, Operation::ProductServiceOrders));
}

#[tokio::test]
async fn products_of_a_new_service_are_found_when_the_list_is_old_enough_to_be_looked_up_again() {
    let world = World::new().await;
    let hotels = world.hotels().await;
    let service = hotels[0]["ServiceIds"][1].as_str().unwrap().to_owned();
    let of_it = |text: &String| text.contains(&format!(r#""ServiceId":"{service}""#));
    let truth = world.truth(&world.hotel(0), &["products"]).await;
    let of_it: Vec<_> = truth.iter().filter(|(_, text)| of_it(text)).map(|(id, _)| id).collect();
    let ids: Vec<_> = truth.keys().collect();
    world.wish(json!({ "kind": "services", "id": service, "action": "vanish" })).await;
    let others = (ids.len() - of_it.len(), of_it.len());
    assert!(others.0 > 0 && others.1 > 0);
    assert_eq!(world.fetch(Entity::Products, &ids).await.counts(), others);
    world.wish(json!({ "kind": "services", "id": service, "action": "return" })).await;
    assert_eq!(world.fetch(Entity::Products, &ids).await.counts(), others);
    assert_eq!((world.asked("services").await, world.asked("products").await), (1, 2));
    world.fetcher.pass(Duration::from_secs(31));
    assert_eq!(world.fetch(Entity::Products, &ids).await.texts(), truth);
    // Only the new service is asked for what is missing.
    assert_eq!((world.asked("services").await, world.asked("products").await), (2, 4));
    world.fetcher.pass(Duration::from_secs(601));
    assert_eq!(world.fetch(Entity::Products, &ids).await.counts(), (ids.len(), 0));
    assert_eq!((world.asked("services").await, world.asked("products").await), (3, 5));
}

#[tokio::test]
async fn more_services_than_fit_into_a_request_are_several() {
    let world = World::new().await;
    let truth = world.truth(&world.hotel(0), &["products"]).await;
    let ids: Vec<_> = truth.keys().collect();
    let token = Secret::new(world.simulator.connections()[0].access_token.clone());
    let hotel = ask::Hotel::new(&token, &world.hotel(0));
    let real = world.hotels().await[0]["ServiceIds"].clone();
    let real: Vec<String> = serde_json::from_value(real).unwrap();
    let invented = || uuid::Uuid::new_v4().to_string();
    let mut services = vec![real[0].clone()];
    services.extend(std::iter::repeat_with(invented).take(2000));
    services.push(real[1].clone());
    let memory = &world.fetcher.0.memory;
    memory.services.put(&hotel, services, memory.clock.now()).await;
    assert_eq!(world.fetch(Entity::Products, &ids).await.texts(), truth);
    assert_eq!((world.asked("services").await, world.asked("products").await), (0, 3));
}

#[tokio::test]
async fn a_round_can_be_run_as_a_task() {
    let world = World::new().await;
    let (fetcher, token) = (world.fetcher.clone(), Secret::new("wrong".to_owned()));
    let batch = Batch {
        integration_id: "i".into(),
        enterprise_id: "e".into(),
        token,
        entity: Entity::Messages,
        wanted: wanted(&["m"]),
        round: Round::First,
    };
    let fetched = tokio::spawn(async move { fetcher.fetch(batch).await }).await.unwrap();
    assert!(matches!(fetched.failed.unwrap().error, Error::Unauthorized(_)));
}

#[tokio::test]
async fn a_hotel_without_services_has_no_products_and_nothing_is_asked() {
    let world = World::new().await;
    for service in world.hotels().await[0]["ServiceIds"].as_array().unwrap() {
        world.wish(json!({ "kind": "services", "id": service, "action": "vanish" })).await;
    }
    let ids = world.wish(json!({ "kind": "products" })).await;
    assert_eq!(world.fetch(Entity::Products, &ids).await.counts(), (0, 1));
    assert_eq!(world.asked("products").await, 0);
}

#[tokio::test]
async fn a_portfolio_token_says_the_chain_of_customers() {
    let world = World::with(Config { portfolio_hotels: 2, ..Config::default() }).await;
    let at = world.simulator.connections().iter().position(|one| one.enterprise_id.is_none()).unwrap();
    let hotels = world.hotels().await;
    for hotel in &hotels[1..] {
        let hotel = hotel["EnterpriseId"].as_str().unwrap();
        let truth = world.truth(hotel, &["customers"]).await;
        let ids: Vec<_> = truth.keys().collect();
        let fetched = world.fetch_as(at, hotel, Entity::Customers, wanted(&ids)).await;
        assert_eq!(fetched.texts(), truth);
        for (entity, kind) in [(Entity::Products, "products"), (Entity::Resources, "resources")] {
            let truth = world.truth(hotel, &[kind]).await;
            let ids: Vec<_> = truth.keys().collect();
            let fetched = world.fetch_as(at, hotel, entity, wanted(&ids)).await;
            assert_eq!(fetched.texts(), truth);
        }
    }
    assert_eq!((world.asked("enterprises").await, world.asked("customers").await), (1, 2));
    world.fetcher.pass(Duration::from_secs(3601));
    let hotel = hotels[1]["EnterpriseId"].as_str().unwrap();
    world.fetch_as(at, hotel, Entity::Customers, wanted(&["851df8c8-90f2-4c4a-8e01-a4fc46b25178"])).await;
    assert_eq!(world.asked("enterprises").await, 2);
}

#[tokio::test]
async fn a_token_is_probed_with_one_request() {
    let world = World::new().await;
    let token = Secret::new(world.simulator.connections()[0].access_token.clone());
    assert!(world.fetcher.probe(&token).await.is_ok());
    assert_eq!(world.requests().await.into_iter().collect::<Vec<_>>(), [("configuration".to_owned(), 1)]);
    let wrong = world.fetcher.probe(&Secret::new("wrong".to_owned())).await;
    assert!(matches!(wrong, Err(Error::Unauthorized(_))));
}
