//! What a record costs when few or many hotels share the work.

use crate::{
    cluster::Cluster,
    events,
    follow::Follow,
    process::{cpu_of, memory_of},
    throughput::{told, until_all, world},
};

/// Records of each run: at 10 000 hotels 50 of each, which one request can ask for.
const RECORDS: usize = 500_000;

pub async fn run() {
    println!(
        "hotels      {:>8} {:>10} {:>16} {:>10} {:>10}",
        "hotels", "requests", "CPU us/record", "ratio", "RSS MiB"
    );
    let mut of_one = None;
    for hotels in [1, 100, 10_000] {
        let world = world(&format!("bench-hotels-{hotels}"), hotels, |mut config| {
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
        let requests: u64 =
            world.requests().await.iter().filter_map(|token| token["Requests"].as_u64()).sum();
        let cost = cpu_of(enricher.pid()) * 1e6 / RECORDS as f64;
        println!(
            "            {hotels:>8} {requests:>10} {cost:>16.1} {:>10.2} {:>10.0}",
            cost / *of_one.get_or_insert(cost),
            memory_of(enricher.pid()),
        );
        enricher.kill();
    }
    println!();
}
