//! The commands and their exit codes: configuration, drain, and a damaged journal.

use std::{fs, path::PathBuf, time::Duration};

use crate::{
    bridge::{Setup, TOKEN},
    cluster::{Cluster, free_port},
    samples::{HOTEL, general},
};

/// A set-up whose Kafka never answers.
fn without_kafka(name: &str) -> Setup {
    Setup::new(name, &format!("127.0.0.1:{}", free_port()))
}

/// Starts an ingress that must refuse its configuration; returns what it says.
fn refused(setup: &Setup) -> String {
    let mut bridge = setup.launch();
    let code = bridge.exit(Duration::from_secs(15));
    assert_eq!(code, 64, "{}", bridge.log());
    bridge.log()
}

#[test]
fn an_unknown_key_is_named_with_its_source() {
    let setup = without_kafka("unknown-key").set("ingress.lisen", "127.0.0.1:1");
    let said = refused(&setup);
    assert!(said.contains("lisen") && said.contains("mews-bridge.toml"), "{said}");
    let checked = setup.command(&["config", "check", "ingress"]).must_exit(64).all();
    assert!(checked.contains("lisen") && checked.contains("mews-bridge.toml"), "{checked}");
}

#[test]
fn an_unknown_variable_is_named_with_its_source() {
    let setup = without_kafka("unknown-variable");
    let variable = [("MEWS_BRIDGE__JOURNAL__DIRECTORY", "/x")];
    let said = setup.command_with(&["config", "check", "ingress"], &variable).must_exit(64).all();
    assert!(said.to_lowercase().contains("directory"), "{said}");
    assert!(said.contains("MEWS_BRIDGE__") || said.to_lowercase().contains("environment"), "{said}");
}

#[test]
fn configurations_that_would_break_a_promise_are_refused() {
    let cases = [
        ("no token", without_kafka("c").unset("ingress.tokens.main"), "token"),
        ("no sealing key", without_kafka("c").unset("credentials.sealing_key_files"), "sealing"),
        ("acks", without_kafka("c").property("acks", "1"), "acks"),
        ("partitioner", without_kafka("c").property("partitioner", "random"), "partitioner"),
        ("idempotence", without_kafka("c").property("enable.idempotence", "false"), "enable.idempotence"),
        ("unknown property", without_kafka("c").property("no.such.property", "1"), "no.such.property"),
        ("journal too small", without_kafka("c").set("journal.max_bytes", "64MiB"), "journal.max_bytes"),
        ("segments too small", without_kafka("c").set("journal.segment_bytes", "1KiB"), "segment_bytes"),
        ("a duration without unit", without_kafka("c").set("shutdown.timeout", "25"), "timeout"),
        (
            "socket path",
            without_kafka("c").set("admin.control_socket", format!("/tmp/{}", "x".repeat(120))),
            "control_socket",
        ),
    ];
    for (name, setup, word) in cases {
        let said = refused(&setup);
        assert!(said.contains(word), "{name}: {word:?} is not in {said}");
        assert!(!said.contains(TOKEN), "{name}: the token is in {said}");
    }
}

#[test]
fn a_configuration_is_checked_and_shown_without_its_secrets() {
    let setup = without_kafka("shown").property("sasl.password", "canary-shown-password");
    setup.command(&["config", "check", "ingress"]).must_exit(0);
    let shown = setup.command_with(&["config", "show"], &[("MEWS_BRIDGE__TOPICS__PARTITIONS", "7")]);
    let shown = shown.must_exit(0).text();
    assert!(shown.contains("mews-bridge.toml"), "each value says where it came from: {shown}");
    assert!(
        shown.contains("MEWS_BRIDGE__TOPICS__PARTITIONS") || shown.to_lowercase().contains("environment"),
        "{shown}"
    );
    for secret in [TOKEN, "canary-shown-password"] {
        assert!(!shown.contains(secret), "{secret} is shown: {shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bound_addresses_are_logged_as_json() {
    let setup = Setup::new("logged", &Cluster::shared().bootstrap());
    let mut bridge = setup.start().await;
    for port in [setup.port, setup.admin_port] {
        bridge.until_logged(&format!("127.0.0.1:{port}")).await;
    }
    assert_eq!(bridge.stop(), 0, "{}", bridge.log());
    for line in bridge.log().lines() {
        let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok_and(|line| line.is_object()), "no JSON: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_drains_and_exits_clean() {
    let setup = Setup::new("drained", &Cluster::shared().bootstrap());
    let mut bridge = setup.start().await;
    for _ in 0..50 {
        bridge.accept(general(HOTEL, "CustomerAdded", r#"{"Id":"a"}"#)).await;
    }
    assert_eq!(bridge.stop(), 0, "{}", bridge.log());
    assert_eq!(listed(&setup), 0, "nothing is pending after a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_journal_takes_nothing_more() {
    let setup = Setup::new("drain-command", &Cluster::shared().bootstrap());
    let mut bridge = setup.start().await;
    bridge.accept(general(HOTEL, "CustomerAdded", r#"{"Id":"a"}"#)).await;
    setup.command(&["journal", "drain"]).must_exit(0);
    bridge.until_metric("journal_state", &[("state", "drained")], 1.0).await;
    let answer = bridge.post(general(HOTEL, "CustomerAdded", r#"{"Id":"a"}"#)).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(!answer.header("retry-after").is_empty());
    assert_eq!(bridge.admin("/readyz").await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_says_when_it_takes_too_long_and_when_there_is_nobody_to_ask() {
    let setup = without_kafka("drain-away");
    let nobody = setup.command(&["journal", "drain"]).must_exit(69).all();
    assert!(nobody.contains("control.sock") && nobody.contains("start mews-bridge ingress"), "{nobody}");
    let mut bridge = setup.start().await;
    bridge.accept(general(HOTEL, "CustomerAdded", r#"{"Id":"a"}"#)).await;
    let waited = setup.command(&["journal", "drain", "--timeout", "300ms"]).must_exit(75).all();
    assert!(waited.contains("1 deliveries"), "{waited}");
    assert_eq!(bridge.post(general(HOTEL, "CustomerAdded", r#"{"Id":"a"}"#)).await.status, 503);
    bridge.kill();
    assert_eq!(listed(&setup), 1, "what was accepted is in the journal");
    setup.command(&["journal", "drain"]).must_exit(69);
    setup.start().await.kill();
}

#[test]
fn commands_that_need_kafka_say_so_in_time() {
    let setup = without_kafka("away");
    let began = std::time::Instant::now();
    let said = setup.command(&["quarantine", "ls"]).must_exit(69).all();
    assert!(began.elapsed() < Duration::from_secs(15), "{said}");
    assert!(said.contains("Kafka") && said.contains("refused"), "{said}");
}

#[test]
fn an_id_that_nothing_has_is_said_to_be_unknown() {
    let bootstrap = Cluster::shared().bootstrap();
    let setup = Setup::new("unknown-id", &bootstrap);
    let missing = setup.command(&["dead-letters", "ls"]).must_exit(69).all();
    assert!(missing.contains(&setup.topic("dead-letters")) && missing.contains("missing"), "{missing}");
    setup.command(&["topics", "apply"]).must_exit(0);
    assert_eq!(setup.command(&["dead-letters", "ls", "--output", "json"]).must_exit(0).text(), "");
    for part in ["dead-letters", "quarantine", "journal"] {
        if part == "journal" {
            fs::create_dir(setup.journal()).expect("an empty journal");
        }
        let said = setup.command(&[part, "cat", "0199d1a4-5f60-7cc0-8000-1b6b1b6b1b6b"]).must_exit(74).all();
        assert!(said.contains("0199d1a4"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_stuck_delivery_can_be_discarded_by_its_id() {
    let setup = without_kafka("discarded");
    let mut bridge = setup.start().await;
    bridge.accept(general(HOTEL, "CustomerAdded", r#"{"Id":"stuck"}"#)).await;
    bridge.accept(general(HOTEL, "CustomerAdded", r#"{"Id":"kept"}"#)).await;
    let lines = setup.command(&["journal", "ls", "--output", "json"]).must_exit(0).text();
    let id = lines
        .split(|c: char| !(c.is_ascii_hexdigit() || c == '-'))
        .find(|word| word.len() == 36 && word.parse::<uuid::Uuid>().is_ok())
        .unwrap_or_else(|| panic!("no delivery id in {lines}"));
    let body = setup.command(&["journal", "cat", id]).must_exit(0);
    assert_eq!(
        body.text(),
        general(HOTEL, "CustomerAdded", r#"{"Id":"stuck"}"#),
        "journal ls begins with the oldest"
    );
    assert_ne!(setup.command(&["journal", "discard", id]).code, 0, "not without --yes");
    setup.command(&["journal", "discard", id, "--yes"]).must_exit(0);
    bridge.until_metric("journal_pending_records", &[], 1.0).await;
    bridge.until_metric("journal_completed_records_total", &[("disposition", "discarded")], 1.0).await;
    bridge.until_metric("journal_unaccounted_records", &[], 0.0).await;
    bridge.kill();
}

/// How many deliveries `journal ls` lists.
fn listed(setup: &Setup) -> usize {
    setup.command(&["journal", "ls", "--output", "json"]).must_exit(0).text().lines().count()
}

/// A journal with five pending deliveries and no process, each with a marker in it.
async fn five_pending(name: &str) -> (Setup, Vec<String>) {
    let setup = without_kafka(name);
    let mut bridge = setup.start().await;
    let markers: Vec<_> = (0..5).map(|n| format!("marker-{n}-in-the-journal")).collect();
    for marker in &markers {
        bridge.accept(general(HOTEL, "CustomerAdded", &format!(r#"{{"Id":"{marker}"}}"#))).await;
    }
    bridge.kill();
    (setup, markers)
}

/// The file and offset of a marker.
fn place(setup: &Setup, marker: &str) -> (PathBuf, usize) {
    for entry in fs::read_dir(setup.journal()).expect("the journal can be read") {
        let path = entry.expect("a folder entry").path();
        if !fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
            continue;
        }
        let bytes = fs::read(&path).expect("a file of ours");
        let at = bytes.windows(marker.len()).position(|window| window == marker.as_bytes());
        if let Some(at) = at {
            return (path, at);
        }
    }
    panic!("{marker} is not in the journal");
}

fn change(file: &PathBuf, edit: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).expect("a file of ours");
    edit(&mut bytes);
    fs::write(file, bytes).expect("a file of ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_journal_verifies_and_lists_what_is_pending() {
    let (setup, _) = five_pending("sound").await;
    setup.command(&["journal", "verify"]).must_exit(0);
    assert_eq!(listed(&setup), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_tail_verifies_with_a_note_and_is_cut() {
    let (setup, markers) = five_pending("torn").await;
    let (file, at) = place(&setup, &markers[4]);
    change(&file, |bytes| bytes[at + 3..].fill(0));
    let said = setup.command(&["journal", "verify"]).must_exit(0).all();
    assert!(said.to_lowercase().contains("torn"), "a note on the torn tail: {said}");
    let mut bridge = setup.start().await;
    bridge.until_metric("journal_corrupt_records_total", &[("reason", "torn_tail")], 1.0).await;
    bridge.until_metric("journal_pending_records", &[], 4.0).await;
    bridge.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_fails_verify_is_set_aside_and_the_rest_is_delivered() {
    let (setup, markers) = five_pending("damaged").await;
    let (file, at) = place(&setup, &markers[2]);
    change(&file, |bytes| bytes[at] ^= 0x10);
    let said = setup.command(&["journal", "verify"]).must_exit(74).all();
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    assert!(said.contains(&name), "the damaged file is named: {said}");
    let bootstrap = Cluster::shared().bootstrap();
    let setup = setup.set("kafka.bootstrap_servers", bootstrap.as_str());
    let mut bridge = setup.start().await;
    bridge.until_drained().await;
    bridge.until_metric("journal_corrupt_records_total", &[("reason", "checksum")], 1.0).await;
    let query = crate::reader::Query::of(&setup.prefix, "events.*", 4);
    let records = crate::reader::shared().read(&bootstrap, &query);
    assert_eq!(records.len(), 4);
    assert!(records.iter().all(|record| !record.text().contains("marker-2")));
    let aside = fs::read_dir(setup.journal().join("damaged")).expect("a folder for damage").count();
    assert_eq!(aside, 1, "the damaged frame is copied aside");
    assert_eq!(bridge.stop(), 0, "{}", bridge.log());
}
