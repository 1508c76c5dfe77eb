//! The answers that differ in the making on HTTP/2, with prior knowledge.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{HeaderMap, Request, Response, body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinHandle};

use super::harness::{ENCODED, GENERAL, LONG, Server, config};
use crate::{
    ingress::Config,
    telemetry::metrics::{Outcome, Webhook},
};

type Sender = http2::SendRequest<Full<Bytes>>;

async fn connect(server: &Server) -> (Sender, JoinHandle<Result<(), hyper::Error>>) {
    let stream = TokioIo::new(TcpStream::connect(server.address).await.unwrap());
    let (sender, connection) = http2::Builder::new(TokioExecutor::new()).handshake(stream).await.unwrap();
    (sender, tokio::spawn(connection))
}

async fn send(sender: &mut Sender, target: &str, fields: HeaderMap, body: &str) -> Response<Incoming> {
    let mut request = Request::post(format!("http://bridge{target}"));
    request.headers_mut().unwrap().extend(fields);
    let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
    sender.ready().await.unwrap();
    tokio::time::timeout(LONG, sender.send_request(request)).await.unwrap().unwrap()
}

/// Delivers a body with the right token, whatever becomes of it.
pub(super) async fn deliver_once(server: &Server, body: &str) {
    let (mut sender, _) = connect(server).await;
    send(&mut sender, &format!("/webhooks?token={ENCODED}"), HeaderMap::new(), body).await;
}

#[tokio::test]
async fn requests_share_a_connection_and_are_answered_by_the_same_table() {
    let server = Server::start(config()).await;
    let (mut sender, _) = connect(&server).await;
    let right = format!("/webhooks?token={ENCODED}");
    let gzip = HeaderMap::from_iter([("content-encoding".parse().unwrap(), "gzip".parse().unwrap())]);
    for (target, fields, body, status) in [
        (&*right, HeaderMap::new(), GENERAL, 202),
        ("/nope", HeaderMap::new(), GENERAL, 404),
        ("/webhooks?token=wrong", HeaderMap::new(), GENERAL, 401),
        (&right, gzip, GENERAL, 415),
        (&right, HeaderMap::new(), "not json", 400),
        (&right, HeaderMap::new(), &*"x".repeat((8 << 20) + 1), 413),
        (&right, HeaderMap::new(), GENERAL, 202),
    ] {
        let response = send(&mut sender, target, fields, body).await;
        assert_eq!(response.status(), status, "{target}");
        assert!(response.headers().get("connection").is_none());
    }
    assert_eq!(server.deliveries().len(), 3);
    assert_eq!(server.metrics.http.connections.get(), 1);
}

#[tokio::test]
async fn too_many_or_too_large_fields_are_431() {
    let server = Server::start(config()).await;
    let (mut sender, _) = connect(&server).await;
    let right = format!("/webhooks?token={ENCODED}");
    let many = |n: usize| {
        (0..n).map(|at| (format!("f{at}").parse().unwrap(), "v".parse().unwrap())).collect::<HeaderMap>()
    };
    // hyper adds content-length.
    assert_eq!(send(&mut sender, &right, many(99), "{}").await.status(), 202);
    assert_eq!(send(&mut sender, &right, many(100), "{}").await.status(), 431);
    let large: HeaderMap =
        (0..5).map(|at| (format!("f{at}").parse().unwrap(), "x".repeat(15 << 10).parse().unwrap())).collect();
    assert_eq!(send(&mut sender, &right, large, "{}").await.status(), 431);
    assert_eq!(send(&mut sender, &right, HeaderMap::new(), "{}").await.status(), 202, "the connection lives");
    server.until(|server| server.count(Webhook::Unknown, Outcome::RejectedTooLarge) == 1).await;
}

#[tokio::test]
async fn an_idle_connection_makes_room_and_is_told_so() {
    let server = Server::start(Config { max_connections: 1, ..config() }).await;
    let (mut sender, connection) = connect(&server).await;
    let right = format!("/webhooks?token={ENCODED}");
    assert_eq!(send(&mut sender, &right, HeaderMap::new(), GENERAL).await.status(), 202);
    assert_eq!(server.deliver("/webhooks", GENERAL).await.status, 202);
    let ended = tokio::time::timeout(LONG, connection).await.unwrap().unwrap();
    assert!(ended.is_ok(), "goodbye was said: {ended:?}");
}

#[tokio::test]
async fn at_shutdown_connections_are_ended_in_order() {
    let server = Server::start(config()).await;
    let (mut sender, connection) = connect(&server).await;
    let right = format!("/webhooks?token={ENCODED}");
    assert_eq!(send(&mut sender, &right, HeaderMap::new(), GENERAL).await.status(), 202);
    server.shutdown.cancel();
    assert!(tokio::time::timeout(LONG, connection).await.unwrap().unwrap().is_ok());
    tokio::time::timeout(LONG, server.ended).await.unwrap().unwrap().unwrap();
}
