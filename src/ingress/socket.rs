//! The stream of one connection: tells which HTTP is spoken on it, and notes when bytes come in.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::activity::Activity;

/// What HTTP/2 with prior knowledge begins with (RFC 9113 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Which HTTP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2, cleartext.
    Http2,
}

/// A stream whose first bytes have been looked at.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TokioIo<TcpStream>,
    /// Read to tell the protocol, and not yet handed out.
    ahead: [u8; PREFACE.len()],
    handed_out: usize,
    read_ahead: usize,
    protocol: Protocol,
    activity: Arc<Activity>,
}

impl Socket {
    /// Reads until the protocol is known: HTTP/1 is known by its first byte, save for a method in P. Cancelled, the connection is lost.
    pub(super) async fn open(mut stream: TcpStream, activity: Arc<Activity>) -> io::Result<Self> {
        let mut ahead = [0; PREFACE.len()];
        let mut read_ahead = 0;
        while read_ahead < PREFACE.len() && PREFACE.starts_with(&ahead[..read_ahead]) {
            let read = stream.read(&mut ahead[read_ahead..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            activity.bytes_came(Instant::now());
            read_ahead += read;
        }
        let protocol = if ahead == *PREFACE { Protocol::Http2 } else { Protocol::Http1 };
        if protocol == Protocol::Http2 {
            activity.multiplex(Instant::now());
        }
        Ok(Self { stream: TokioIo::new(stream), ahead, handed_out: 0, read_ahead, protocol, activity })
    }

    /// Which HTTP is spoken.
    pub(super) const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Throws away what still comes in, until the peer closes or the time is over.
    ///
    /// Closing a socket with unread bytes resets it, and a reset takes back an answer that the peer has
    /// not read yet: a sender in the middle of its body would never see why it was refused.
    pub(super) async fn linger(self, within: Duration) {
        let mut stream = self.stream.into_inner();
        let discard = async {
            stream.shutdown().await?;
            let mut discarded = vec![0; 16 * 1024];
            while stream.read(&mut discarded).await? > 0 {}
            Ok::<_, io::Error>(())
        };
        // Neither time-out nor error matters: the connection is over either way.
        let _ = tokio::time::timeout(within, discard).await;
    }
}

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let ahead = &this.ahead[this.handed_out..this.read_ahead];
        if !ahead.is_empty() {
            let length = ahead.len().min(buffer.remaining());
            buffer.put_slice(&ahead[..length]);
            this.handed_out += length;
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        if this.protocol == Protocol::Http1 {
            this.activity.bytes_came(Instant::now());
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }
}
