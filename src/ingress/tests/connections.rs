//! How long connections live, and how many there are.

use std::time::{Duration, Instant};

use super::harness::{ENCODED, GENERAL, Server, config, post};
use crate::ingress::Config;

const SHORT: Duration = Duration::from_millis(50);

fn right() -> String {
    post(&format!("/webhooks?token={ENCODED}"), GENERAL)
}

#[tokio::test]
async fn a_slow_head_is_closed_the_first_and_every_later_one() {
    let server = Server::start(Config { head_timeout: SHORT, ..config() }).await;
    for begun in ["", "P", "PRI", "PRI * HT", "POST /webhooks HTTP/1.1\r\nHost:"] {
        let mut client = server.connect().await;
        client.say(begun).await;
        assert_eq!(client.closed().await, "", "{begun:?}");
    }
    let mut client = server.connect().await;
    client.say(right()).await;
    assert_eq!(client.answer().await.status, 202);
    let began = Instant::now();
    tokio::time::sleep(SHORT * 2).await;
    client.say("POST /webh").await;
    assert_eq!(client.closed().await, "");
    assert!(began.elapsed() >= SHORT * 3, "being idle does not count");
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request_until_it_is_idle_too_long() {
    let server = Server::start(Config { idle_timeout: SHORT * 4, ..config() }).await;
    let mut client = server.connect().await;
    for _ in 0..5 {
        client.say(right()).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.field("connection")), (202, None));
        tokio::time::sleep(SHORT).await;
    }
    assert_eq!(client.closed().await, "");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_turn() {
    let server = Server::start(config()).await;
    let mut client = server.connect().await;
    client.say(right().repeat(3)).await;
    for _ in 0..3 {
        assert_eq!(client.answer().await.status, 202);
    }
    assert_eq!(server.deliveries().len(), 3);
}

#[tokio::test]
async fn at_the_limit_the_longest_idle_connection_makes_room_and_a_busy_one_stays() {
    let server = Server::start(Config { max_connections: 2, ..config() }).await;
    let mut busy = server.connect().await;
    let text = right();
    let (head, body) = text.split_at(text.len() - 1);
    busy.say(head).await;
    server.until(|server| server.metrics.expose().contains("in_flight{handler=\"webhook\"} 1")).await;
    let mut idle = server.connect().await;
    idle.say(right()).await;
    assert_eq!(idle.answer().await.status, 202);

    assert_eq!(server.send(right()).await.status, 202, "a third one is served");
    assert_eq!(idle.closed().await, "");
    assert!(server.metrics.http.connections.get() <= 2);
    busy.say(body).await;
    assert_eq!(busy.answer().await.status, 202);
}

#[tokio::test]
async fn with_no_idle_connection_the_next_one_waits() {
    let server = Server::start(Config { max_connections: 1, ..config() }).await;
    let mut busy = server.connect().await;
    let text = right();
    let (head, body) = text.split_at(text.len() - 1);
    busy.say(head).await;
    server.until(|server| server.metrics.expose().contains("in_flight{handler=\"webhook\"} 1")).await;
    let mut next = server.connect().await;
    next.say(&text).await;
    let early = tokio::time::timeout(SHORT, next.0.readable()).await;
    assert!(early.is_err(), "nobody reads it yet");
    busy.say(body).await;
    assert_eq!(busy.answer().await.status, 202);
    assert_eq!(next.answer().await.status, 202);
}

#[tokio::test]
async fn many_connections_at_once_are_all_answered_under_a_low_limit() {
    let server = Server::start(Config { max_connections: 3, ..config() }).await;
    let address = server.address;
    let clients = (0..60).map(|_| async move {
        let mut client = super::harness::Client(tokio::net::TcpStream::connect(address).await.unwrap());
        client.say(right()).await;
        client.answer().await.status
    });
    let tasks: Vec<_> = clients.map(tokio::spawn).collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 202);
    }
    server.until(|server| server.metrics.http.connections.get() == 0).await;
    assert_eq!(server.deliveries().len(), 60);
}
