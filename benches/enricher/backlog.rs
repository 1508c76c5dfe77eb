//! How much of the allowed requests a backlog uses.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use crate::{
    cluster::Cluster,
    world::{World, quiet},
};

const RESERVATIONS: u32 = 100_000;
/// Mews refuses larger requests as too heavy, so that the backlog is more than a window's worth.
const IDS_PER_REQUEST: u32 = 100;
const WINDOW: Duration = Duration::from_secs(30);
const ALLOWED: f64 = 200.0;

pub async fn run() {
    let mut config = quiet();
    config.hotels = 1;
    config.knobs.rate_window = WINDOW;
    config.knobs.delay = Duration::from_millis(1);
    let world = World::on(&Cluster::shared().bootstrap(), "bench-backlog", config, |setup| {
        setup.set("connector.window", "30s").set("enricher.window", "500ms")
    })
    .await;
    world.turn(json!({ "heavy_ids": IDS_PER_REQUEST })).await;
    let mut left = RESERVATIONS;
    while left > 0 {
        let count = left.min(20_000);
        world.change(json!({ "kind": "reservations", "count": count })).await;
        left -= count;
    }
    world.simulator.flush().await;
    let _enricher = world.enricher().await;
    let begin = Instant::now();
    let mut samples: Vec<(Duration, f64)> = Vec::new();
    let mut published = 0;
    while published < RESERVATIONS as usize {
        sleep(Duration::from_millis(200)).await;
        let requests = world.requests().await;
        let sent = requests.iter().filter_map(|token| token["Requests"].as_f64()).sum();
        published = world.view.count("entities.reservations");
        samples.push((begin.elapsed(), sent));
    }
    let throttled: u64 = world.requests().await.iter().filter_map(|token| token["Throttled"].as_u64()).sum();
    // A budget is spent in bursts, a window apart: what any one span of whole windows holds depends on how
    // its edges fall among them, so the mean of such spans is taken, begun at each time of one window. The
    // half with which a new token begins is over before the first, and the last ends before the backlog.
    let sent_at =
        |time: Duration| samples.iter().rev().find(|(at, _)| *at <= time).map_or(0.0, |(_, sent)| *sent);
    let all = sent_at(Duration::MAX);
    let first = samples.iter().find(|(_, sent)| *sent > 0.0).map_or(Duration::ZERO, |(at, _)| *at) + WINDOW;
    let last = samples.iter().rev().find(|(_, sent)| *sent < all).map_or(first, |(at, _)| *at);
    let windows = (last.saturating_sub(first).as_secs_f64() / WINDOW.as_secs_f64()).floor() - 1.0;
    let spans: Vec<f64> = samples
        .iter()
        .filter(|(at, _)| (first..first + WINDOW).contains(at))
        .map(|(at, sent)| (sent_at(*at + WINDOW.mul_f64(windows)) - sent) / (ALLOWED * windows))
        .collect();
    let used = spans.iter().sum::<f64>() / spans.len() as f64;
    println!(
        "backlog     {RESERVATIONS} reservations of one hotel, {IDS_PER_REQUEST} ids a request at most: in spans of {windows} windows of 30 s"
    );
    println!("            {all} requests, {:.0} ids each", f64::from(RESERVATIONS) / all);
    println!("            {used:.3} of the allowed requests were used, and {throttled} answered 429\n");
}
