//! Both halves over a real socket, in front of a real journal.

use std::{
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::PathBuf,
    sync::Arc,
};

use serde_json::json;
use tokio::{
    sync::mpsc::Receiver,
    task::{JoinHandle, spawn_blocking},
};
use tokio_util::sync::CancellationToken;

use super::{
    Request,
    client::{Error, ask},
    server::{Parts, Socket, run},
};
use crate::{
    journal,
    relay::discard::{Discard, Discarded},
    telemetry::metrics::{Metrics, Names},
};

struct Bench {
    journal: journal::Handle,
    path: PathBuf,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
    /// The relay's end.
    asked: Receiver<Discard>,
    dir: tempfile::TempDir,
}

impl Bench {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = journal::Config { dir: dir.path().join("journal"), ..journal::Config::default() };
        let metrics = Metrics::new(&Names::default()).journal;
        let journal =
            journal::open(&config, Arc::new(journal::disk::Real::default()), metrics).unwrap().handle;
        let (path, shutdown) = (dir.path().join("control.sock"), CancellationToken::new());
        let (discards, asked) = crate::relay::discard::channel();
        let parts = Parts { journal: journal.clone(), discards };
        let server = tokio::spawn(run(Socket::bind(&path).unwrap(), parts, shutdown.clone()));
        Self { journal, path, shutdown, server, asked, dir }
    }

    async fn ask(&self, request: Request) -> Result<serde_json::Value, Error> {
        let path = self.path.clone();
        spawn_blocking(move || ask(&path, &request)).await.unwrap()
    }

    /// What is answered to bytes that our own client would not send.
    async fn raw(&self, bytes: Vec<u8>) -> String {
        let path = self.path.clone();
        let exchange = move || {
            let mut stream = UnixStream::connect(path).unwrap();
            stream.write_all(&bytes).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            // The rest of a line that is too long may come back as a reset.
            let _ = stream.read_to_string(&mut answer);
            answer
        };
        spawn_blocking(exchange).await.unwrap()
    }
}

#[tokio::test]
async fn a_drain_is_answered_with_what_is_pending() {
    let bench = Bench::start();
    bench.journal.append(vec![1].into()).await.unwrap();
    assert_eq!(bench.ask(Request::Status {}).await.unwrap()["state"], "open");
    let status = bench.ask(Request::Drain {}).await.unwrap();
    assert_eq!((&status["pending_records"], &status["state"]), (&json!(1), &json!("draining")));
    assert_eq!(bench.journal.append(vec![2].into()).await, Err(journal::AppendError::Draining));
    assert!(bench.ask(Request::Drain {}).await.is_ok(), "asked twice is asked once");
}

#[tokio::test]
async fn only_the_owner_can_connect_and_the_file_goes_with_the_process() {
    let bench = Bench::start();
    assert_eq!(bench.path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    bench.shutdown.cancel();
    bench.server.await.unwrap();
    assert!(!bench.path.exists());
    assert!(matches!(ask(&bench.path, &Request::Status {}), Err(Error::Nobody(..))));
}

#[tokio::test]
async fn a_stale_file_is_replaced_and_nothing_else_is() {
    let bench = Bench::start();
    let in_use = Socket::bind(&bench.path).unwrap_err();
    assert_eq!(in_use.kind(), std::io::ErrorKind::AddrInUse);
    assert!(bench.ask(Request::Status {}).await.is_ok(), "the one in use still answers");
    let stale = bench.dir.path().join("stale.sock");
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    assert!(stale.exists() && Socket::bind(&stale).is_ok());
    let file = bench.dir.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    assert!(Socket::bind(&file).is_err());
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_changes_nothing() {
    let bench = Bench::start();
    for wrong in
        ["\n", "drain\n", "{\"do\":\"stop\"}\n", "{\"do\":\"drain\",\"now\":1}\n", "{\"do\":\"drain\"}"]
    {
        let answer = bench.raw(wrong.into()).await;
        assert!(answer.starts_with("{\"refused\":\"not a "), "{wrong:?}: {answer}");
    }
    let endless = bench.raw(vec![b' '; 100_000]).await;
    assert!(endless.is_empty() || endless.contains("less than"), "{endless}");
    assert_eq!(bench.journal.status().state, "open");
    let refused = bench.ask(Request::Log { filter: "a=b=c".into() }).await;
    assert!(matches!(refused, Err(Error::Refused(reason)) if reason.contains("a=b=c")));
}

#[tokio::test]
async fn a_discard_goes_to_the_relay_and_its_answer_comes_back() {
    let mut bench = Bench::start();
    let request = Request::Discard { sequence: 7, id: uuid::Uuid::from_u128(1) };
    for (came_of_it, expected) in
        [(Discarded::Done { records: 3 }, Ok(json!({ "records": 3 }))), (Discarded::NotOpen, Err("has left"))]
    {
        let (path, request) = (bench.path.clone(), request.clone());
        let answer = spawn_blocking(move || ask(&path, &request));
        let asked = bench.asked.recv().await.unwrap();
        assert_eq!((asked.sequence, asked.id.as_u128()), (7, 1));
        asked.reply.send(came_of_it).unwrap();
        match (answer.await.unwrap(), expected) {
            (Ok(done), Ok(expected)) => assert_eq!(done, expected),
            (Err(Error::Refused(reason)), Err(part)) => assert!(reason.contains(part), "{reason}"),
            (answer, expected) => panic!("{answer:?} instead of {expected:?}"),
        }
    }
    drop(bench.asked);
    let path = bench.path.clone();
    let ended = spawn_blocking(move || ask(&path, &request)).await.unwrap();
    assert!(matches!(ended, Err(Error::Refused(reason)) if reason.contains("ended")));
}
