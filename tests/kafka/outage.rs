//! Kafka goes away: deliveries are still accepted, a full journal says so, and nothing is lost.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    bridge::{Bridge, Setup},
    cluster::Cluster,
    load::Load,
    reader::{self, Query, Record},
    samples::{HOTEL, general},
};

/// How long something stays away; minutes show more than a quick run can.
pub fn outage(usual_seconds: u64) -> Duration {
    let seconds = std::env::var("MEWS_TEST_OUTAGE_SECONDS").ok();
    let seconds = seconds.map(|text| text.parse().expect("MEWS_TEST_OUTAGE_SECONDS is a number"));
    Duration::from_secs(seconds.unwrap_or(usual_seconds))
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_accepted_as_fast_while_kafka_is_away_and_all_arrive_in_order() {
    let cluster = Cluster::start_private(1);
    let setup = Setup::new("outage", &cluster.bootstrap());
    let mut bridge = setup.start().await;
    let load = Load::start(bridge.port(), 8, Duration::from_millis(2));
    sleep(Duration::from_secs(2)).await;
    cluster.kill(1);
    sleep(outage(8)).await;
    assert_eq!(bridge.admin("/readyz").await.status, 200, "readiness is not about Kafka");
    assert!(
        bridge.metric("journal_pending_records", &[]).await > 0.0,
        "the journal keeps what Kafka cannot take"
    );
    cluster.start_again(1);
    sleep(Duration::from_secs(2)).await;
    let sent = load.stop().await;
    assert_eq!(sent.answers.keys().collect::<Vec<_>>(), [&202], "{:?}", sent.answers);
    assert_eq!(sent.unanswered, 0);
    assert!(sent.slowest < Duration::from_secs(3), "the slowest answer took {:?}", sent.slowest);
    bridge.until_drained().await;
    let query = Query::of(&setup.prefix, "events.CustomerUpdated", sent.accepted.len()).counting_ids();
    sent.judge(&reader::shared().read(&cluster.bootstrap(), &query));
    #[expect(clippy::cast_precision_loss, reason = "a test accepts far fewer than 2^52")]
    let accepted = sent.accepted.len() as f64;
    bridge.until_metric("journal_completed_records_total", &[("disposition", "delivered")], accepted).await;
    bridge
        .until_metric(
            "webhook_deliveries_total",
            &[("webhook", "general"), ("outcome", "accepted")],
            accepted,
        )
        .await;
}

/// Posts large bodies until one is refused; returns how many were accepted.
async fn fill(bridge: &mut Bridge) -> usize {
    let padding = "x".repeat(60_000);
    for number in 0..200 {
        let value = format!(r#"{{"Id":"a","Number":{number},"Padding":"{padding}"}}"#);
        let answer = bridge.post(general(HOTEL, "CustomerUpdated", &value)).await;
        if answer.status != 202 {
            assert_eq!(answer.status, 503, "{}", answer.text());
            assert!(answer.header("retry-after").parse::<u32>().is_ok(), "Retry-After: {:?}", answer.headers);
            assert_eq!(answer.header("content-type"), "application/problem+json");
            return number;
        }
    }
    panic!("12 MB fit into a journal of 4 MiB");
}

/// The number in the body that a record was made of.
fn number(record: &Record) -> i64 {
    let event: serde_json::Value = serde_json::from_str(&record.text()).expect("an event is JSON");
    event["Value"]["Number"].as_i64().unwrap_or_else(|| panic!("{} has no number", record.topic))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_journal_refuses_and_takes_again_when_kafka_is_back() {
    let cluster = Cluster::start_private(1);
    let setup = Setup::new("full", &cluster.bootstrap()).with_small_journal();
    let mut bridge = setup.start().await;
    // Its topics are there before Kafka goes.
    bridge.accept(general(HOTEL, "CustomerUpdated", r#"{"Id":"a","Number":-1}"#)).await;
    bridge.until_drained().await;
    cluster.kill(1);
    let accepted = fill(&mut bridge).await;
    assert!(accepted > 30, "only {accepted} bodies of 60 kB fit into 4 MiB");
    assert_eq!(bridge.admin("/readyz").await.status, 503, "a full journal is not ready");
    assert_eq!(bridge.admin("/livez").await.status, 200, "but alive");
    bridge.until_metric("journal_state", &[("state", "full")], 1.0).await;
    let shed = [("webhook", "general"), ("outcome", "shed")];
    let unknown = [("webhook", "unknown"), ("outcome", "shed")];
    let refused = bridge.metric("webhook_deliveries_total", &shed).await
        + bridge.metric("webhook_deliveries_total", &unknown).await;
    assert!(refused > 0.0, "a refusal for want of room is counted as shed");
    assert_eq!(bridge.post("x".repeat(200_000)).await.status, 503, "what must be kept and cannot is no 400");
    cluster.start_again(1);
    bridge.until_ready().await;
    bridge.accept(general(HOTEL, "CustomerUpdated", r#"{"Id":"a","Number":1000}"#)).await;
    bridge.until_drained().await;
    let query = Query::of(&setup.prefix, "(events|dead-letters).*", accepted + 2).counting_ids();
    let records = reader::shared().read_some(&cluster.bootstrap(), &query);
    let mut numbers: Vec<_> = records.iter().map(number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let last = i64::try_from(accepted).expect("few");
    let expected: Vec<_> = (-1..last).chain([1000]).collect();
    let logs = || format!("{}\n{}\n{}", reader::places(&records), bridge.log(), cluster.output());
    assert_eq!(numbers, expected, "accepted and nothing else\n{}", logs());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_that_starts_without_kafka_accepts_and_delivers_later() {
    let cluster = Cluster::start_private(1);
    cluster.kill(1);
    let setup = Setup::new("late", &cluster.bootstrap());
    let mut bridge = setup.start().await;
    bridge.accept(general(HOTEL, "CustomerUpdated", r#"{"Id":"a"}"#)).await;
    cluster.start_again(1);
    bridge.until_drained().await;
    reader::shared().read(&cluster.bootstrap(), &Query::of(&setup.prefix, "events.*", 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_kafka_is_away_says_so_in_time_and_the_next_start_delivers() {
    let cluster = Cluster::start_private(1);
    cluster.kill(1);
    let setup = Setup::new("stopped", &cluster.bootstrap()).set("shutdown.timeout", "3s");
    let mut bridge = setup.start().await;
    bridge.accept(general(HOTEL, "CustomerUpdated", r#"{"Id":"a"}"#)).await;
    bridge.terminate();
    assert_eq!(bridge.exit(Duration::from_secs(8)), 75, "{}", bridge.log());
    cluster.start_again(1);
    let mut bridge = setup.start().await;
    bridge.until_drained().await;
    let replayed = [("result", "replayed")];
    bridge.until_metric("journal_recovered_records_total", &replayed, 1.0).await;
    reader::shared().read(&cluster.bootstrap(), &Query::of(&setup.prefix, "events.*", 1));
    assert_eq!(bridge.stop(), 0, "{}", bridge.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_the_wait_for_kafka() {
    let cluster = Cluster::start_private(1);
    cluster.kill(1);
    let setup = Setup::new("twice", &cluster.bootstrap()).set("shutdown.timeout", "50s");
    let mut bridge = setup.start().await;
    bridge.accept(general(HOTEL, "CustomerUpdated", r#"{"Id":"a"}"#)).await;
    bridge.terminate();
    sleep(Duration::from_secs(1)).await;
    bridge.terminate();
    let code = bridge.exit(Duration::from_secs(5));
    assert_ne!(code, 0, "nothing was drained:\n{}", bridge.log());
}
