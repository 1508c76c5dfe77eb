//! `journal replay`.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
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
    assert!(sent.errors.contains("20 replayed, 0 refused"), "the sum: {}", sent.errors);
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
async fn signals_end_a_replay_and_nothing_is_left_behind() {
    let cluster = Cluster::start_private(1);
    let setup = Setup::new("replay-stopped", &cluster.bootstrap());
    let mut bridge = setup.start().await;
    for _ in 0..2000 {
        bridge.accept(general(HOTEL, "CustomerAdded", r#"{"Id":"a"}"#)).await;
    }
    bridge.until_drained().await;
    let temporary = setup.dir().join("temporary");
    fs::create_dir(&temporary).expect("a folder");
    let left = || fs::read_dir(&temporary).expect("a folder").count();
    let start = || {
        Command::new(env!("CARGO_BIN_EXE_mews-bridge"))
            .args(["journal", "replay", "--all", "--config", &setup.config()])
            .env("TMPDIR", &temporary)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary can be started")
    };
    let until = async |is_so: &mut dyn FnMut() -> bool| {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_so() {
            assert!(Instant::now() < deadline, "not in time");
            sleep(Duration::from_millis(2)).await;
        }
    };
    let terminate = |command: &Child| kill_process(Pid::from_child(command), Signal::TERM).expect("it runs");

    // One signal: what is under way is waited for, and the rest is not sent.
    let mut command = start();
    until(&mut || left() > 0).await;
    terminate(&command);
    until(&mut || command.try_wait().expect("it is ours").is_some()).await;
    assert_eq!(command.wait().expect("it is ours").code(), Some(75));
    assert_eq!(left(), 0);

    // Two signals: nothing is waited for.
    let mut command = start();
    until(&mut || left() > 0).await;
    cluster.freeze(1);
    terminate(&command);
    sleep(Duration::from_millis(500)).await;
    terminate(&command);
    until(&mut || command.try_wait().expect("it is ours").is_some()).await;
    cluster.thaw(1);
    assert!(matches!(command.wait().expect("it is ours").code(), Some(69 | 75)));
    assert_eq!(left(), 0);
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
