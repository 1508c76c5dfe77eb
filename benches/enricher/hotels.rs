//! What a record costs when few or many hotels share the work, once all is warm: of the last two thirds
//! of the records. Machines drift, so every other round goes through the sizes backwards.

use crate::{
    cluster::Cluster,
    events,
    follow::Follow,
    process::{cpu_of, memory_of},
    throughput::{median, told, until, world},
};

/// Records of each run: at 10 000 hotels 50 of each, which one request can ask for.
const RECORDS: usize = 500_000;

const SIZES: [u32; 3] = [1, 100, 10_000];
const ROUNDS: usize = 7;

pub async fn run() {
    let mut runs = SIZES.map(|_| Vec::new());
    for round in 0..ROUNDS {
        let mut order = [0, 1, 2];
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            runs[at].push(once(SIZES[at], round).await);
        }
    }
    println!(
        "hotels      {:>8} {:>10} {:>16} {:>10} {:>10}",
        "hotels", "requests", "CPU us/record", "ratio", "RSS MiB"
    );
    let figure = |at: usize, of: fn(&Run) -> f64| median(runs[at].iter().map(of));
    let of_one = figure(0, |run| run.cost_us);
    for (at, hotels) in SIZES.into_iter().enumerate() {
        let (requests, cost_us) = (figure(at, |run| run.requests), figure(at, |run| run.cost_us));
        let (ratio, memory_mib) = (cost_us / of_one, figure(at, |run| run.memory_mib));
        println!("            {hotels:>8} {requests:>10} {cost_us:>16.1} {ratio:>10.2} {memory_mib:>10.0}");
    }
    println!("            medians of {ROUNDS} rounds\n");
}

/// What one run came to.
struct Run {
    requests: f64,
    /// Microseconds of processor time for each record.
    cost_us: f64,
    memory_mib: f64,
}

async fn once(hotels: u32, round: usize) -> Run {
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
    until(&follow, RECORDS / 3).await;
    let (cold, cpu) = (follow.keys(), cpu_of(enricher.pid()));
    until(&follow, RECORDS).await;
    let cost_us = (cpu_of(enricher.pid()) - cpu) * 1e6 / (RECORDS - cold) as f64;
    let requests: u64 = world.requests().await.iter().filter_map(|token| token["Requests"].as_u64()).sum();
    let memory_mib = memory_of(enricher.pid());
    enricher.kill();
    Run { requests: requests as f64, cost_us, memory_mib }
}
