//! The admin server: read-only, on a port of its own.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | Prometheus text format 0.0.4 |
//! | `/livez` | 200 as long as the runtime answers |
//! | `/readyz` | 200 when deliveries can be accepted, else 503 and the reasons |
//! | `/state` | JSON for a person: every part in its own words |
//!
//! It never changes anything: whatever does goes through the control socket in the journal's directory.

use std::{
    convert::Infallible,
    net::SocketAddr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    health::Health,
    metrics::{Handler, Metrics},
};

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the admin server listens: `0.0.0.0:9090`. Not to be routed from outside.
    pub listen: SocketAddr,
    /// The Unix socket of what changes something. None: `control.sock` in the journal's directory.
    pub control_socket: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([0, 0, 0, 0], 9090)), control_socket: None }
    }
}

/// The control socket's name in the journal's directory.
const CONTROL_SOCKET: &str = "control.sock";
/// `sun_path` has 108 bytes, the last of which ends the path (reference: unix(7)).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// A path that no Unix socket can have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the path {path} has {bytes} bytes, and a socket's has {SOCKET_PATH_BYTES_MAX} at most: set admin.control_socket to a shorter one",
    path = .path.display()
)]
pub struct PathTooLong {
    path: PathBuf,
    bytes: usize,
}

impl Config {
    /// Where the control socket of a process with this journal is.
    ///
    /// # Errors
    /// When no socket can have that path.
    pub fn control_socket(&self, journal_dir: &Path) -> Result<PathBuf, PathTooLong> {
        let path = self.control_socket.clone().unwrap_or_else(|| journal_dir.join(CONTROL_SOCKET));
        let bytes = path.as_os_str().as_bytes().len();
        if bytes > SOCKET_PATH_BYTES_MAX { Err(PathTooLong { path, bytes }) } else { Ok(path) }
    }
}

/// Scrapes, probes and persons, all together; more wait for a place.
const CONNECTIONS_MAX: usize = 64;
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until it is cancelled. A failed connection is its own affair.
pub async fn run(listener: TcpListener, health: Health, metrics: Metrics, shutdown: CancellationToken) {
    let places = std::sync::Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    loop {
        let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        // Cancelling accept() loses no connection: it is cancel-safe.
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => return,
        };
        let stream = match stream {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "admin server cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (health, metrics, shutdown) = (health.clone(), metrics.clone(), shutdown.clone());
        connections.spawn(async move {
            let service = service_fn(|request| {
                let answer = answer(&request, &health, &metrics);
                async { Ok::<_, Infallible>(answer) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            // Either way the connection is gone, and whoever asked knows why.
            tokio::select! {
                _ = server.serve_connection(TokioIo::new(stream), service) => {}
                () = shutdown.cancelled() => {}
            }
            drop(place);
        });
    }
}

fn answer(request: &Request<Incoming>, health: &Health, metrics: &Metrics) -> Response<Full<Bytes>> {
    let began = Instant::now();
    let handler = match request.uri().path() {
        "/livez" | "/readyz" => Handler::Health,
        "/metrics" => Handler::Metrics,
        "/state" => Handler::Admin,
        _ => Handler::Other,
    };
    let response = respond(request.method(), request.uri().path(), health, metrics);
    metrics
        .http
        .requests
        .with_label_values(&[super::family::Label::value(handler), response.status().as_str()])
        .inc();
    metrics.http.duration.of(handler).observe(began.elapsed().as_secs_f64());
    response
}

fn respond(method: &Method, path: &str, health: &Health, metrics: &Metrics) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    let known = matches!(path, "/livez" | "/readyz" | "/metrics" | "/state");
    if known && method != Method::GET && method != Method::HEAD {
        let mut response = body(StatusCode::METHOD_NOT_ALLOWED, TEXT, "the admin server only answers GET\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/livez" => body(StatusCode::OK, TEXT, "ok\n"),
        "/readyz" => match health.ready() {
            Ok(()) => body(StatusCode::OK, TEXT, "ok\n"),
            Err(reasons) => body(StatusCode::SERVICE_UNAVAILABLE, TEXT, reasons.join("\n") + "\n"),
        },
        "/metrics" => {
            metrics.process.observe(health.ready().is_ok());
            body(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", metrics.expose())
        }
        "/state" => body(StatusCode::OK, "application/json", format!("{:#}\n", health.state())),
        _ => body(StatusCode::NOT_FOUND, TEXT, "there is /metrics, /livez, /readyz and /state\n"),
    }
}

fn body(status: StatusCode, content_type: &'static str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::Names;
    use http_body_util::BodyExt as _;

    async fn ask(method: Method, path: &str, health: &Health) -> (u16, String) {
        let response = respond(&method, path, health, &Metrics::new(&Names::default()));
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_says_why_not() {
        let health = Health::default();
        assert_eq!(ask(Method::GET, "/readyz", &health).await, (503, "starting\n".to_owned()));
        assert_eq!(ask(Method::GET, "/livez", &health).await.0, 200);
        health.serving();
        assert_eq!(ask(Method::GET, "/readyz", &health).await, (200, "ok\n".to_owned()));
        assert!(ask(Method::GET, "/metrics", &health).await.1.contains("\nmewsbridge_ready 1\n"));
        assert_eq!(ask(Method::GET, "/state", &health).await, (200, "{\n  \"ready\": true\n}\n".to_owned()));
    }

    #[test]
    fn the_control_socket_is_beside_the_journal_and_its_path_fits() {
        let journal = Path::new("data/journal");
        let default = Config::default().control_socket(journal).unwrap();
        assert_eq!(default, Path::new("data/journal/control.sock"));
        let of_length =
            |bytes| Config { control_socket: Some("x".repeat(bytes).into()), ..Config::default() };
        assert!(of_length(SOCKET_PATH_BYTES_MAX).control_socket(journal).is_ok());
        let said = of_length(108).control_socket(journal).unwrap_err().to_string();
        assert!(said.contains("108 bytes") && said.contains("107"), "{said}");
    }

    #[tokio::test]
    async fn nothing_can_be_changed_here() {
        let health = Health::default();
        assert_eq!(ask(Method::POST, "/state", &health).await.0, 405);
        assert_eq!(ask(Method::GET, "/drain", &health).await.0, 404);
    }
}
