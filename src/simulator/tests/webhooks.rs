//! What a subscriber gets, when, and how often.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::harness::{Subscriber, World};
use crate::{
    simulator::{
        Config, Knobs,
        sender::{Sender, Sent},
    },
    webhook::text,
};

fn bodies(subscriber: &Subscriber) -> Vec<Value> {
    subscriber.bodies().iter().map(|body| serde_json::from_str(body).unwrap()).collect()
}

/// contract 1.2, 1.4, 1.5: one message an integration, Added with Updated.
#[tokio::test]
async fn events_wait_and_come_in_one_message() {
    let subscriber = Subscriber::new().await;
    let world = subscriber.world(Config::default()).await;
    let customer = world.make(json!({ "kind": "customers" })).await;
    let reservation = world.make(json!({ "kind": "reservations" })).await;
    world.make(json!({ "kind": "reservations", "silent": true })).await;
    world.make(json!({ "kind": "message-threads" })).await;
    assert!(subscriber.bodies().is_empty(), "nothing is due");
    let flushed = world.control("flush", json!({})).await;
    assert_eq!((&flushed["MessagesTaken"], &flushed["EventsTaken"]), (&json!(1), &json!(3)));
    let connection = world.connection(0);
    let event =
        |discriminator: &str, id: &str| json!({ "Discriminator": discriminator, "Value": { "Id": id } });
    assert_eq!(
        bodies(&subscriber),
        [json!({
            "EnterpriseId": connection.enterprise_id,
            "IntegrationId": connection.integration_id,
            "Events": [
                event("CustomerAdded", &customer),
                event("CustomerUpdated", &customer),
                event("ServiceOrderUpdated", &reservation),
            ],
        })]
    );
    let truth = world.read("truth").await;
    let told: BTreeSet<_> = truth.iter().map(|line| line["Id"].as_str().unwrap()).collect();
    assert_eq!(told, BTreeSet::from([customer.as_str(), reservation.as_str()]));
    assert!(truth.iter().all(|line| line["Told"]["Taken"].as_u64() > Some(0) && line["Record"].is_object()));
    assert_eq!(world.read("told").await.len(), 3);
    assert!(world.read("truth?all").await.len() > 100);
}

/// contract 1.5: hundreds of events, then a further message.
#[tokio::test]
async fn messages_roll_over() {
    let subscriber = Subscriber::new().await;
    let world = subscriber.world(Config::default()).await;
    world.control("changes", json!({ "kind": "resources", "count": 650 })).await;
    world.control("flush", json!({})).await;
    let mut sizes: Vec<_> =
        bodies(&subscriber).iter().map(|body| body["Events"].as_array().unwrap().len()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [50, 300, 300]);
}

/// contract 1.3: deletions have discriminators of their own where they were switched on.
#[tokio::test]
async fn deletions_are_told_once() {
    let subscriber = Subscriber::new().await;
    let world = subscriber.world(Config::default()).await;
    let mut told = Vec::new();
    for switched_on in [true, false] {
        world.control("knobs", json!({ "deletion_events": switched_on })).await;
        for kind in ["resources", "products"] {
            let id = world.make(json!({ "kind": kind, "silent": true })).await;
            world.control("changes", json!({ "kind": kind, "id": id, "action": "delete" })).await;
        }
        world.control("flush", json!({})).await;
        let body = bodies(&subscriber).remove(0);
        let events = body["Events"].as_array().unwrap().clone();
        told.extend(events.iter().map(|event| event["Discriminator"].as_str().unwrap().to_owned()));
    }
    assert_eq!(told, ["ResourceDeleted", "ProductDeleted", "ResourceUpdated", "ProductUpdated"]);
}

/// contract 4.5: a customer's change reaches the hotels of the chain.
#[tokio::test]
async fn customers_are_told_to_all_hotels_of_the_chain() {
    let subscriber = Subscriber::new().await;
    let world = subscriber.world(Config { hotels: 4, portfolio_hotels: 3, ..Config::default() }).await;
    world.make(json!({ "kind": "customers", "hotel": 2 })).await;
    world.control("flush", json!({})).await;
    let bodies = bodies(&subscriber);
    let hotels: BTreeSet<_> = bodies.iter().map(|body| body["EnterpriseId"].to_string()).collect();
    let integrations: BTreeSet<_> = bodies.iter().map(|body| body["IntegrationId"].to_string()).collect();
    assert_eq!((hotels.len(), integrations.len()), (3, 1));
}

/// contract 1.5: three attempts, the same bytes, then never again.
#[tokio::test]
async fn a_message_is_sent_three_times_at_most() {
    let subscriber = Subscriber::new().await;
    let world = subscriber.world(Config::default()).await;
    for (statuses, taken) in [(vec![500, 404], 1), (vec![503, 302, 400], 0)] {
        subscriber.answer(&statuses);
        world.make(json!({ "kind": "resources" })).await;
        let flushed = world.control("flush", json!({})).await;
        assert_eq!(
            (&flushed["MessagesTaken"], &flushed["MessagesAbandoned"]),
            (&json!(taken), &json!(1 - taken))
        );
        assert_eq!(flushed["Attempts"], 3);
        let sent = subscriber.bodies();
        assert_eq!((sent.len(), &sent[0], &sent[1]), (3, &sent[1], &sent[2]));
    }
    let abandoned = |line: &&Value| line["Abandoned"] == 1 && line["Taken"] == 0;
    assert_eq!(world.read("told").await.iter().filter(abandoned).count(), 1);
}

#[tokio::test]
async fn a_pause_ends_with_the_simulator() {
    let subscriber = Subscriber::new().await;
    subscriber.answer(&[500]);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (sender, stop) = (Sender::new().unwrap(), CancellationToken::new());
    stop.cancel();
    let hour = std::time::Duration::from_secs(3600);
    let sent = sender.send(&subscriber.url, "{}".to_owned(), hour, &stop).await;
    assert_eq!((sent, subscriber.bodies().len()), (Sent::Abandoned { attempts: 1 }, 1));
}

/// contract 2
#[tokio::test]
async fn the_life_of_an_integration_is_told() {
    let subscriber = Subscriber::new().await;
    let world = subscriber.world(Config { hotels: 1, announce: true, ..Config::default() }).await;
    world.control("flush", json!({})).await;
    let connection = world.connection(0);
    let created = bodies(&subscriber).remove(0);
    assert_eq!(created["Action"], "IntegrationCreated");
    assert_eq!(created["Data"]["AccessToken"], connection.access_token.as_str());
    assert_eq!(created["Data"]["Enterprise"]["Id"], json!(connection.enterprise_id));
    let path = format!("integrations/{}", connection.integration_id);
    for (action, told) in [
        ("regenerate", "IntegrationApiKeyCreated"),
        ("disable", "IntegrationDisabled"),
        ("enable", "IntegrationEnabled"),
        ("cancel", "IntegrationCanceled"),
        ("reinstate", "IntegrationReinstated"),
        ("delete", "IntegrationDeleted"),
    ] {
        let acted = world.control(&path, json!({ "action": action })).await;
        world.control("flush", json!({})).await;
        let body = bodies(&subscriber).remove(0);
        assert_eq!(
            (&body["Action"], &body["Data"]["Integration"]["Id"]),
            (&json!(told), &json!(connection.integration_id))
        );
        if action == "regenerate" {
            assert_eq!(body["Data"]["ApiKey"], acted["AccessToken"]);
            assert_ne!(acted["AccessToken"], connection.access_token.as_str());
        }
    }
    world.control(&path, json!({ "action": "enable", "silent": true })).await;
    world.control("flush", json!({})).await;
    assert!(subscriber.bodies().is_empty());
}

/// contract 1.6
#[tokio::test]
async fn the_old_form_has_entities_and_a_comma_too_many() {
    let subscriber = Subscriber::new().await;
    let world = subscriber
        .world(Config { knobs: Knobs { old_form: 1.0, ..Knobs::default() }, ..Config::default() })
        .await;
    let mut made = Vec::new();
    for kind in ["reservations", "resources", "resource-blocks", "customers"] {
        made.push(world.make(json!({ "kind": kind })).await);
    }
    let thread = world.make(json!({ "kind": "message-threads", "own": true })).await;
    made.push(world.make(json!({ "kind": "messages", "into": thread })).await);
    world.control("changes", json!({ "kind": "resources", "id": made[1], "count": 3 })).await;
    world.control("flush", json!({})).await;
    let body = subscriber.bodies().remove(0);
    assert!(serde_json::from_str::<Value>(&body).is_err(), "{body}");
    let body: Value = serde_json::from_str(&text::tidy(body.as_bytes()).unwrap()).unwrap();
    let entities = &body["Entities"];
    assert_eq!(entities["ServiceOrders"][0]["Id"], made[0].as_str());
    assert!(entities["ServiceOrders"][0]["RequestedCategoryId"].is_string());
    assert_eq!(entities["Resources"].as_array().unwrap().len(), 1, "each once");
    assert_eq!(entities["ResourceBlocks"][0]["Id"], made[2].as_str());
    assert_eq!(entities["Messages"][0]["MessageThreadId"], thread.as_str());
    assert_eq!(entities.as_object().unwrap().len(), 4, "customers have none");
}

/// What happens by itself is told when it is due, without anybody asking.
#[tokio::test]
async fn changes_come_by_themselves_and_are_told() {
    let subscriber = Subscriber::new().await;
    let world = subscriber.world(Config::default()).await;
    world.control("knobs", json!({ "frozen": false, "pace": 100, "delay": "1ms" })).await;
    // The end of this wait is what is tested; a runner that never gets there is stopped from outside.
    while world.simulator.totals().taken < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    world.control("changes", json!({ "action": "freeze" })).await;
    world.simulator.flush().await;
    let totals = world.simulator.end().await;
    assert!(totals.taken >= 3 && totals.abandoned == 0, "{totals:?}");
    assert_eq!(subscriber.bodies().len() as u64, totals.taken);
}

/// One seed, the same steps: the same events.
#[tokio::test]
async fn the_history_is_that_of_the_seed() {
    let history = async |seed| {
        let world = World::with(Config { seed, ..Config::default() }).await;
        let changes = world.control("changes", json!({ "count": 200 })).await;
        (changes, world.simulator.client_token.clone(), world.connection(0))
    };
    let first = history(7).await;
    assert_eq!(first, history(7).await);
    assert_ne!(first, history(8).await);
}
