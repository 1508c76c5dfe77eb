//! Client token, access tokens and sealing keys are nowhere but in requests and in their own files.

use std::fs;

use serde_json::json;

use crate::{
    cluster::Cluster,
    reader::{self, Query},
    world::{World, quiet},
};

#[tokio::test(flavor = "multi_thread")]
async fn canaries_are_nowhere_in_logs_metrics_state_or_records() {
    let bootstrap = Cluster::shared().bootstrap();
    let mut config = quiet();
    config.announce = true;
    let mut world =
        World::on(&bootstrap, "secrets", config, |setup| setup.set("telemetry.log", "trace")).await;
    let mut canaries = vec![world.simulator.client_token.clone(), "5a".repeat(32)];
    let tokens = |world: &World| {
        let connections = world.simulator.connections().into_iter();
        connections.map(|connection| connection.access_token).collect::<Vec<_>>()
    };
    canaries.extend(tokens(&world));
    let mut enricher = world.enricher().await;
    world.change(json!({ "kind": "reservations", "count": 5 })).await;
    world.change(json!({ "kind": "customers", "count": 5 })).await;
    world.until_true(&[&enricher]).await;
    // Refusals of every kind are logged too.
    world.turn(json!({ "errors": 0.5, "throttles": 0.3 })).await;
    world.change(json!({ "kind": "customers", "count": 5 })).await;
    world.act(0, "regenerate", false).await;
    canaries.extend(tokens(&world));
    world.turn(json!({ "errors": 0.0, "throttles": 0.0 })).await;
    world.until_true(&[&enricher]).await;
    world.act(1, "revoke", true).await;
    world.change(json!({ "hotel": 1, "kind": "resources", "count": 3 })).await;
    world.simulator.flush().await;
    enricher.until_metric("enricher_parked_records", &[("reason", "unauthorized")], 3.0).await;

    let mut said = vec![("its configuration", world.setup.command(&["config", "show"]).all())];
    for (name, process) in [("the ingress", &mut world.ingress), ("the enricher", &mut enricher)] {
        for path in ["/metrics", "/state", "/readyz"] {
            said.push((name, process.admin(path).await.text()));
        }
        assert_eq!(process.stop(), 0);
        let log = process.log();
        assert!(log.contains("TRACE") || log.contains("DEBUG"), "{name} does not log everything");
        said.push((name, log));
    }
    let all =
        Query { topics: format!("{}\\..*", world.setup.prefix), ..Query::of(&world.setup.prefix, "", 1) };
    for record in reader::shared().read(&bootstrap, &all) {
        said.push(("a record", format!("{} {} {:?}", record.key_text(), record.text(), record.headers)));
    }
    assert!(said.len() > 50, "records are read");
    for canary in &canaries {
        for (name, text) in &said {
            assert!(!text.contains(canary.as_str()), "{name} says {canary}:\n{text}");
        }
    }
    let file = fs::read_to_string(world.setup.dir().join("credentials.json")).expect("the credentials");
    assert!(file.contains(&canaries[2]), "canaries are what is used");
}
