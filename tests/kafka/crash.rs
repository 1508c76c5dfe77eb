//! The ingress is killed: what it answered is on its disk.

use std::{collections::BTreeSet, time::Duration};

use tokio::time::sleep;

use crate::{
    bridge::Setup,
    cluster::Cluster,
    load::Load,
    reader::{self, Query},
    samples::{HOTEL, general},
};

#[tokio::test(flavor = "multi_thread")]
async fn everything_answered_arrives_though_the_ingress_is_killed_ten_times() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("killed", &bootstrap);
    let mut bridge = setup.start().await;
    let load = Load::start(bridge.port(), 8, Duration::from_millis(1));
    for round in 0..10 {
        // Not in step with anything that the ingress does.
        sleep(Duration::from_millis(400 + round * 37)).await;
        bridge.kill();
        bridge = setup.start().await;
    }
    sleep(Duration::from_millis(500)).await;
    let sent = load.stop().await;
    assert!(sent.unanswered > 0, "the kills were felt");
    assert!(sent.accepted.len() > 500, "only {} were accepted", sent.accepted.len());
    bridge.until_drained().await;
    let query = Query::of(&setup.prefix, "events.CustomerUpdated", sent.accepted.len())
        .counting_ids()
        .within(Duration::from_secs(90));
    sent.judge(&reader::shared().read(&bootstrap, &query));
    assert_eq!(bridge.stop(), 0, "{}", bridge.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_record_has_the_ce_id_that_it_had_before() {
    let cluster = Cluster::start_private(1);
    let setup = Setup::new("replayed", &cluster.bootstrap());
    let mut bridge = setup.start().await;
    cluster.kill(1);
    let body = format!(
        r#"{{"EnterpriseId":"{HOTEL}","IntegrationId":"i","Events":[{}]}}"#,
        (0..50)
            .map(|n| format!(r#"{{"Discriminator":"CustomerAdded","Value":{{"Id":"{n}"}}}}"#))
            .collect::<Vec<_>>()
            .join(",")
    );
    bridge.accept(body.clone()).await;
    bridge.accept(body).await;
    let listed = setup.command(&["journal", "ls", "--output", "json"]).must_exit(0).text();
    let lines: Vec<serde_json::Value> =
        listed.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
    assert_eq!(lines.len(), 2, "{listed}");
    bridge.kill();
    cluster.start_again(1);
    let mut bridge = setup.start().await;
    bridge.until_drained().await;
    let records = reader::shared().read(&cluster.bootstrap(), &Query::of(&setup.prefix, "events.*", 100));
    let deliveries: BTreeSet<_> =
        records.iter().map(|record| record.must("ce_id")[..36].to_owned()).collect();
    assert_eq!(deliveries.len(), 2);
    for delivery in deliveries {
        assert!(listed.contains(&delivery), "{delivery} was another id before the crash: {listed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_on_a_journal_ends_and_names_the_first() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("second", &bootstrap);
    let mut bridge = setup.start().await;
    let other =
        Setup::new("second-other", &bootstrap).set("journal.dir", setup.journal().display().to_string());
    let mut second = other.launch();
    assert_eq!(second.exit(Duration::from_secs(15)), 74, "{}", second.log());
    assert!(second.log().contains(&bridge.pid().to_string()), "pid {} in:\n{}", bridge.pid(), second.log());
    bridge.accept(general(HOTEL, "CustomerUpdated", r#"{"Id":"a"}"#)).await;
    bridge.until_drained().await;
}
