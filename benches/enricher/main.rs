//! What the enricher makes of its requests, beside what could be made of them.
//!
//! ```text
//! cargo bench --bench enricher                    all of them, some ten minutes
//! cargo bench --bench enricher -- calls backlog   some
//! ```
//!
//! calls       requests for 1000 ids in one burst, and for a hundred updates of one id
//! backlog     how much of what Mews allows is used while a hotel has more to fetch than that
//! neighbours  webhook to record at 1000 hotels, with and without one whose requests hang
//! throughput  records per second, beside a loop that fetches the same batches and produces them
//! hotels      processor time per record and memory, at 1, 100 and 10 000 hotels
//!
//! The enricher is the release binary as it is deployed, Kafka is the Apache Kafka that `tests/run` has
//! fetched, and Mews is the simulator in this process: all on the same cores. Figures that depend on the
//! machine are only compared with others of the same run; nothing here fails because a machine is slow.

#![expect(clippy::print_stdout, reason = "a benchmark's figures are for whoever runs it")]

mod backlog;
mod calls;
mod events;
mod follow;
mod hotels;
mod neighbours;
mod plain;
mod process;
mod throughput;

#[path = "../../tests/kafka/bridge.rs"]
#[allow(dead_code, reason = "tests use all of it")]
mod bridge;
#[path = "../../tests/kafka/cluster.rs"]
#[allow(dead_code, reason = "tests use all of it")]
mod cluster;
#[path = "../../tests/kafka/http.rs"]
#[allow(dead_code, reason = "tests use all of it")]
mod http;
#[path = "../../tests/kafka/leash.rs"]
#[allow(dead_code, reason = "tests use all of it")]
mod leash;
#[path = "../../tests/kafka/reader.rs"]
#[allow(dead_code, reason = "tests use all of it")]
mod reader;
#[path = "../../tests/kafka/view.rs"]
#[allow(dead_code, reason = "tests use all of it")]
mod view;
#[path = "../../tests/kafka/world.rs"]
#[allow(dead_code, reason = "tests use all of it")]
mod world;

/// The bridge's own, so that both sides have the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == plain::ROLE) {
        return plain::run(&arguments[1..]).await;
    }
    let wanted: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|each| *each == name);
    if is_wanted("calls") {
        calls::run().await;
    }
    if is_wanted("throughput") {
        throughput::run().await;
    }
    if is_wanted("hotels") {
        hotels::run().await;
    }
    if is_wanted("neighbours") {
        neighbours::run().await;
    }
    if is_wanted("backlog") {
        backlog::run().await;
    }
}
