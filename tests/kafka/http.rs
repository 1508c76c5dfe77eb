//! A small HTTP/1.1 client that keeps its connection, and bare sockets for what no client would send.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Method, Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Mews gives up after 5 s; a test that waits longer for an answer has failed.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// One connection to a port on loopback, opened again when it was closed.
pub struct Client {
    port: u16,
    sender: Option<http1::SendRequest<Full<Bytes>>>,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub took: Duration,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header as text, empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Client {
    pub fn new(port: u16) -> Self {
        Self { port, sender: None }
    }

    pub async fn get(&mut self, path: &str) -> Result<Answer, String> {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    pub async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Result<Answer, String> {
        self.send(Method::POST, path, &[], body.into()).await
    }

    /// One request and its answer. After an error the next request opens a new connection.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Answer, String> {
        let begin = Instant::now();
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body)).expect("tests make valid requests");
        let exchange = async {
            let mut sender = self.connected().await?;
            let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
            Ok::<_, String>((
                sender,
                Answer { status: head.status.as_u16(), headers: head.headers, body, took: begin.elapsed() },
            ))
        };
        let (sender, answer) =
            timeout(ANSWER_WITHIN, exchange).await.map_err(|_| "no answer in time".to_owned())??;
        self.sender = Some(sender);
        Ok(answer)
    }

    /// Takes the connection out, so that one that fails is not used again.
    async fn connected(&mut self) -> Result<http1::SendRequest<Full<Bytes>>, String> {
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        // Ends with the connection.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// Writes bytes as they are, and what comes back until the other side closes or falls silent.
pub async fn raw(port: u16, bytes: &[u8], silence: Duration) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the port is open");
    // A server that has already refused may close before it has read everything.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(read @ 1..)) = timeout(silence, stream.read(&mut buffer)).await {
        answer.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}
