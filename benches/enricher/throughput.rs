//! Records per second of the enricher and of a loop that does nothing else.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use mews_bridge::simulator::Config;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    cluster::Cluster,
    events::{self, Told},
    follow::Follow,
    plain,
    process::cpu_of,
    world::{World, quiet},
};

const HOTELS: u32 = 20;
const RESERVATIONS: usize = 10_000;
const ROUNDS: usize = 5;

pub async fn run() {
    println!("throughput  {:>12} {:>12} {:>16}", "", "records/s", "CPU us/record");
    let (mut ours, mut plains) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let world = world(&format!("bench-throughput-{round}"), HOTELS, |config| config).await;
        let told = told(&world, RESERVATIONS).await;
        ours.push(enricher(&world, &told).await);
        plains.push(plain_loop(&world, &told).await);
    }
    let [ours, plain] = [("enricher", ours), ("plain loop", plains)].map(|(name, runs)| {
        let (rate, cpu) = (median(runs.iter().map(|run| run.0)), median(runs.iter().map(|run| run.1)));
        println!("            {name:>12} {rate:>12.0} {cpu:>16.1}");
        rate
    });
    println!("            ratio {:.2}, medians of {ROUNDS} rounds\n", ours / plain);
}

pub fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// A simulator that answers at once, and requests without a limit.
pub async fn world(name: &str, hotels: u32, change: impl FnOnce(Config) -> Config) -> World {
    let mut config = quiet();
    config.hotels = hotels;
    config.reservations = 5;
    config.knobs.rate_limit = usize::MAX;
    let config = change(config);
    World::on(&Cluster::shared().bootstrap(), name, config, |setup| {
        setup
            .set("connector.requests_per_window", 10_000)
            .set("connector.window", "1s")
            .set("connector.request_timeout", "30s")
            .set("enricher.window", "500ms")
            .set("topics.partitions", 12)
    })
    .await
}

/// New reservations of every hotel that nobody was told of.
pub async fn told(world: &World, reservations: usize) -> Vec<Told> {
    let connections = world.simulator.connections();
    let mut told = Vec::with_capacity(connections.len());
    for (place, connection) in connections.iter().enumerate() {
        let wish = json!({ "hotel": place, "kind": "reservations", "count": reservations, "silent": true });
        told.push(Told {
            hotel: connection.enterprise_id.expect("a hotel's own").to_string(),
            integration: connection.integration_id.to_string(),
            ids: world.change(wish).await,
        });
    }
    told
}

/// Until so many keys were seen.
pub async fn until(follow: &Follow, keys: usize) {
    let deadline = Instant::now() + Duration::from_secs(300);
    while follow.keys() < keys {
        assert!(Instant::now() < deadline, "{} of {keys} records came", follow.keys());
        sleep(Duration::from_millis(10)).await;
    }
}

/// Until every key was seen; then records per second of all but the first third, while all is getting warm.
async fn until_all(follow: &Follow, keys: usize) -> f64 {
    until(follow, keys).await;
    let mut times: Vec<i64> = follow.times().values().filter_map(|times| times.first().copied()).collect();
    times.sort_unstable();
    let times = &times[keys / 3..];
    times.len() as f64 / ((times[times.len() - 1] - times[0]).max(1) as f64 / 1000.0)
}

/// Records per second, and microseconds of processor time for each.
async fn enricher(world: &World, told: &[Told]) -> (f64, f64) {
    let bootstrap = Cluster::shared().bootstrap();
    events::write(&bootstrap, world, told);
    let follow = Follow::start(&bootstrap, &world.setup.topic("entities.reservations"), 12);
    let mut enricher = world.setup.launch_enricher();
    let records = told.iter().map(|told| told.ids.len()).sum();
    let rate = until_all(&follow, records).await;
    let cpu = cpu_of(enricher.pid()) * 1e6 / records as f64;
    enricher.kill();
    (rate, cpu)
}

async fn plain_loop(world: &World, told: &[Told]) -> (f64, f64) {
    let bootstrap = Cluster::shared().bootstrap();
    let topic = world.setup.topic("entities.customers");
    let batches = world.setup.dir().join("batches.json");
    let list: Vec<_> = told
        .iter()
        .zip(world.simulator.connections())
        .flat_map(|(told, connection)| {
            let token = connection.access_token;
            told.ids.chunks(1000).map(
                move |ids| json!({ "AccessToken": token.clone(), "EnterpriseId": told.hotel, "Ids": ids }),
            )
        })
        .collect();
    fs::write(&batches, serde_json::to_vec(&list).expect("JSON")).expect("batches are written");
    let follow = Follow::start(&bootstrap, &topic, 12);
    let mut child = Command::new(std::env::current_exe().expect("this program has a path"))
        .args([plain::ROLE, &bootstrap, &topic, &world.simulator.platform, &world.simulator.client_token])
        .arg(&batches)
        .stdin(Stdio::null())
        .spawn()
        .expect("the loop starts");
    let records = told.iter().map(|told| told.ids.len()).sum();
    let rate = until_all(&follow, records).await;
    let cpu = cpu_of(child.id() as i32) * 1e6 / records as f64;
    let _ = child.wait();
    (rate, cpu)
}
