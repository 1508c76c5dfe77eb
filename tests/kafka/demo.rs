//! `mews-bridge demo`: what it prints is true, all that it shows happens, and it leaves nothing behind.

use std::{
    fs,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    message::{Headers as _, OwnedMessage},
};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::{http::Client, leash::Leash};

const BINARY: &str = env!("CARGO_BIN_EXE_mews-bridge");
/// From the start to the first line, and from the end of its time to the last.
const PATIENCE: Duration = Duration::from_secs(45);
const KINDS: [&str; 7] =
    ["reservations", "resources", "messages", "resource-blocks", "customers", "payments", "products"];

/// A running demo, whose temporary directory is in one of ours.
struct Demo {
    leash: Leash,
    dir: TempDir,
}

/// What it prints first.
struct Printed {
    webhook: String,
    broker: String,
    admin: String,
    curl: String,
    kcats: Vec<String>,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("mews-bridge-test").tempdir().expect("a temporary folder");
        let tmp = dir.path().join("tmp");
        fs::create_dir(&tmp).expect("a folder is made");
        let command = [&[BINARY, "demo"], arguments].concat();
        let environment = [("TMPDIR", tmp.to_str().expect("a path of ours is text"))];
        Self { leash: Leash::start(&dir.path().join("demo"), None, &command, &environment), dir }
    }

    /// Waits until it has printed a text.
    async fn until(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.leash.output();
            if output.contains(text) {
                return output;
            }
            assert!(self.leash.exit_code().is_none() && Instant::now() < deadline, "no {text:?} in {output}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    async fn printed(&mut self) -> Printed {
        let output = self.until("\nsimulator: ").await;
        let lines: Vec<_> = output.lines().collect();
        let after = |at: usize, word: &str| {
            let line: &str = lines[at];
            line.strip_prefix(word).unwrap_or_else(|| panic!("line {at} is {line:?}")).to_owned()
        };
        let pasted = |word: &str| {
            lines.iter().filter_map(|line| line.trim_start().strip_prefix(word)).map(str::to_owned).collect()
        };
        let curls: Vec<String> = pasted("curl ");
        Printed {
            webhook: after(0, "webhook: "),
            broker: after(1, "broker: "),
            admin: after(2, "admin: "),
            curl: curls.first().expect("a curl line").clone(),
            kcats: pasted("kcat "),
        }
    }

    /// Its exit code and all that it said; nothing of it may be left.
    fn ended(mut self) -> String {
        let code = self.leash.wait(PATIENCE + PATIENCE);
        let output = self.leash.output();
        assert_eq!(code, Some(0), "{output}");
        let left: Vec<_> = fs::read_dir(self.dir.path().join("tmp")).expect("our folder").collect();
        assert!(left.is_empty(), "{left:?} is left behind");
        output
    }
}

/// The port and the rest of a URL on loopback.
fn parts(url: &str) -> (u16, &str) {
    let rest = url.strip_prefix("http://127.0.0.1:").expect("a URL on loopback");
    let (port, path) = rest.split_once('/').unwrap_or((rest, ""));
    (port.parse().expect("a port"), path)
}

/// The last column in the row of a name, from the table after the last line.
fn figure(output: &str, name: &str) -> u64 {
    let table = output.rsplit_once("\ndeliveries").expect("a table at the end").1;
    let mut words = table.split_whitespace().skip_while(|word| *word != name).skip(1);
    words.next().and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no {name} in {table}"))
}

/// The number before a word.
fn number_before(text: &str, word: &str) -> u64 {
    let before = text.split_once(word).unwrap_or_else(|| panic!("no {word:?} in {text}")).0;
    let number = before.split(|letter: char| !letter.is_ascii_digit()).rfind(|number| !number.is_empty());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no number before {word:?}"))
}

/// Every event is done with, and the records on the topics are those of the hotels.
fn assert_exact(output: &str) {
    assert!(output.contains("in the journal, 0 events not enriched\n\n"), "{output}");
    let withheld =
        if output.contains(" to other clients") { number_before(output, " to other clients") } else { 0 };
    let told = number_before(output, " entities that were told of");
    let exact = number_before(output, " are on their topics");
    assert!(exact > 0 && exact + withheld == told, "{output}");
}

/// Waits for a record of this key. The Java client speaks newer versions than the embedded broker.
fn record_of(broker: &str, topic: &str, key: &str) -> OwnedMessage {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("group.id", "demo-test")
        .create()
        .expect("a consumer can be made");
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("the broker answers");
    let mut partitions = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        partitions.add_partition_offset(topic, partition.id(), Offset::Beginning).expect("a partition");
    }
    consumer.assign(&partitions).expect("partitions can be assigned");
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(Ok(record)) = consumer.poll(Duration::from_millis(100))
            && record.key() == Some(key.as_bytes())
        {
            return record.detach();
        }
        assert!(Instant::now() < deadline, "the record of {key} does not come");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_turns_webhooks_into_records_of_all_kinds() {
    let mut demo = Demo::start(&["--duration", "25s"]);
    let printed = demo.printed().await;
    let (port, path) = parts(&printed.webhook);
    assert!(printed.curl.starts_with(&format!("-i '{}' -d '", printed.webhook)), "{}", printed.curl);
    for (kcat, topic) in
        printed.kcats.iter().zip(["mews.events.ServiceOrderUpdated", "mews.entities.reservations"])
    {
        assert!(kcat.contains(&format!("-b {} -t {topic} -f '", printed.broker)), "{kcat}");
    }

    let body = printed.curl.split("-d '").nth(1).and_then(|rest| rest.strip_suffix('\'')).expect("a body");
    let answer = Client::new(port).post(&format!("/{path}"), body.to_owned()).await.expect("an answer");
    assert_eq!(answer.status, 202, "{}", answer.text());

    let told: Value = serde_json::from_str(body).expect("the body is JSON");
    let id = told["Events"][0]["Value"]["Id"].as_str().expect("an id").to_owned();
    let broker = printed.broker.clone();
    let record = tokio::task::spawn_blocking(move || record_of(&broker, "mews.entities.reservations", &id));
    let record = record.await.expect("the reader does not panic");
    let value: Value = serde_json::from_slice(record.payload().unwrap_or_default()).expect("JSON");
    assert!(value["State"].is_string() && value["ServiceId"].is_string(), "a full record: {value}");
    let headers = record.headers().expect("headers");
    let header = |name| headers.iter().find(|header| header.key == name).and_then(|header| header.value);
    assert_eq!(header("ce_subject"), value["Id"].as_str().map(str::as_bytes));
    assert_eq!(header("ce_type"), Some(&b"com.mews.entity.reservations"[..]));

    let mut admin = Client::new(parts(&printed.admin).0);
    let metrics = admin.get("/metrics").await.expect("metrics").text();
    assert!(metrics.contains(r#"role="demo""#) && metrics.contains("enricher_events_total"), "{metrics}");

    let output = demo.ended();
    for kind in KINDS {
        assert!(figure(&output, kind) > 0, "{kind}: {output}");
    }
    assert_exact(&output);
    assert!(number_before(&output, " saved by coalescing\nbudget") > 0, "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_the_demo_with_every_event_accounted_for_although_mews_was_out_of_sorts() {
    let mut demo = Demo::start(&["--hotels", "2", "--rate", "40", "--seed", "7"]);
    let output = demo.until(" s  deliveries: ").await;
    let simulator = output.split("simulator: ").nth(1).and_then(|rest| rest.lines().next()).expect("a URL");
    let (port, path) = parts(simulator);
    let (mut simulator, knobs) = (Client::new(port), format!("/{path}/knobs"));
    let mut turn = async |body: &'static str| {
        let answer = simulator.post(&knobs, body).await.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    turn(r#"{"errors":0.2,"throttles":0.1,"latency":"200ms","heavy_ids":20}"#).await;
    // From 10 s on.
    demo.until("\n  1").await;
    turn(r#"{"errors":0,"throttles":0,"latency":null,"heavy_ids":null}"#).await;
    demo.leash.signal(Signal::INT);
    let output = demo.ended();
    assert!(output.contains("The 2 hotels sent "), "{output}");
    assert_exact(&output);
}
