//! What the other tests stand on: the cluster, the Java reader, and that librdkafka and Java agree on partitions.

use std::{collections::BTreeSet, path::Path, process::Command, time::Duration};

use rdkafka::{
    ClientConfig,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use uuid::Uuid;

use crate::{
    cluster::{Cluster, unique_prefix},
    leash::Leash,
    reader::{self, Query},
};

#[test]
fn java_places_the_reference_key_on_partition_three_of_twelve() {
    let placed = reader::shared().partitions(&[b"851df8c8-90f2-4c4a-8e01-a4fc46b25178"], 12);
    assert_eq!(placed, [3]);
}

#[test]
fn librdkafka_with_murmur2_random_places_keys_as_java_does() {
    let bootstrap = Cluster::shared().bootstrap();
    let prefix = unique_prefix("parity");
    let topic = format!("{prefix}.keys");
    reader::shared().create(&bootstrap, &topic, 12, &[]);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &bootstrap)
        .set("partitioner", "murmur2_random")
        .create()
        .unwrap();
    let keys: Vec<_> =
        (0..100).map(|n| Uuid::from_u128(n * 0x9e37_79b9_7f4a_7c15_f39c).to_string()).collect();
    for key in &keys {
        let headers = OwnedHeaders::new().insert(Header { key: "h", value: Some("v") });
        producer.send(BaseRecord::to(&topic).key(key).payload(key).headers(headers)).unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();
    let records = reader::shared().read(&bootstrap, &Query::of(&prefix, "keys", keys.len()));
    let bytes: Vec<_> = records.iter().map(|record| record.key.as_deref().unwrap()).collect();
    let expected = reader::shared().partitions(&bytes, 12);
    let actual: Vec<_> = records.iter().map(|record| record.partition).collect();
    assert_eq!(actual, expected);
    assert_eq!(records.len(), keys.len());
    let places: BTreeSet<_> = records.iter().map(|record| (record.partition, record.offset)).collect();
    assert_eq!(places.len(), keys.len(), "each record is read once");
    assert!(records.iter().all(|record| record.must("h") == "v" && record.text() == record.key_text()));
}

#[test]
fn a_killed_cluster_comes_back_on_its_ports_with_its_data() {
    let cluster = Cluster::start_private(1);
    reader::shared().create(&cluster.bootstrap(), "back.again", 1, &[]);
    cluster.kill(1);
    assert!(reader::shared().nodes(&cluster.bootstrap()).is_err());
    cluster.start_again(1);
    assert_eq!(reader::shared().topics(&cluster.bootstrap(), "back").len(), 1);
}

#[test]
fn a_leashed_command_ends_when_its_leash_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let leash = Leash::start(&dir.path().join("log"), None, &["sleep", "600"], &[]);
    let running = format!("/proc/{}", leash.pid());
    assert!(Path::new(&running).exists());
    drop(leash);
    assert!(!Path::new(&running).exists());
}

/// The shell dies as a test process does that is killed: without a chance to clean up.
#[test]
fn a_leashed_command_ends_with_a_killed_starter() {
    let dir = tempfile::tempdir().unwrap();
    let cleared = dir.path().join("cleared");
    std::fs::create_dir(&cleared).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka/leash.sh");
    let line = format!(
        "mkfifo {0}/in; sh {1} {0}/out {0}/err {0}/cleared sleep 600 <{0}/in >{0}/pid & exec 9>{0}/in; sleep 0.3; kill -KILL $$",
        dir.path().display(),
        script.display()
    );
    let _ = Command::new("sh").args(["-c", &line]).status().unwrap();
    let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap();
    let running = format!("/proc/{}", pid.trim());
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while Path::new(&running).exists() || cleared.exists() {
        assert!(std::time::Instant::now() < deadline, "{running} or its folder is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}
