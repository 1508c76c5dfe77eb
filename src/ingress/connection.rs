//! One connection from its first byte to its end: HTTP/1.1 or HTTP/2, within limits.
//!
//! hyper's own time-out for heads also counts the time between two requests, which would close every
//! connection that a load balancer keeps; so [`Activity`] keeps the time instead.

use std::{convert::Infallible, net::IpAddr, pin::Pin, sync::Arc, time::Duration};

use hyper::{
    rt::Executor,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::{rt::TokioTimer, server::graceful::GracefulConnection};
use tokio::{net::TcpStream, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    Config,
    activity::{Activity, Overdue, Patience},
    exchange::Exchange,
    slots::Slot,
    socket::{Protocol, Socket},
};

/// Header fields of one request. hyper's own limit on HTTP/1, where it answers 431 by itself.
pub(super) const HEADERS_MAX: usize = 100;

/// Bytes of one head.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Requests of one HTTP/2 connection at a time.
const STREAMS_MAX: u32 = 256;

/// How often an HTTP/2 peer is asked whether it is there, and how long it may take to answer.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_WITHIN: Duration = Duration::from_secs(10);

/// How long what a refused sender still sends is read and thrown away.
const LINGER: Duration = Duration::from_secs(2);

/// The limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    patience: Patience,
}

impl Limits {
    /// Those of the configuration.
    pub(super) const fn of(config: &Config) -> Self {
        Self { patience: Patience { head: config.head_timeout, idle: config.idle_timeout } }
    }
}

/// How a connection ended that hyper did not end.
#[derive(Debug)]
enum End<E> {
    /// hyper is through with it.
    Done(Result<(), E>),
    /// It took too long.
    Overdue,
}

/// Serves a connection to its end. Requests that have begun are answered also after `shutdown`.
pub(super) async fn serve(
    stream: TcpStream,
    peer: IpAddr,
    slot: Slot,
    limits: Limits,
    exchange: Arc<Exchange>,
    shutdown: CancellationToken,
) {
    // An answer is one small write: waiting for more to send would only delay it.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, error = &error as &dyn std::error::Error, "TCP_NODELAY could not be set");
    }
    let activity = Arc::clone(&slot.activity);
    let Some(socket) = open(stream, &activity, limits, &shutdown).await else { return };
    let counts = Arc::clone(&exchange);
    let service = service_fn({
        let activity = Arc::clone(&activity);
        move |request| {
            let serving = activity.serve();
            let (exchange, activity) = (Arc::clone(&exchange), Arc::clone(&activity));
            async move {
                let response = exchange.answer(request, peer, activity).await;
                drop(serving);
                Ok::<_, Infallible>(response)
            }
        }
    });
    match socket.protocol() {
        Protocol::Http1 => {
            let mut connection = http1().serve_connection(socket, service);
            let end = drive(Pin::new(&mut connection), &activity, limits, &shutdown).await;
            let refused = matches!(&end, End::Done(Err(error)) if error.is_parse());
            if matches!(&end, End::Done(Err(error)) if error.is_parse_too_large()) {
                counts.refused_head();
            }
            log_end(peer, &end);
            if refused || activity.has_left_unread() {
                connection.into_parts().io.linger(LINGER).await;
            }
        }
        Protocol::Http2 => {
            let streams = CancellationToken::new();
            let _cancel_streams = streams.clone().drop_guard();
            let connection = std::pin::pin!(http2(Streams(streams)).serve_connection(socket, service));
            log_end(peer, &drive(connection, &activity, limits, &shutdown).await);
        }
    }
}

/// Waits for the first bytes, as long as for a head.
async fn open(
    stream: TcpStream,
    activity: &Arc<Activity>,
    limits: Limits,
    shutdown: &CancellationToken,
) -> Option<Socket> {
    // Cancelled, the connection is closed; it has not asked for anything yet.
    tokio::select! {
        // First: who has sent something is served.
        biased;
        socket = Socket::open(stream, Arc::clone(activity)) => socket.ok(),
        () = tokio::time::sleep(limits.patience.head) => None,
        () = activity.asked_to_close() => None,
        () = shutdown.cancelled() => None,
    }
}

/// Lets hyper work until it is through, and ends what takes too long or is no longer wanted.
async fn drive<C: GracefulConnection>(
    mut connection: Pin<&mut C>,
    activity: &Activity,
    limits: Limits,
    shutdown: &CancellationToken,
) -> End<C::Error> {
    let mut asked = None;
    loop {
        // Not later than a head may take, so that one which begins meanwhile is noticed in time.
        let latest = Instant::now() + limits.patience.head;
        let look = overdue(activity, limits.patience, asked).map_or(latest, |(at, _)| at.min(latest));
        tokio::select! {
            // First: what hyper has to say to the peer goes out before anything is cut off.
            biased;
            result = connection.as_mut() => return End::Done(result),
            () = activity.asked_to_close(), if asked.is_none() => {}
            () = shutdown.cancelled(), if asked.is_none() => {}
            // Judged anew: what was waited for may have come, and something else begun.
            () = tokio::time::sleep_until(look) => match overdue(activity, limits.patience, asked) {
                Some((at, what)) if at <= Instant::now() => match what {
                    Overdue::Idle if asked.is_none() => {}
                    Overdue::Idle | Overdue::Head => return End::Overdue,
                },
                Some(_) | None => continue,
            },
        }
        asked = Some(Instant::now());
        connection.as_mut().graceful_shutdown();
    }
}

/// When the connection will have taken too long. One that was asked to close, and serves nothing any
/// more, has the time of a head to say goodbye.
fn overdue(activity: &Activity, patience: Patience, asked: Option<Instant>) -> Option<(Instant, Overdue)> {
    let leaving = Patience { idle: patience.head, ..patience };
    let (deadline, what) = activity.deadline(if asked.is_some() { leaving } else { patience })?;
    let deadline = Instant::from_std(deadline);
    Some(match (what, asked) {
        (Overdue::Idle, Some(asked)) => (deadline.max(asked + patience.head), what),
        (Overdue::Idle, None) | (Overdue::Head, _) => (deadline, what),
    })
}

fn http1() -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The buffer is what bounds a head while it is incomplete, the size what bounds a complete one.
    builder.header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX).max_header_size(HEAD_BYTES_MAX);
    // Head and body of an answer are small: one buffer is cheaper for the kernel than a list of two.
    builder.writev(false);
    // Who has sent all may close that side and still gets its answer; and nothing is read, into a
    // buffer of its own, while the journal is waited for.
    builder.half_close(true);
    builder
}

fn http2(streams: Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_WITHIN);
    builder
}

/// Runs the requests of one HTTP/2 connection; they end with it.
#[derive(Clone, Debug)]
struct Streams(CancellationToken);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, request: F) {
        tokio::spawn(self.0.clone().run_until_cancelled_owned(request));
    }
}

/// hyper's errors name the kind of failure and never what was sent.
fn log_end<E: std::error::Error + 'static>(peer: IpAddr, end: &End<E>) {
    match end {
        End::Done(Ok(())) => {}
        End::Done(Err(error)) => {
            tracing::debug!(%peer, error = error as &dyn std::error::Error, "a connection broke off");
        }
        End::Overdue => tracing::debug!(%peer, "a connection was closed because it took too long"),
    }
}
