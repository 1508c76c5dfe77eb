//! The half of the control socket that a running process has.
//!
//! Guarantees: only the user of the process can connect; a file that a killed process left is
//! replaced, and one that somebody answers on, or that is no socket, is left alone; the file goes with
//! the [`Socket`]; connections, lines and their time are bounded, and none can hold up another part.

use std::{
    fs::Permissions,
    io,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{UnixListener, UnixSocket, UnixStream},
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{Answer, LINE_BYTES_MAX, Request, WITHIN};
use crate::{
    journal::{self, Sequence},
    relay::discard::{Discard, Discarded},
    telemetry::logging,
};

/// Operators at the same time; more wait.
const CONNECTIONS_MAX: usize = 8;
/// Wait after the system could not accept a connection.
const ACCEPT_WAIT: Duration = Duration::from_millis(100);

/// What requests act on.
#[derive(Clone)]
pub struct Parts {
    /// Is drained and asked how it is.
    pub journal: journal::Handle,
    /// Goes to the relay.
    pub discards: mpsc::Sender<Discard>,
}

/// A socket that is listened on; its file goes when it is dropped.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Nobody can be told; the next process replaces what is left.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Socket {
    /// Listens at a path, in place of what an earlier process left there.
    ///
    /// # Errors
    /// When somebody listens there, something else than a socket is there, or the system says no.
    pub fn bind(path: &Path) -> io::Result<Self> {
        remove_stale(path)?;
        let socket = UnixSocket::new_stream()?;
        socket.bind(path)?;
        // Nobody can connect before it listens, so nobody does before the file is ours alone.
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        let backlog = u32::try_from(CONNECTIONS_MAX).expect("a handful");
        Ok(Self { listener: socket.listen(backlog)?, path: path.to_owned() })
    }
}

/// The journal's lock keeps a second process off the default path, but any path can be configured.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket is there"));
        }
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "another process answers there")),
        Err(_) => std::fs::remove_file(path),
    }
}

/// Answers until it is cancelled.
pub async fn run(socket: Socket, parts: Parts, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let connections = TaskTracker::new();
    loop {
        let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        // Cancelling accept() loses no connection: it is cancel-safe.
        let stream = tokio::select! {
            accepted = socket.listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match stream {
            Ok((stream, _)) => {
                let parts = parts.clone();
                connections.spawn(async move {
                    serve(stream, &parts).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "control socket cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_WAIT).await;
            }
        }
    }
    // Each has its time limits, so this ends; whoever asked is not left without an answer.
    connections.close();
    connections.wait().await;
}

/// One request and its answer. Whoever does not wait for the answer does not get it.
async fn serve(stream: UnixStream, parts: &Parts) {
    let (from, mut to) = stream.into_split();
    let mut line = Vec::new();
    let mut from = BufReader::new(from.take(LINE_BYTES_MAX));
    let answer = match timeout(WITHIN, from.read_until(b'\n', &mut line)).await {
        Ok(Ok(_)) if line.last() == Some(&b'\n') => match serde_json::from_slice(&line) {
            Ok(request) => answer(request, parts).await,
            Err(error) => Answer::Refused(format!("not a request: {error}")),
        },
        Ok(Ok(_)) => Answer::Refused(format!("not a line of less than {LINE_BYTES_MAX} bytes")),
        Ok(Err(_)) | Err(_) => return,
    };
    let mut answer = serde_json::to_vec(&answer).expect("text and numbers always serialise into memory");
    answer.push(b'\n');
    let _ = timeout(WITHIN, to.write_all(&answer)).await;
}

async fn answer(request: Request, parts: &Parts) -> Answer {
    match request {
        Request::Drain {} => {
            let was_open = parts.journal.drain();
            let status = parts.journal.status();
            // Whoever waits asks again and again.
            if was_open {
                tracing::info!(
                    pending = status.pending_records,
                    "asked to drain: nothing more is accepted, {} deliveries go out",
                    status.pending_records
                );
            }
            done(&status)
        }
        Request::Status {} => done(&parts.journal.status()),
        Request::Discard { sequence, id } => discard(sequence, id, parts).await,
        Request::Log { filter } => match logging::set_filter(&filter) {
            Ok(()) => {
                tracing::info!(filter, "logging by {filter:?} from now on");
                Answer::Done(Value::Null)
            }
            Err(error) => Answer::Refused(crate::causes::with_causes(&error)),
        },
    }
}

async fn discard(sequence: Sequence, id: Uuid, parts: &Parts) -> Answer {
    let (reply, answer) = oneshot::channel();
    let asked = async {
        parts.discards.send(Discard { sequence, id, reply }).await.ok()?;
        answer.await.ok()
    };
    match timeout(WITHIN, asked).await {
        Ok(Some(Discarded::Done { records })) => Answer::Done(json!({ "records": records })),
        Ok(Some(Discarded::NotOpen)) => Answer::Refused(
            "it has left meanwhile, or it waits behind so many others that the relay has not read it yet"
                .to_owned(),
        ),
        Ok(Some(Discarded::Other)) => {
            Answer::Refused("the journal holds something else in its place".to_owned())
        }
        Ok(None) => Answer::Refused("the relay has ended".to_owned()),
        Err(_) => Answer::Refused("the relay is busy; it may still come to pass".to_owned()),
    }
}

fn done(status: &journal::Status) -> Answer {
    Answer::Done(serde_json::to_value(status).expect("names and numbers always serialise"))
}
