//! The end: what has begun is finished, nothing else begins.

use super::harness::{ENCODED, GENERAL, LONG, Server, config, post};

#[tokio::test]
async fn what_has_begun_is_answered_idle_connections_close_and_no_new_one_opens() {
    let server = Server::start(config()).await;
    let text = post(&format!("/webhooks?token={ENCODED}"), GENERAL);
    let (head, body) = text.split_at(text.len() - 1);
    let (mut busy, mut idle, mut fresh) =
        (server.connect().await, server.connect().await, server.connect().await);
    idle.say(&text).await;
    assert_eq!(idle.answer().await.status, 202);
    busy.say(head).await;
    server.until(|server| server.metrics.expose().contains("in_flight{handler=\"webhook\"} 1")).await;

    server.shutdown.cancel();
    assert_eq!((idle.closed().await, fresh.closed().await), (String::new(), String::new()));
    assert!(tokio::net::TcpStream::connect(server.address).await.is_err(), "the listener is gone");
    assert!(!server.ended.is_finished());
    busy.say(body).await;
    let answer = busy.answer().await;
    assert_eq!((answer.status, answer.field("connection")), (202, Some("close")));
    assert_eq!(busy.closed().await, "");
    tokio::time::timeout(LONG, server.ended).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn dropped_it_closes_everything_at_once() {
    let server = Server::start(config()).await;
    let mut busy = server.connect().await;
    busy.say("POST /webhooks HTTP/1.1\r\n").await;
    server.until(|server| server.metrics.http.connections.get() == 1).await;
    server.ended.abort();
    assert_eq!(busy.closed().await, "");
}
