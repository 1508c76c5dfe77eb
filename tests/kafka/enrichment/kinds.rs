//! Every kind of entity on a good day.

use serde_json::json;

use crate::world::{World, quiet};

const KINDS: [&str; 8] = [
    "reservations",
    "product-service-orders",
    "resources",
    "messages",
    "resource-blocks",
    "customers",
    "payments",
    "products",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_is_on_its_topic_as_mews_returns_it() {
    let world = World::new("kinds", quiet()).await;
    let enricher = world.enricher().await;
    for hotel in 0..3 {
        for kind in KINDS {
            // Messages of threads that are this client's: it sees no others.
            let own = (kind == "messages").then_some(true);
            world.change(json!({ "hotel": hotel, "kind": kind, "count": 3, "own": own })).await;
        }
    }
    world.until_true(&[&enricher]).await;
    let truths = world.truth().await;
    for kind in KINDS {
        let truth = truths.iter().find(|truth| truth.kind == kind).expect("a few of each");
        let last = world.view.last(&truth.topic(), &truth.id).expect("it is there");
        let header = |name: &str| last.headers.get(name).map(String::as_str);
        let entity = truth.topic().replace("entities.", "");
        assert_eq!(header("ce_type"), Some(&*format!("com.mews.entity.{entity}")));
        assert_eq!(header("ce_subject"), Some(&*truth.id));
        assert_eq!(header("partitionkey").or(header("ce_partitionkey")), Some(&*truth.id));
        assert!(header("traceparent").is_some());
    }
    assert!(truths.iter().all(|truth| truth.state == "present"));
    assert_eq!(world.dead_letters(), [].into());
}
