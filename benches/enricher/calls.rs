//! Requests for a burst, and for one id that changes all the time.

use serde_json::json;

use crate::world::{World, quiet};

pub async fn run() {
    let world = world("bench-burst").await;
    let enricher = world.enricher().await;
    world.change(json!({ "kind": "reservations", "count": 1000 })).await;
    world.until_true(&[&enricher]).await;
    println!("calls       1000 new reservations in one burst: {} requests", all(&world).await);

    let world = self::world("bench-updates").await;
    let enricher = world.enricher().await;
    let ids = world.change(json!({ "kind": "reservations", "count": 1, "silent": true })).await;
    world.change(json!({ "kind": "reservations", "action": "update", "id": ids[0], "count": 100 })).await;
    world.until_true(&[&enricher]).await;
    println!("calls       100 updates of one reservation in its window: {} request\n", all(&world).await);
}

async fn world(name: &str) -> World {
    let mut config = quiet();
    config.hotels = 1;
    World::on(&crate::cluster::Cluster::shared().bootstrap(), name, config, |setup| {
        setup.set("enricher.window", "500ms")
    })
    .await
}

async fn all(world: &World) -> u64 {
    world.requests().await.iter().filter_map(|token| token["Requests"].as_u64()).sum()
}
