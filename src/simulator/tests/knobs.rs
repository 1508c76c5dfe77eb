//! The knobs, and what is counted of requests.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::harness::World;
use crate::simulator::{Knobs, RetryAfter};

const RESERVATIONS: &str = "reservations/getAll/2023-06-06";

/// contract 3.4
#[tokio::test]
async fn more_requests_than_the_window_has_are_throttled() {
    let world = World::with_knobs(Knobs { rate_limit: 3, ..Knobs::default() }).await;
    for status in [200, 200, 200, 429, 429] {
        assert_eq!(world.call(RESERVATIONS, json!({})).await.status, status);
    }
    let answer = world.call(RESERVATIONS, json!({})).await;
    assert_eq!(answer.refusal(), (429, "Too many requests."));
    let seconds: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=30).contains(&seconds), "{seconds}");
    assert_eq!(world.call_as(1, RESERVATIONS, json!({})).await.status, 200, "each token has its own");
    world.control("knobs", json!({ "retry_after": "never" })).await;
    let answer = world.call(RESERVATIONS, json!({})).await;
    assert_eq!((answer.status, answer.headers.get("retry-after")), (429, None));
    let token = world.connection(0).access_token;
    let requests = world.read("requests").await[0].clone();
    let of_token =
        requests.as_array().unwrap().iter().find(|of| of["AccessToken"] == token.as_str()).unwrap();
    assert_eq!(of_token["Requests"], 7);
    assert_eq!((&of_token["HighestInWindow"], &of_token["Throttled"]), (&json!(7), &json!(4)));
    assert_eq!(of_token["Operations"]["reservations"]["Requests"], 7);
    assert_eq!(of_token["Statuses"], json!({ "200": 3, "429": 4 }));
}

#[tokio::test]
async fn faults_come_in_the_share_that_was_asked_for() {
    let world = World::new().await;
    let statuses = async |knobs: Value| {
        world.control("knobs", knobs).await;
        let mut statuses = Vec::new();
        for _ in 0..40 {
            statuses.push(world.call(RESERVATIONS, json!({})).await.status);
        }
        statuses.sort_unstable();
        statuses.dedup();
        statuses
    };
    assert_eq!(statuses(json!({ "errors": { "reservations": 1.0 } })).await, [500, 502, 503]);
    assert_eq!(world.call("services/getAll", json!({})).await.status, 200);
    assert_eq!(statuses(json!({ "errors": 0.5 })).await, [200, 500, 502, 503]);
    assert_eq!(statuses(json!({ "errors": null, "timeouts": 1.0 })).await, [408]);
    assert_eq!(statuses(json!({ "timeouts": null, "throttles": { "*": 1.0 } })).await, [429]);
    assert_eq!(statuses(json!({ "throttles": null })).await, [200]);
    for status in [403, 409, 410] {
        assert_eq!(statuses(json!({ "refusals": { "reservations": status } })).await, [status]);
        assert_eq!(world.call("services/getAll", json!({})).await.status, 200);
    }
    assert_eq!(statuses(json!({ "refusals": null })).await, [200]);
}

#[tokio::test]
async fn an_answer_takes_its_latency_or_never_comes() {
    let world = World::new().await;
    world.control("knobs", json!({ "latency": { "reservations": "150ms" } })).await;
    let began = Instant::now();
    assert_eq!(world.call(RESERVATIONS, json!({})).await.status, 200);
    assert!(began.elapsed() >= Duration::from_millis(150));
    world.control("knobs", json!({ "latency": null, "hangs": { "reservations": 1 } })).await;
    let patience = Duration::from_millis(200);
    assert!(timeout(patience, world.call(RESERVATIONS, json!({}))).await.is_err());
    assert_eq!(world.call("services/getAll", json!({})).await.status, 200);
}

/// contract 6 #14 and #27
#[tokio::test]
async fn bad_and_too_many_ids_fail_the_whole_request() {
    let world = World::new().await;
    let (good, bad) = (
        world.make(json!({ "kind": "reservations" })).await,
        world.make(json!({ "kind": "reservations" })).await,
    );
    world.control("knobs", json!({ "bad_ids": [bad], "heavy_ids": 2 })).await;
    let ask = async |ids: Value| world.call(RESERVATIONS, json!({ "ReservationIds": ids })).await;
    assert_eq!(ask(json!([good, bad])).await.refusal(), (400, "Invalid ReservationIds."));
    assert_eq!(ask(json!([good])).await.ids("Reservations").len(), 1);
    let many = json!([good, "5f0e1d2c-3b4a-4958-8776-655443322110", "5f0e1d2c-3b4a-4958-8776-655443322111"]);
    assert_eq!(ask(many).await.status, 408);
}

/// contract 6 #12
#[tokio::test]
async fn a_change_is_read_after_its_lag() {
    let world = World::with_knobs(Knobs { read_lag: Duration::from_secs(3600), ..Knobs::default() }).await;
    let born = world.make(json!({ "kind": "reservations" })).await;
    let answer = world.call(RESERVATIONS, json!({ "ReservationIds": [born] })).await;
    assert!(answer.ids("Reservations").is_empty());
    assert_eq!(world.read(&format!("truth/reservations/{born}")).await[0]["State"], "present");
}

#[tokio::test]
async fn what_is_no_knob_turns_nothing() {
    let world = World::with_knobs(Knobs { retry_after: RetryAfter::Sometimes, ..Knobs::default() }).await;
    let answer = world.send("POST", "/simulator/knobs", r#"{"rate_limit":1,"speed":9}"#).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body["Error"].as_str().unwrap().contains("speed"), "{}", answer.text);
    let knobs = world.read("knobs").await;
    assert_eq!((&knobs[0]["retry_after"], &knobs[0]["frozen"]), (&json!("sometimes"), &json!(true)));
    assert_eq!(world.simulator.knobs().retry_after, RetryAfter::Sometimes);
}

#[tokio::test]
async fn a_hundred_thousand_reservations_are_made_and_found_by_id() {
    let world = World::new().await;
    let wish = json!({ "kind": "reservations", "count": 100_000, "hotel": 1 });
    let made = world.control("changes", wish).await;
    assert_eq!(made["Count"], 100_000);
    let ids: Vec<_> =
        made["Changes"].as_array().unwrap().iter().map(|change| &change["Id"]).take(1000).collect();
    let answer = world.call_as(1, RESERVATIONS, json!({ "ReservationIds": ids })).await;
    assert_eq!(answer.ids("Reservations").len(), 1000);
}
