//! The table of answers, row by row, on HTTP/1.1.

use std::time::Duration;

use bytesize::ByteSize;

use super::harness::{ENCODED, GENERAL, INTEGRATION, ROOM, Server, config, keys, now, with_fields};
use crate::{
    credentials::seal::Sealer,
    ingress::Config,
    telemetry::metrics::{Outcome, Webhook},
    webhook::Content,
};

fn reason(content: &Content) -> &str {
    match content {
        Content::Quarantined { reason, .. } => reason,
        Content::General | Content::Integration => "",
    }
}

#[tokio::test]
async fn a_202_names_a_delivery_that_is_in_the_journal() {
    let server = Server::start(config()).await;
    let answer = server.deliver("/webhooks/general", GENERAL).await;
    assert_eq!((answer.status, &*answer.body), (202, ""));
    let [delivery] = &server.deliveries()[..] else { panic!("one delivery") };
    assert_eq!(answer.field("mews-bridge-delivery-id"), Some(&*delivery.id.to_string()));
    assert_eq!((&delivery.content, &delivery.body[..]), (&Content::General, GENERAL.as_bytes()));
    server.until(|server| server.count(Webhook::General, Outcome::Accepted) == 1).await;
    let metrics = server.metrics.expose();
    for line in [
        "mewsbridge_http_requests_total{code=\"202\",handler=\"webhook_general\"} 1",
        "mewsbridge_http_request_duration_seconds_count{handler=\"webhook_general\"} 1",
        "mewsbridge_webhook_ack_duration_seconds_count{webhook=\"general\"} 1",
        &format!("mewsbridge_webhook_body_size_bytes_sum{{webhook=\"general\"}} {}", GENERAL.len()),
        "mewsbridge_webhook_events_total{discriminator=\"CustomerAdded\"} 1",
        "mewsbridge_webhook_events_per_delivery_count 1",
        "mewsbridge_http_requests_in_flight{handler=\"webhook_general\"} 0",
        "mewsbridge_webhook_route_mismatches_total 0",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn silence_counts_from_the_start_and_then_from_the_last_delivery() {
    let before = now();
    let server = Server::start(config()).await;
    let last = |server: &Server| server.metrics.webhook.last_accepted.of(Webhook::General).get();
    server.until(|server| server.metrics.expose().contains("last_accepted_timestamp_seconds{")).await;
    let began = last(&server);
    assert!((before..=now()).contains(&began), "{began}");
    let integration = server.metrics.webhook.last_accepted.of(Webhook::Integration).get();
    assert_eq!(
        (integration, server.metrics.expose().matches("last_accepted_timestamp_seconds{").count()),
        (began, 2)
    );
    assert_eq!(server.deliver("/webhooks", GENERAL).await.status, 202);
    assert!(last(&server) > began);
}

#[tokio::test]
async fn the_body_decides_what_it_is_on_every_route() {
    let server = Server::start(config()).await;
    for path in ["/webhooks", "/webhooks/", "/webhooks/general", "/webhooks/integration/"] {
        assert_eq!(server.deliver(path, GENERAL).await.status, 202, "{path}");
        assert_eq!(server.deliver(path, INTEGRATION).await.status, 202, "{path}");
    }
    let deliveries = server.deliveries();
    assert_eq!(deliveries.len(), 8);
    for pair in deliveries.chunks(2) {
        assert_eq!((&pair[0].content, &pair[1].content), (&Content::General, &Content::Integration));
    }
    assert_eq!(server.metrics.webhook.route_mismatches.get(), 2);
}

#[tokio::test]
async fn any_content_type_is_taken_and_a_valid_trace_is_kept() {
    let server = Server::start(config()).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let fields = format!(
        "Content-Type: text/plain\r\nContent-Encoding: identity\r\ntraceparent: {trace}\r\nContent-Length: {}\r\n",
        GENERAL.len()
    );
    let target = format!("/webhooks?token={ENCODED}");
    assert_eq!(server.send(with_fields(&target, &fields) + GENERAL).await.status, 202);
    assert_eq!(server.deliver("/webhooks", GENERAL).await.status, 202);
    let deliveries = server.deliveries();
    assert_eq!(deliveries[0].traceparent, trace);
    assert!(deliveries[1].traceparent.starts_with("00-") && deliveries[1].traceparent.ends_with("-01"));
}

#[tokio::test]
async fn an_unknown_shape_is_quarantined_and_answered_202() {
    let server = Server::start(config()).await;
    for body in ["{}", "[1]", "7", r#"{"Events":[],"Events":[]}"#] {
        assert_eq!(server.deliver("/webhooks/integration", body).await.status, 202, "{body}");
    }
    let reasons: Vec<_> = server.deliveries().iter().map(|each| reason(&each.content).to_owned()).collect();
    assert_eq!(reasons, ["unknown_shape", "unknown_shape", "unknown_shape", "duplicate_member"]);
    server.until(|server| server.count(Webhook::Integration, Outcome::Quarantined) == 4).await;
}

#[tokio::test]
async fn what_is_not_json_is_refused_and_kept_once() {
    let server = Server::start(config()).await;
    for (body, why) in [
        ("{\"token\":\"canary\"", "urn:mews-bridge:problem:not-json"),
        ("", "urn:mews-bridge:problem:not-json"),
        (&"[".repeat(65), "urn:mews-bridge:problem:too-deep"),
    ] {
        for _ in 0..3 {
            let answer = server.deliver("/webhooks/general", body).await;
            assert_eq!((answer.status, &*answer.problem("type")), (400, why));
        }
    }
    let kept = server.deliveries();
    let reasons: Vec<_> = kept.iter().map(|each| reason(&each.content)).collect();
    assert_eq!(reasons, ["not_json", "not_json", "too_deep"]);
    let opened = keys().open(std::str::from_utf8(&kept[0].body).unwrap()).unwrap();
    assert_eq!(&opened[..], b"{\"token\":\"canary\"");
    let answer = server.deliver("/webhooks/general", "{\"a\":1\n,x}").await;
    assert!(answer.problem("detail").contains("line 2 column 2"), "{}", answer.body);
    server.until(|server| server.count(Webhook::General, Outcome::Quarantined) == 10).await;
}

#[tokio::test]
async fn when_secrets_are_discarded_an_unreadable_body_leaves_a_record_without_it() {
    let server = Server::sealing(config(), Sealer::Discard).await;
    assert_eq!(server.deliver("/webhooks", "oops").await.status, 400);
    assert_eq!(server.deliver("/webhooks", INTEGRATION).await.status, 202);
    let [unreadable, integration] = &server.deliveries()[..] else { panic!("two deliveries") };
    assert!(unreadable.body.is_empty());
    assert!(
        matches!(&unreadable.content, Content::Quarantined { detail, .. } if detail.contains("discarded"))
    );
    assert!(std::str::from_utf8(&integration.body).unwrap().contains(r#""AccessToken":{"Discarded":true}"#));
}

#[tokio::test]
async fn route_then_method_then_token() {
    let server = Server::start(config()).await;
    for target in ["/", "/nope", "/webhooks/general/a/b", "/webhook"] {
        let answer = server.send(format!("GET {target} HTTP/1.1\r\nHost: bridge\r\n\r\n")).await;
        assert_eq!((answer.status, &*answer.problem("title")), (404, "No such path"), "{target}");
    }
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let mut client = server.connect().await;
        client
            .say(format!("{method} /webhooks/general HTTP/1.1\r\nHost: bridge\r\nConnection: close\r\n\r\n"))
            .await;
        let answer = client.closed().await.to_lowercase();
        assert!(answer.starts_with("http/1.1 405 ") && answer.contains("\r\nallow: post\r\n"), "{answer}");
    }
    let answer = server.post("/webhooks/general", GENERAL).await;
    assert_eq!((answer.status, &*answer.problem("title")), (401, "No right token"));
    assert_eq!(answer.field("www-authenticate"), Some("token"));
    server.until(|server| server.count(Webhook::Unknown, Outcome::RejectedAuth) == 1).await;
    assert_eq!(server.count(Webhook::Unknown, Outcome::RejectedRoute), 9);
    assert!(server.deliveries().is_empty());
    assert!(
        server
            .metrics
            .expose()
            .contains("mewsbridge_webhook_ack_duration_seconds_count{webhook=\"unknown\"} 0")
    );
}

#[tokio::test]
async fn a_refusal_comes_before_the_body() {
    let server = Server::start(config()).await;
    let length = "Content-Length: 1000\r\nExpect: 100-continue\r\n";
    let right = format!("/webhooks?token={ENCODED}");
    let huge = "Content-Length: 8388609\r\nExpect: 100-continue\r\n";
    let gzip = format!("{length}Content-Encoding: gzip\r\n");
    for (target, fields, status) in [
        ("/webhooks?token=wrong", length, 401),
        ("/nope", length, 404),
        (&right, huge, 413),
        (&right, &gzip, 415),
    ] {
        let answer = server.send(with_fields(target, fields)).await;
        assert_eq!((answer.status, answer.field("connection")), (status, Some("close")), "{target}");
    }
    let mut client = server.connect().await;
    client.say(with_fields(&right, "Content-Length: 2\r\nExpect: 100-continue\r\n")).await;
    assert_eq!(client.answer().await.status, 100);
    client.say("{}").await;
    assert_eq!(client.answer().await.status, 202);
    server.until(|server| server.count(Webhook::Unknown, Outcome::RejectedEncoding) == 1).await;
    assert_eq!(server.count(Webhook::Unknown, Outcome::RejectedTooLarge), 1);
}

#[tokio::test]
async fn a_sender_in_the_middle_of_a_large_body_reads_why_it_is_refused() {
    let server = Server::start(config()).await;
    for _ in 0..5 {
        // It sends all of it before it reads anything, as many clients do.
        let answer = server.post("/webhooks?token=wrong", &"x".repeat(4 << 20)).await;
        assert_eq!(answer.status, 401);
        let answer = server.deliver("/webhooks", &"x".repeat((8 << 20) + 1)).await;
        assert_eq!(answer.status, 413);
    }
}

#[tokio::test]
async fn a_chunked_body_is_counted() {
    let server = Server::start(Config { max_body_bytes: ByteSize(8), ..config() }).await;
    let target = format!("/webhooks?token={ENCODED}");
    let chunked = |body: &str| with_fields(&target, "Transfer-Encoding: chunked\r\n") + body;
    assert_eq!(server.send(chunked("4\r\n{\"a\"\r\n4\r\n:12}\r\n0\r\n\r\n")).await.status, 202);
    assert_eq!(server.send(chunked("4\r\n{\"a\"\r\n5\r\n:123}\r\n")).await.status, 413);
    assert_eq!(server.deliver("/webhooks", "{\"a\":12}").await.status, 202);
    assert_eq!(server.deliver("/webhooks", "{\"a\":123}").await.status, 413);
    assert_eq!(server.deliveries().len(), 2);
}

#[tokio::test]
async fn a_slow_body_is_answered_408_and_one_that_breaks_off_is_counted() {
    let server = Server::start(Config { body_timeout: Duration::from_millis(20), ..config() }).await;
    let target = format!("/webhooks?token={ENCODED}");
    let begun = with_fields(&target, "Content-Length: 10\r\n") + "{";
    let answer = server.send(&begun).await;
    assert_eq!((answer.status, answer.field("connection")), (408, Some("close")));
    server.until(|server| server.count(Webhook::Unknown, Outcome::TimedOut) == 1).await;
    let mut client = server.connect().await;
    client.say(&begun).await;
    drop(client);
    server.until(|server| server.count(Webhook::Unknown, Outcome::ClientAbort) == 1).await;
}

#[tokio::test]
async fn too_many_or_too_large_fields_are_431() {
    let server = Server::start(config()).await;
    let target = format!("/webhooks?token={ENCODED}");
    let fields = |n: usize| "a: b\r\n".repeat(n);
    let head = |n| with_fields(&target, &(fields(n) + "Content-Length: 2\r\n")) + "{}";
    assert_eq!(server.send(head(98)).await.status, 202);
    let answer = server.send(head(99)).await;
    assert_eq!(answer.status, 431);
    let large = with_fields(&target, &format!("a: {}\r\nContent-Length: 2\r\n", "x".repeat(60 << 10))) + "{}";
    assert_eq!(server.send(large).await.status, 202);
    for size in [64 << 10, 300 << 10] {
        let huge = with_fields(&target, &format!("a: {}\r\n", "x".repeat(size)));
        assert_eq!(server.send(huge).await.status, 431, "{size}");
    }
    server.until(|server| server.count(Webhook::Unknown, Outcome::RejectedTooLarge) == 3).await;
}

#[tokio::test]
async fn a_journal_that_refuses_is_503_whatever_the_body_is() {
    let full = Server::start(config()).await;
    full.room(0);
    every_body_is_told_to_come_again(&full, Outcome::Shed).await;
    assert_eq!(full.count(Webhook::General, Outcome::Shed), 1, "a full journal is found out by the append");
    full.room(ROOM);
    assert_eq!(full.deliver("/webhooks", "not json").await.status, 400);
    assert_eq!(full.deliveries().len(), 1, "what was not kept is kept when it comes again");

    let draining = Server::start(config()).await;
    draining.journal.drain();
    every_body_is_told_to_come_again(&draining, Outcome::Shed).await;

    let broken = Server::start(config()).await;
    broken.break_disk();
    every_body_is_told_to_come_again(&broken, Outcome::JournalError).await;
}

async fn every_body_is_told_to_come_again(server: &Server, outcome: Outcome) {
    for body in [GENERAL, INTEGRATION, "{}", "not json"] {
        let answer = server.deliver("/webhooks", body).await;
        assert_eq!(answer.status, 503, "{outcome:?} {body}");
        assert!(answer.field("retry-after").is_some());
    }
    let kinds = [Webhook::General, Webhook::Integration, Webhook::Unknown];
    server.until(|server| kinds.iter().map(|kind| server.count(*kind, outcome)).sum::<u64>() == 4).await;
}

#[tokio::test]
async fn too_many_bytes_in_flight_are_refused_before_they_are_read() {
    let size = ByteSize::kib(64);
    let server = Server::start(Config { max_body_bytes: size, max_in_flight_bytes: size, ..config() }).await;
    let target = format!("/webhooks?token={ENCODED}");
    let large = format!("{:60000}", "{}");
    let head = with_fields(&target, "Content-Length: 60000\r\n");
    let mut first = server.connect().await;
    first.say(&head).await;
    server.until(|server| server.metrics.expose().contains("in_flight{handler=\"webhook\"} 1")).await;
    let answer = server.send(&head).await;
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert_eq!(server.post(&target, "{}").await.status, 202);
    first.say(&large).await;
    assert_eq!(first.answer().await.status, 202);
    assert_eq!(server.post(&target, &large).await.status, 202);
    assert_eq!(server.count(Webhook::Unknown, Outcome::Shed), 1);
}
