//! `journal replay`.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{finished, replay, results, rows};
use crate::{
    bridge::Setup,
    cluster::{Cluster, free_port},
    reader::{self, Query, Record},
    samples::{HOTEL, general},
};

fn read(setup: &Setup, until: usize) -> Vec<Record> {
    let query = Query::of(&setup.prefix, "events.CustomerAdded", until);
    reader::shared().read(&Cluster::shared().bootstrap(), &query)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_loss_of_a_topic_its_records_come_again_with_their_ids_and_order() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("replay-journal", &bootstrap);
    let mut bridge = setup.start().await;
    for number in 0..20 {
        bridge.accept(general(HOTEL, "CustomerAdded", &format!(r#"{{"Id":"a","Number":{number}}}"#))).await;
    }
    bridge.until_drained().await;
    let before = read(&setup, 20);
    reader::shared().delete(&bootstrap, &setup.topic("events.CustomerAdded"));
    sleep(Duration::from_secs(1)).await;
    let missing = replay(&setup, &["journal", "replay", before[0].must("ce_id")], 74);
    assert!(missing[0]["detail"].as_str().unwrap().contains("is missing"), "{missing:?}");
    reader::shared().create(&bootstrap, &setup.topic("events.CustomerAdded"), 3, &[]);

    // How far it was delivered is on the disk a moment later.
    let deadline = Instant::now() + Duration::from_secs(10);
    while replay(&setup, &["journal", "replay", "--all", "--dry-run"], 0).len() < 20 {
        assert!(Instant::now() < deadline, "{}", bridge.log());
        sleep(Duration::from_millis(50)).await;
    }
    let sent = finished(&setup, &["journal", "replay", "--all"], 0);
    assert_eq!(results(&rows(&sent)), ["replayed"; 20]);
    assert!(sent.errors.contains("20 records were replayed"), "the sum: {}", sent.errors);
    let after = read(&setup, 20);
    let ids = |records: &[Record]| {
        records.iter().map(|record| (record.must("ce_id").to_owned(), record.text())).collect::<Vec<_>>()
    };
    assert_eq!(ids(&after), ids(&before), "one hotel, one partition, in order");
    let one = replay(&setup, &["journal", "replay", before[3].must("ce_id")], 0);
    assert_eq!(results(&one), ["replayed"]);
    assert_eq!(read(&setup, 21).last().map(Record::text), Some(before[3].text()));
    bridge.until_drained().await;
    assert_eq!(bridge.stop(), 0, "the journal of the running process was left alone: {}", bridge.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_left_the_journal_is_not_replayed() {
    let setup = Setup::new("replay-pending", &format!("127.0.0.1:{}", free_port()));
    let mut bridge = setup.start().await;
    bridge.accept(general(HOTEL, "CustomerAdded", r#"{"Id":"a"}"#)).await;
    setup.command(&["journal", "replay"]).must_exit(64);
    setup.command(&["journal", "replay", "--all"]).must_exit(69);
    bridge.kill();
    let setup = setup.set("kafka.bootstrap_servers", Cluster::shared().bootstrap());
    setup.command(&["topics", "apply"]).must_exit(0);
    let all = finished(&setup, &["journal", "replay", "--all"], 0);
    assert_eq!(all.text(), "");
    assert!(all.errors.contains("1 deliveries have not left yet"), "{}", all.errors);
    let listed = setup.command(&["journal", "ls", "--output", "json"]).must_exit(0);
    let id = rows(&listed)[0]["delivery"].as_str().expect("a delivery id").to_owned();
    let one = replay(&setup, &["journal", "replay", &id, "nobody"], 74);
    assert_eq!(results(&one), ["refused", "refused"]);
    assert!(one[0]["detail"].as_str().unwrap().contains("not left yet"), "{one:?}");
}
