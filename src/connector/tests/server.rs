//! A server that says exactly the bytes it is told to, so that it can be wrong in any way.

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
};

use flate2::{Compression, write::GzEncoder};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;

/// What a server does with a request.
#[derive(Clone)]
pub enum Reply {
    /// Sends these bytes and waits for the next request.
    Bytes(Vec<u8>),
    /// Sends these bytes and closes.
    Break(Vec<u8>),
    /// Sends these bytes, then nothing more.
    Hang(Vec<u8>),
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub connection: usize,
    pub head: String,
    pub body: serde_json::Value,
}

pub struct Server {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    /// Gives the replies in their order, then the last one for ever.
    pub async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (log, replies) = (Arc::clone(&seen), Arc::new(replies));
        let task = tokio::spawn(async move {
            // Connections end with the server.
            let mut connections = tokio::task::JoinSet::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, connection, Arc::clone(&log), Arc::clone(&replies)));
            }
        });
        Self { address, seen, _task: AbortOnDropHandle::new(task) }
    }

    /// Answers every request with this status and body.
    pub async fn always(status: u16, headers: &str, body: &str) -> Self {
        Self::start(vec![reply(status, headers, body.as_bytes())]).await
    }

    pub fn address(&self) -> String {
        self.address.clone()
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// A whole answer; `headers` end each with a line break.
pub fn reply(status: u16, headers: &str, body: &[u8]) -> Reply {
    let mut bytes =
        format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    Reply::Bytes(bytes)
}

pub fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    log: Arc<Mutex<Vec<Seen>>>,
    replies: Arc<Vec<Reply>>,
) {
    while let Some((head, body)) = request(&mut stream).await {
        let nth = {
            let mut log = log.lock().unwrap();
            log.push(Seen { connection, head, body: serde_json::from_slice(&body).unwrap() });
            log.len() - 1
        };
        let (bytes, then) = match &replies[nth.min(replies.len() - 1)] {
            Reply::Bytes(bytes) => (bytes, true),
            Reply::Break(bytes) => (bytes, false),
            Reply::Hang(bytes) => {
                let _ = stream.write_all(bytes).await;
                std::future::pending().await
            }
        };
        if stream.write_all(bytes).await.is_err() || !then {
            return;
        }
    }
}

async fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length =
        head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())?;
    let mut body = bytes.split_off(end);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some((head, body))
}
