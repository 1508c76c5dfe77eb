//! The client against real sockets, with servers that answer well, badly or not at all.

mod answers;
mod bodies;
mod breaking;
mod secrets;
mod server;
mod tls;

use std::time::Duration;

use super::*;
use crate::{
    secret::Secret,
    telemetry::metrics::{Connector as Metrics, Metrics as All, Names},
};
use server::Server;

/// What every token in these tests holds, and nothing else does.
const CANARY: &str = "CANARY-57d1";

fn access_token() -> Secret {
    Secret::new(format!("access-{CANARY}"))
}

fn client_token() -> ClientToken {
    ClientToken::of(Secret::new(format!("client-{CANARY}")))
}

/// A client of a server, with settings that do not make a test wait.
fn client_with(server: &Server, change: impl FnOnce(&mut Config)) -> (Client, Metrics) {
    let mut config = Config {
        platform_address: server.address(),
        client: "test 1.0".to_owned(),
        request_timeout: Duration::from_secs(20),
        ..Config::default()
    };
    change(&mut config);
    let metrics = All::new(&Names::default()).connector;
    (Client::new(&config, client_token(), metrics.clone()).unwrap(), metrics)
}

fn client(server: &Server) -> (Client, Metrics) {
    client_with(server, |_| {})
}

/// A request whose answer has `Reservations`.
fn reservations() -> Request {
    Request::reservations("hotel", &["r1", "r2"])
}
