//! Asks `Reader.java`, one Java machine for all tests: a Kafka client that shares no code with ours.

use std::{
    collections::{BTreeMap, HashMap},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster;

/// One record as the Java client sees it.
#[derive(Clone, Debug, Deserialize)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    #[serde(deserialize_with = "bytes")]
    pub key: Option<Vec<u8>>,
    #[serde(deserialize_with = "bytes")]
    pub value: Option<Vec<u8>>,
    #[serde(deserialize_with = "headers")]
    pub headers: Vec<(String, String)>,
}

impl Record {
    /// The value of a header that is there once.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(each, _)| each == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "header {name} is there twice: {:?}", self.headers);
        value
    }

    /// A header that must be there.
    pub fn must(&self, name: &str) -> &str {
        self.header(name).unwrap_or_else(|| panic!("no header {name} on {}: {:?}", self.topic, self.headers))
    }

    /// The key as text.
    pub fn key_text(&self) -> String {
        String::from_utf8_lossy(self.key.as_deref().unwrap_or_default()).into_owned()
    }

    /// The value as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }
}

/// What a topic is.
#[derive(Clone, Debug, Deserialize)]
pub struct Topic {
    pub partitions: i32,
    pub replicas: i32,
    pub configs: BTreeMap<String, String>,
}

/// What to read, and when to stop.
#[derive(Clone)]
pub struct Query {
    pub topics: String,
    pub until: usize,
    pub within: Duration,
    pub settle: Duration,
    pub counted: Counted,
}

/// What counts towards [`Query::until`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Every record.
    Records,
    /// Every `ce_id` of a topic once.
    Ids,
}

impl Query {
    /// All records of the topics under a prefix whose rest matches, once there are `until`.
    pub fn of(prefix: &str, rest: &str, until: usize) -> Self {
        Self {
            topics: format!("{}\\.{rest}", prefix.replace('.', "\\.")),
            until,
            within: Duration::from_secs(40),
            settle: Duration::from_millis(400),
            counted: Counted::Records,
        }
    }

    pub fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    pub fn counting_ids(self) -> Self {
        Self { counted: Counted::Ids, ..self }
    }
}

/// The Java machine.
pub struct Reader {
    stdin: Mutex<ChildStdin>,
    waiting: Arc<Mutex<HashMap<u64, mpsc::Sender<Value>>>>,
    next: AtomicU64,
    _process: Child,
}

/// The one of this run. It ends when its standard input closes with the test process.
pub fn shared() -> &'static Reader {
    static SHARED: OnceLock<Reader> = OnceLock::new();
    SHARED.get_or_init(Reader::start)
}

impl Reader {
    fn start() -> Self {
        use std::os::unix::process::CommandExt as _;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kafka");
        let log = folder.join("log4j2.properties");
        let mut process = Command::new("java")
            .args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", cluster::class_path()])
            .arg(format!("-Dlog4j2.configurationFile={}", log.display()))
            // Its standard output is for answers: a warning of the Java machine in one would spoil it.
            .arg("-Dlevel=off")
            .args(["-XX:+DisplayVMOutputToStderr", "-Xlog:disable", "-Xlog:all=warning:stderr"])
            .arg(folder.join("Reader.java"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("java can be started: run tests/run once");
        let stdin = Mutex::new(process.stdin.take().expect("standard input is piped"));
        let stdout = process.stdout.take().expect("standard output is piped");
        let waiting: Arc<Mutex<HashMap<u64, mpsc::Sender<Value>>>> = Arc::default();
        let answers = Arc::clone(&waiting);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { break };
                let Ok(answer) = serde_json::from_str::<Value>(&line) else {
                    let head: String = line.chars().take(200).collect();
                    let spoilt =
                        json!({ "error": format!("{} bytes that are no answer: {head}", line.len()) });
                    for asker in answers.lock().expect("no panic while it is held").values() {
                        let _ = asker.send(spoilt.clone());
                    }
                    break;
                };
                let Some(id) = answer["id"].as_u64() else { continue };
                if let Some(asker) = answers.lock().expect("no panic while it is held").get(&id) {
                    // The asker may have given up.
                    let _ = asker.send(answer);
                }
            }
            answers.lock().expect("no panic while it is held").clear();
        });
        Self { stdin, waiting, next: AtomicU64::new(1), _process: process }
    }

    fn ask(&self, mut request: Value, within: Duration) -> (Vec<Record>, Result<Value, String>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        request["id"] = id.into();
        let (sender, answers) = mpsc::channel();
        self.waiting.lock().expect("no panic while it is held").insert(id, sender);
        {
            let mut stdin = self.stdin.lock().expect("no panic while it is held");
            writeln!(stdin, "{request}").expect("Reader.java takes requests");
            stdin.flush().expect("Reader.java takes requests");
        }
        let mut records = Vec::new();
        let end = loop {
            let Ok(mut answer) = answers.recv_timeout(within) else {
                break Err("no answer from Reader.java".to_owned());
            };
            if answer.get("record").is_some() {
                records.push(
                    serde_json::from_value(answer["record"].take())
                        .expect("a record as Reader.java writes it"),
                );
            } else if let Some(error) = answer["error"].as_str() {
                break Err(error.to_owned());
            } else {
                break Ok(answer["done"].take());
            }
        };
        self.waiting.lock().expect("no panic while it is held").remove(&id);
        (records, end)
    }

    fn must(&self, request: &Value) -> Value {
        let (_, end) = self.ask(request.clone(), Duration::from_secs(30));
        end.unwrap_or_else(|error| panic!("{request}: {error}"))
    }

    /// How many brokers a client sees.
    pub fn nodes(&self, bootstrap: &str) -> Result<usize, String> {
        let (_, end) = self.ask(json!({"do": "nodes", "bootstrap": bootstrap}), Duration::from_secs(15));
        Ok(usize::try_from(end?.as_u64().unwrap_or(0)).unwrap_or(0))
    }

    /// Where the Java client puts each key.
    pub fn partitions(&self, keys: &[&[u8]], partitions: i32) -> Vec<i32> {
        let keys: Vec<_> = keys.iter().map(|key| STANDARD.encode(key)).collect();
        let answer = self.must(&json!({"do": "partitions", "keys": keys, "partitions": partitions}));
        serde_json::from_value(answer).expect("a list of partitions")
    }

    /// The records of a query, in the order of reading: per partition that of its offsets.
    ///
    /// Panics with what was there if the wanted number did not come in time.
    pub fn read(&self, bootstrap: &str, query: &Query) -> Vec<Record> {
        let records = self.read_some(bootstrap, query);
        let enough = match query.counted {
            Counted::Records => records.len(),
            Counted::Ids => ids(&records).len(),
        };
        assert!(
            enough >= query.until,
            "only {enough} of {} in {} came within {:?}:\n{}",
            query.until,
            query.topics,
            query.within,
            places(&records)
        );
        records
    }

    /// The records that came in time, however few.
    pub fn read_some(&self, bootstrap: &str, query: &Query) -> Vec<Record> {
        let request = json!({
            "do": "read", "bootstrap": bootstrap, "topics": query.topics, "until": query.until,
            "timeout_ms": millis(query.within), "settle_ms": millis(query.settle),
            "distinct": query.counted == Counted::Ids,
        });
        let (records, end) = self.ask(request, query.within + Duration::from_secs(20));
        end.unwrap_or_else(|error| panic!("reading {}: {error}", query.topics));
        records
    }

    /// Makes a topic.
    pub fn create(&self, bootstrap: &str, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
        let configs: BTreeMap<_, _> = configs.iter().copied().collect();
        self.must(&json!({"do": "create", "bootstrap": bootstrap, "topic": topic, "partitions": partitions, "configs": configs}));
    }

    /// Deletes a topic.
    pub fn delete(&self, bootstrap: &str, topic: &str) {
        self.must(&json!({"do": "delete", "bootstrap": bootstrap, "topic": topic}));
    }

    /// Gives a topic more partitions.
    pub fn grow(&self, bootstrap: &str, topic: &str, partitions: i32) {
        self.must(&json!({"do": "grow", "bootstrap": bootstrap, "topic": topic, "partitions": partitions}));
    }

    /// The topics under a prefix, by the rest of their names.
    pub fn topics(&self, bootstrap: &str, prefix: &str) -> BTreeMap<String, Topic> {
        let pattern = format!("{}\\..*", prefix.replace('.', "\\."));
        let answer = self.must(&json!({"do": "describe", "bootstrap": bootstrap, "topics": pattern}));
        let topics: BTreeMap<String, Topic> =
            serde_json::from_value(answer).expect("topics as Reader.java writes them");
        topics.into_iter().map(|(name, topic)| (name[prefix.len() + 1..].to_owned(), topic)).collect()
    }

    /// The node that leads a partition.
    pub fn leader(&self, bootstrap: &str, topic: &str, partition: i32) -> usize {
        let request = json!({"do": "leader", "bootstrap": bootstrap, "topic": topic, "partition": partition});
        self.must(&request)
            .as_u64()
            .and_then(|id| usize::try_from(id).ok())
            .expect("the partition has a leader")
    }
}

/// Different `ce_id`s per topic.
pub fn ids(records: &[Record]) -> std::collections::BTreeSet<(String, String)> {
    records.iter().map(|record| (record.topic.clone(), record.must("ce_id").to_owned())).collect()
}

/// Which offsets of which partitions were read: what is missing at the end or in between shows.
pub fn places(records: &[Record]) -> String {
    let mut ranges: BTreeMap<(&str, i32), Vec<(i64, i64)>> = BTreeMap::new();
    for record in records {
        let ranges = ranges.entry((&record.topic, record.partition)).or_default();
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == record.offset => *last = record.offset,
            _ => ranges.push((record.offset, record.offset)),
        }
    }
    let lines = ranges.iter().map(|((topic, partition), ranges)| format!("{topic} {partition}: {ranges:?}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).expect("tests do not wait for ages")
}

fn bytes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    let text: Option<String> = Deserialize::deserialize(deserializer)?;
    Ok(text.map(|text| STANDARD.decode(text).expect("Reader.java writes base64")))
}

fn headers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    let headers: Vec<(String, Option<String>)> = Deserialize::deserialize(deserializer)?;
    let text = |value: String| {
        String::from_utf8(STANDARD.decode(value).expect("base64")).expect("headers are UTF-8")
    };
    Ok(headers.into_iter().map(|(name, value)| (name, value.map(text).unwrap_or_default())).collect())
}
