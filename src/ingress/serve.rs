//! Accepts connections, as many as there are places for, until it is told to stop.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    Error,
    connection::{self, Limits},
    exchange::Exchange,
    slots::{Slot, Slots},
};
use crate::backoff::Backoff;

/// Waits after an error of the listener, which is mostly a lack of file descriptors.
const RETRY_FIRST: Duration = Duration::from_millis(5);
const RETRY_MAX: Duration = Duration::from_secs(1);

/// With nothing but errors for so long, somebody else must act.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// Serves connections until `shutdown`, then waits for those that are open.
pub(super) async fn serve(
    listener: TcpListener,
    slots: Slots,
    limits: Limits,
    exchange: Arc<Exchange>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    // Dropped with this function, and all connections with it.
    let mut connections = JoinSet::new();
    {
        // Not made anew for every turn: it may hold a connection that waits for its place.
        let mut next = std::pin::pin!(next(&listener, &slots));
        loop {
            tokio::select! {
                accepted = &mut next => {
                    let (stream, peer, slot) = accepted?;
                    let (exchange, shutdown) = (Arc::clone(&exchange), shutdown.clone());
                    connections.spawn(connection::serve(stream, peer.ip(), slot, limits, exchange, shutdown));
                    next.set(self::next(&listener, &slots));
                }
                Some(ended) = connections.join_next() => log_panic(ended),
                () = shutdown.cancelled() => break,
            }
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        log_panic(ended);
    }
    Ok(())
}

/// The next connection and its place.
async fn next(listener: &TcpListener, slots: &Slots) -> Result<(TcpStream, SocketAddr, Slot), Error> {
    let (stream, peer) = accept(listener).await?;
    Ok((stream, peer, slots.free().await))
}

async fn accept(listener: &TcpListener) -> Result<(TcpStream, SocketAddr), Error> {
    let mut waits = Backoff::new(RETRY_FIRST, RETRY_MAX);
    let began = Instant::now();
    loop {
        let error = match listener.accept().await {
            Ok(accepted) => return Ok(accepted),
            Err(error) if is_of_the_peer(&error) => continue,
            Err(error) => error,
        };
        if began.elapsed() >= GIVE_UP_AFTER {
            return Err(Error::Accept(error));
        }
        tracing::warn!(error = &error as &dyn std::error::Error, "a connection could not be accepted");
        tokio::time::sleep(waits.next().unwrap_or(RETRY_MAX)).await;
    }
}

/// Whether only this one connection failed, before it was accepted.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
    )
}

fn log_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("serving a connection panicked, which is a bug; its request was not answered");
    }
}
