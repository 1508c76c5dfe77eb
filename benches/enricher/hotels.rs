//! What a record costs when few or many hotels share the work.

use crate::{
    cluster::Cluster,
    events,
    follow::Follow,
    process::{cpu_of, memory_of},
    throughput::{median, told, until_all, world},
};

/// Records of each run: at 10 000 hotels 50 of each, which one request can ask for.
const RECORDS: usize = 500_000;

const SIZES: [u32; 3] = [1, 100, 10_000];
const ROUNDS: usize = 5;

pub async fn run() {
    let mut runs = SIZES.map(|_| Vec::new());
    for round in 0..ROUNDS {
        for (hotels, runs) in SIZES.into_iter().zip(&mut runs) {
            runs.push(once(hotels, round).await);
        }
    }
    println!(
        "hotels      {:>8} {:>10} {:>16} {:>10} {:>10}",
        "hotels", "requests", "CPU us/record", "ratio", "RSS MiB"
    );
    let figure = |runs: &[[f64; 3]], at: usize| median(runs.iter().map(|run| run[at]));
    let of_one = figure(&runs[0], 1);
    for (hotels, runs) in SIZES.into_iter().zip(&runs) {
        let [requests, cost, memory] = [0, 1, 2].map(|at| figure(runs, at));
        println!(
            "            {hotels:>8} {requests:>10} {cost:>16.1} {:>10.2} {memory:>10.0}",
            cost / of_one
        );
    }
    println!("            medians of {ROUNDS} rounds\n");
}

/// Requests, microseconds of processor time for each record, and memory in MiB.
async fn once(hotels: u32, round: usize) -> [f64; 3] {
    let world = world(&format!("bench-hotels-{hotels}-{round}"), hotels, |mut config| {
        config.reservations = 1;
        config
    })
    .await;
    let told = told(&world, RECORDS / hotels as usize).await;
    let bootstrap = Cluster::shared().bootstrap();
    events::write(&bootstrap, &world, &told);
    let follow = Follow::start(&bootstrap, &world.setup.topic("entities.reservations"), 12);
    let mut enricher = world.enricher().await;
    until_all(&follow, RECORDS).await;
    let requests: u64 = world.requests().await.iter().filter_map(|token| token["Requests"].as_u64()).sum();
    let cost = cpu_of(enricher.pid()) * 1e6 / RECORDS as f64;
    let memory = memory_of(enricher.pid());
    enricher.kill();
    [requests as f64, cost, memory]
}
