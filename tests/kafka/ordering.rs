//! One hotel's records keep their order while brokers come and go.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    bridge::{Bridge, Setup},
    cluster::Cluster,
    load::Load,
    reader::{self, Query},
};

/// Three nodes, and an ingress whose topics are there.
async fn three_nodes(name: &str) -> (Cluster, Setup, Bridge) {
    let cluster = Cluster::start_private(3);
    let setup = Setup::new(name, &cluster.bootstrap());
    let bridge = setup.start().await;
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !reader::shared().topics(&cluster.bootstrap(), &setup.prefix).contains_key("events.CustomerUpdated")
    {
        assert!(std::time::Instant::now() < deadline, "no topics:\n{}", bridge.log());
        sleep(Duration::from_millis(200)).await;
    }
    (cluster, setup, bridge)
}

async fn judge(cluster: &Cluster, setup: &Setup, mut bridge: Bridge, load: Load) {
    let sent = load.stop().await;
    assert_eq!(sent.answers.keys().collect::<Vec<_>>(), [&202], "{:?}", sent.answers);
    bridge.until_drained().await;
    let query = Query::of(&setup.prefix, "events.CustomerUpdated", sent.accepted.len()).counting_ids();
    sent.judge(&reader::shared().read(&cluster.bootstrap(), &query));
}

#[tokio::test(flavor = "multi_thread")]
async fn order_holds_when_a_leader_is_killed() {
    let (cluster, setup, bridge) = three_nodes("leader-kill").await;
    let load = Load::start(bridge.port(), 12, Duration::from_millis(1));
    sleep(Duration::from_secs(2)).await;
    let leader = reader::shared().leader(&cluster.bootstrap(), &setup.topic("events.CustomerUpdated"), 0);
    cluster.kill(leader);
    sleep(Duration::from_secs(5)).await;
    cluster.start_again(leader);
    sleep(Duration::from_secs(2)).await;
    judge(&cluster, &setup, bridge, load).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn order_holds_when_a_leader_falls_silent_and_comes_back() {
    let (cluster, setup, bridge) = three_nodes("leader-freeze").await;
    let load = Load::start(bridge.port(), 12, Duration::from_millis(1));
    sleep(Duration::from_secs(2)).await;
    let leader = reader::shared().leader(&cluster.bootstrap(), &setup.topic("events.CustomerUpdated"), 1);
    cluster.freeze(leader);
    sleep(Duration::from_secs(6)).await;
    cluster.thaw(leader);
    sleep(Duration::from_secs(2)).await;
    judge(&cluster, &setup, bridge, load).await;
}
