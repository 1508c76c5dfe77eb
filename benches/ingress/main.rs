//! Webhooks answered per second, durable and relayed, beside a hyper server that only answers.
//!
//! ```text
//! cargo bench --bench ingress              eleven rounds of one second, 64 to 512 connections
//! cargo bench --bench ingress -- 3 2 16    three rounds of two seconds, 16 connections
//! ```
//!
//! Both servers are processes of their own and get the same bodies from the same load generator in
//! turn, in short rounds, because machines drift; the ratio is the median of the rounds' ratios. `bare` reads each body to its end and answers 202.
//! `bridge` is the release binary as it is deployed: token checked, body parsed, journaled with
//! fdatasync before the answer, while its relay produces every event to a broker. The broker is the
//! embedded one, in the process of the load generator, so it takes its share of the same cores: the
//! processor time per webhook says who used how much. Figures are medians of the rounds; nothing here
//! fails because a machine is slow.

#![expect(clippy::print_stdout, reason = "a benchmark's figures are for whoever runs it")]

mod bare;
mod load;

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use load::{Figures, Load};
use mews_bridge::{config::Config, kafka::embedded::Embedded};

/// The bridge's own, so that both sides have the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if arguments.first().is_some_and(|first| first == bare::ROLE) {
        return bare::serve();
    }
    let number =
        |at: usize, default: u64| arguments.get(at).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (rounds, seconds) = (number(0, 11), number(1, 1));
    // Each connection waits for its answer: few of them wait for the disk most of the time, and only
    // many keep the processors of both servers busy.
    let cases = match arguments.get(2) {
        Some(_) => [1, 10].map(|events| (events, number(2, 256))).to_vec(),
        None => vec![(1, 64), (1, 256), (1, 512), (10, 512)],
    };

    let names = Config::default().topic_names().expect("the defaults are sound");
    let broker = Embedded::start(1).expect("the embedded broker starts");
    broker.create(&names.written_by_ingress()).expect("topics are made");
    let data = tempfile::tempdir().expect("a temporary directory");
    let bare = Server::bare();
    let bridge = Server::bridge(data.path(), broker.bootstrap_servers());
    let within = Duration::from_secs(seconds);
    println!("medians of {rounds} rounds of {seconds} s, General webhooks\n");
    println!(
        "{:<7} {:>11} {:>8} {:>14} {:>10} {:>10} {:>15} {:>13}",
        "events", "connections", "server", "webhooks/s", "p50 ms", "p99 ms", "server CPU us", "load CPU us"
    );
    for (events, connections) in cases {
        let load = |server: &Server| Load {
            address: server.address,
            path: server.path,
            body: body(events),
            connections,
            within,
            server: server.child.id(),
        };
        let (mut plain, mut durable) = (Vec::new(), Vec::new());
        load(&bridge).run();
        for _ in 0..rounds {
            plain.push(load(&bare).run());
            durable.push(load(&bridge).run());
        }
        let ratios = plain.iter().zip(&durable).map(|(plain, durable)| durable.per_second / plain.per_second);
        let ratio = load::median(ratios.collect());
        let (plain, durable) = (Figures::median(&plain), Figures::median(&durable));
        for (name, figures) in [("bare", &plain), ("bridge", &durable)] {
            println!(
                "{events:<7} {connections:>11} {name:>8} {:>14.0} {:>10.2} {:>10.2} {:>15.1} {:>13.1}",
                figures.per_second,
                figures.p50_ms,
                figures.p99_ms,
                figures.server_cpu_us,
                figures.load_cpu_us
            );
        }
        println!("{events:<7} {connections:>11} {:>8} {ratio:>14.2}\n", "ratio");
    }
}

/// A General webhook as Mews sends it.
fn body(events: usize) -> String {
    let events: Vec<_> = (0..events)
        .map(|n| format!(r#"{{"Discriminator":"ServiceOrderUpdated","Value":{{"Id":"5f0e1d2c-3b4a-4958-8776-6554433{n:05}"}}}}"#))
        .collect();
    format!(
        r#"{{"EnterpriseId":"851df8c8-90f2-4c4a-8e01-a4fc46b25178","IntegrationId":"7d9f2e31-8c44-4f0b-a1b2-c3d4e5f60718","Events":[{}]}}"#,
        events.join(",")
    )
}

/// A server process, ended when this goes.
struct Server {
    child: Child,
    address: SocketAddr,
    path: &'static str,
}

impl Server {
    fn bare() -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
            .arg(bare::ROLE)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the bare server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("the bare server speaks");
        Self { child, address: line.trim().parse().expect("an address"), path: "/webhooks?token=bench" }
    }

    fn bridge(data: &std::path::Path, bootstrap: &str) -> Self {
        let settings = [
            "ingress.listen=127.0.0.1:0".to_owned(),
            "admin.listen=127.0.0.1:0".to_owned(),
            "ingress.tokens.bench=bench".to_owned(),
            "credentials.discard_secrets=true".to_owned(),
            "topics.provision=off".to_owned(),
            "telemetry.log_format=json".to_owned(),
            format!("journal.dir={}", data.join("journal").display()),
            format!("kafka.bootstrap_servers={bootstrap}"),
        ];
        let mut child = Command::new(env!("CARGO_BIN_EXE_mews-bridge"))
            .arg("ingress")
            .args(settings.iter().flat_map(|setting| ["--set", setting]))
            .stderr(Stdio::piped())
            .spawn()
            .expect("the bridge starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let line: serde_json::Value = serde_json::from_str(&line).ok()?;
                line["webhooks"].as_str()?.parse().ok()
            })
            .expect("the bridge says where it listens");
        // Keeps the pipe empty, so that the bridge never waits for a reader of its log.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address, path: "/webhooks?token=bench" }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
