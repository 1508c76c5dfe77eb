//! The half of the control socket that a command has: asks one thing and waits for the answer.
//!
//! It blocks, for some seconds at most. What a command makes of "nobody answers" is its own affair.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{Answer, LINE_BYTES_MAX, Request, WITHIN};

/// Why a process did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No process listens there.
    #[error("no process answers on {path}", path = .0.display())]
    Nobody(PathBuf, #[source] io::Error),
    /// It broke off, or took too long.
    #[error("control socket {path} failed", path = .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// It does not want to, and says why.
    #[error("{0}")]
    Refused(String),
}

/// Asks the process that listens at a path.
///
/// # Errors
/// When nobody does, it cannot be understood, or it refuses.
pub fn ask(path: &Path, request: &Request) -> Result<Value, Error> {
    let failed = |error| Error::Io(path.to_owned(), error);
    let stream = UnixStream::connect(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Error::Nobody(path.to_owned(), error),
        _ => failed(error),
    })?;
    match exchange(&stream, request).map_err(failed)? {
        Answer::Done(value) => Ok(value),
        Answer::Refused(reason) => Err(Error::Refused(reason)),
    }
}

fn exchange(mut stream: &UnixStream, request: &Request) -> io::Result<Answer> {
    // The process has as long for its own work as for the line.
    stream.set_read_timeout(Some(WITHIN * 2))?;
    stream.set_write_timeout(Some(WITHIN))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(LINE_BYTES_MAX)).read_until(b'\n', &mut answer)?;
    if answer.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&answer)?)
}
