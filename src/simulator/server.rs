//! The listener of both the Connector API and the control endpoints.

use std::{convert::Infallible, sync::Arc, time::Duration};

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    connector,
    control::{self, Control},
};

/// Connections at once; more wait for a place.
const CONNECTIONS_MAX: usize = 1024;
/// Also for the next request of a connection: longer than clients keep idle ones, so that none is closed
/// under a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(300);

/// Serves until it is stopped. A failed connection is its own affair.
pub async fn run(listener: TcpListener, control: Control, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    loop {
        let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        // Cancelling accept() loses no connection: it is cancel-safe.
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the simulator cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // A small answer is not to wait for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let (control, stop) = (control.clone(), stop.clone());
        connections.spawn(async move {
            let service = service_fn(|request| {
                let control = control.clone();
                async move {
                    let path = request.uri().path();
                    let is_control = path.strip_prefix(control::PREFIX);
                    Ok::<_, Infallible>(
                        if is_control.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
                            control.answer(request).await
                        } else {
                            connector::answer(request, &control.shared).await
                        },
                    )
                }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            // Either way the connection is gone, and whoever asked knows why.
            tokio::select! {
                _ = server.serve_connection(TokioIo::new(stream), service) => {}
                () = stop.cancelled() => {}
            }
            drop(place);
        });
    }
    connections.close();
    connections.wait().await;
}
