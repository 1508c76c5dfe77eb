//! Faults at the socket, and answers that are packed or too large.

use std::time::Instant;

use super::{
    server::{Reply, gzip, reply},
    *,
};
use crate::telemetry::metrics::connector::{Circuit, Code};

async fn failed(replies: Vec<Reply>, change: impl FnOnce(&mut Config)) -> (Error, Metrics) {
    let server = Server::start(replies).await;
    let (client, metrics) = client_with(&server, change);
    let error = client.call(&access_token(), &reservations()).await.unwrap_err();
    assert_eq!(server.seen().len(), 1, "nothing is sent twice: {error:?}");
    assert_eq!(metrics.requests_in_flight.get(), 0);
    (error, metrics)
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"Reser";

#[tokio::test]
async fn a_connection_that_breaks_is_unavailable() {
    for bytes in [&b""[..], b"HTTP/1.1 2", HEAD, b"\x16\x03\x01 what is this\r\n\r\n"] {
        let (error, metrics) = failed(vec![Reply::Break(bytes.to_vec())], |_| {}).await;
        assert!(
            matches!(error, Error::Unavailable { cause: Cause::Transport(_), .. }),
            "{bytes:?}: {error:?}"
        );
        assert_eq!(metrics.requests.of(Operation::Reservations, Code::Transport).get(), 1);
    }
}

#[tokio::test]
async fn no_answer_and_half_an_answer_end_at_the_deadline() {
    for bytes in [&b""[..], HEAD] {
        let began = Instant::now();
        let hang = vec![Reply::Hang(bytes.to_vec())];
        let (error, metrics) =
            failed(hang, |config| config.request_timeout = Duration::from_millis(200)).await;
        assert!(matches!(error, Error::Unavailable { cause: Cause::Timeout, .. }), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(10));
        assert_eq!(metrics.requests.of(Operation::Reservations, Code::Timeout).get(), 1);
    }
}

#[tokio::test]
async fn a_request_that_was_never_sent_costs_no_budget() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let server = Server::always(200, "", "{}").await;
    let (client, metrics) = client_with(&server, |config| {
        config.platform_address = address;
        config.requests_per_window = 2;
    });
    let began = Instant::now();
    for _ in 0..breaker::circuit::FAILURES_MIN {
        let error = client.call(&access_token(), &reservations()).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable { cause: Cause::Connect(_), .. }), "{error:?}");
    }
    let error = client.call(&access_token(), &reservations()).await.unwrap_err();
    let Error::Unavailable { cause: Cause::CircuitOpen, retry_after: Some(wait), .. } = error else {
        panic!("the API is away: {error:?}")
    };
    assert!(wait <= breaker::circuit::WAITS.0 && client.breaker().is_open());
    assert_eq!(metrics.circuit.of(Circuit::Open).get(), 1);
    assert!(began.elapsed() < Duration::from_secs(20), "no window passed");
}

#[tokio::test]
async fn one_hotel_that_mews_fails_does_not_keep_another_out() {
    let fails = reply(500, "", b"");
    let works = reply(200, "", br#"{"Reservations":[]}"#);
    let mut replies = vec![fails; breaker::circuit::FAILURES_MIN as usize];
    replies.push(works);
    let server = Server::start(replies).await;
    let (client, _) = client(&server);
    for _ in 0..breaker::circuit::FAILURES_MIN {
        client.call(&access_token(), &reservations()).await.unwrap_err();
    }
    assert!(client.breaker().is_open(), "it is the only one there is");
    client.call(&Secret::new("other".into()), &reservations()).await.unwrap();
    assert!(!client.breaker().is_open());
    client.call(&access_token(), &reservations()).await.unwrap();
}

#[tokio::test]
async fn a_packed_answer_is_unpacked() {
    let body = gzip(br#"{"Reservations":[{"Id":"r1","Text":"packed"}]}"#);
    let server = Server::start(vec![reply(200, "content-encoding: gzip\r\n", &body)]).await;
    let answer = client(&server).0.call(&access_token(), &reservations()).await.unwrap();
    assert_eq!(answer.records[0].bytes, r#"{"Id":"r1","Text":"packed"}"#);
}

#[tokio::test]
async fn a_broken_pack_is_unavailable() {
    let mut body = gzip(&b"{\"Reservations\":[]}".repeat(50));
    let middle = body.len() / 2;
    body[middle] ^= 0xff;
    let (error, _) = failed(vec![reply(200, "content-encoding: gzip\r\n", &body)], |_| {}).await;
    assert!(matches!(error, Error::Unavailable { cause: Cause::Transport(_), .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_above_the_limit_is_asked_for_in_halves_however_it_was_packed() {
    let large = format!(r#"{{"Reservations":[],"Fill":"{}"}}"#, "x".repeat(4 << 20));
    let packed = gzip(large.as_bytes());
    assert!(packed.len() < 64 * 1024);
    for answer in [reply(200, "", large.as_bytes()), reply(200, "content-encoding: gzip\r\n", &packed)] {
        let (error, _) =
            failed(vec![answer], |config| config.response_bytes_max = bytesize::ByteSize::mib(1)).await;
        assert!(matches!(error, Error::AnswerTooLarge(_)), "{error:?}");
        assert!(error.to_string().contains("response_bytes_max"), "{error}");
    }
}

#[tokio::test]
async fn an_endless_refusal_is_still_its_status() {
    let body = format!(r#"{{"Message":"{}"}}"#, "x".repeat(1 << 20));
    let (error, _) = failed(vec![reply(403, "", body.as_bytes())], |_| {}).await;
    assert!(matches!(&error, Error::Forbidden(said) if said.message.is_none()), "{error:?}");
}

#[tokio::test]
async fn a_call_that_is_dropped_gives_its_place_up() {
    let works = reply(200, "", br#"{"Reservations":[]}"#);
    let server = Server::start(vec![Reply::Hang(Vec::new()), works]).await;
    let (client, metrics) = client_with(&server, |config| config.requests_in_flight_per_token_max = 1);
    let token = access_token();
    let request = reservations();
    let first = client.call(&token, &request);
    tokio::select! {
        _ = first => panic!("it hangs"),
        () = async { while server.seen().is_empty() { tokio::task::yield_now().await } } => {}
    }
    assert_eq!(metrics.requests_in_flight.get(), 0);
    client.call(&token, &request).await.unwrap();
}
