//! Webhook to record of a thousand hotels, with and without one whose requests hang.

use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::json;
use tokio::time::sleep;

use crate::{cluster::Cluster, follow::Follow, throughput::world};

const HOTELS: u32 = 1000;
/// Changes a second, over all hotels.
const PACE: u64 = 100;
const SECONDS: u64 = 20;
const ROUNDS: usize = 3;

pub async fn run() {
    let world = world("bench-neighbours", HOTELS, |mut config| {
        config.knobs.delay = Duration::ZERO;
        config
    })
    .await;
    let mut enricher = world.enricher().await;
    let follow =
        Follow::start(&Cluster::shared().bootstrap(), &world.setup.topic("entities.reservations"), 12);
    let hanging = world.simulator.connections()[0].integration_id;
    let mut p99s = [Vec::new(), Vec::new()];
    // The first round is for getting warm.
    for round in 0..=ROUNDS {
        for (is_hanging, p99s) in [false, true].into_iter().zip(&mut p99s) {
            let integrations = if is_hanging { vec![hanging] } else { vec![] };
            world.turn(json!({ "hanging": integrations })).await;
            let mut made = HashMap::new();
            let begin = Instant::now();
            for step in 0..PACE * SECONDS {
                let hotel = step % u64::from(HOTELS);
                let at = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as i64;
                let ids = world.change(json!({ "hotel": hotel, "kind": "reservations", "count": 1 })).await;
                if hotel != 0 {
                    made.insert(ids[0].clone(), at);
                }
                sleep(
                    (begin + Duration::from_millis((step + 1) * 1000 / PACE))
                        .saturating_duration_since(Instant::now()),
                )
                .await;
            }
            world.simulator.flush().await;
            let deadline = Instant::now() + Duration::from_secs(60);
            let mut latencies: Vec<i64> = loop {
                let times = follow.times();
                let arrived = made.iter().filter_map(|(id, at)| Some(times.get(id)?.first()? - at));
                let latencies: Vec<_> = arrived.collect();
                if latencies.len() == made.len() {
                    break latencies;
                }
                assert!(
                    Instant::now() < deadline,
                    "{} of {} came\n{}",
                    latencies.len(),
                    made.len(),
                    enricher.log()
                );
                sleep(Duration::from_millis(100)).await;
            };
            latencies.sort_unstable();
            if round > 0 {
                p99s.push(latencies[latencies.len() * 99 / 100]);
            }
        }
    }
    let [without, with] = p99s.map(|mut p99s| {
        p99s.sort_unstable();
        p99s[p99s.len() / 2]
    });
    println!(
        "neighbours  {HOTELS} hotels, {PACE} changes/s: p99 webhook to record {without} ms, with one hotel hanging {with} ms, ratio {:.2}\n",
        with as f64 / without as f64
    );
    enricher.kill();
}
