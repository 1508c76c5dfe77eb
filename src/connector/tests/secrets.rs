//! Tokens and bodies are in no log, error or `Debug`.

use std::{
    error::Error as StdError,
    io,
    sync::{Arc, Mutex},
};

use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

use super::{
    server::{Reply, reply},
    *,
};

/// Keeps all that is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// All that an error shows, down to its last source.
fn shown(error: &Error) -> String {
    let mut shown = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        shown.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    shown
}

#[tokio::test]
async fn nothing_shows_a_token_or_a_body_even_when_everything_is_logged() {
    let lines = Lines::default();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(lines.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // Whatever was logged before in this process was judged by another subscriber.
    tracing::callsite::rebuild_interest_cache();

    let echo = format!(
        r#"{{"Message":"token {0} of {1} is bad","RequestId":"{0}"}}"#,
        access_token().expose(),
        client_token().get().expose()
    );
    let guest = "GUEST-CANARY";
    let replies = vec![
        reply(400, "", echo.as_bytes()),
        reply(200, "", format!(r#"{{"Reservations":[{{"Id":"1","Name":"{guest}"}},"{guest}"]}}"#).as_bytes()),
        reply(200, "", format!(r#"{{"Reservations":"{guest}"}}"#).as_bytes()),
        Reply::Break(format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{guest}").into_bytes()),
        reply(302, &format!("location: http://127.0.0.1:1/?{guest}\r\n"), b""),
    ];
    let calls = replies.len();
    let server = Server::start(replies).await;
    let (client, _) = client(&server);
    let request = Request::reservations("hotel", &["ID-CANARY"]);
    let mut said = format!("{client:?} {request:?}");
    for _ in 0..calls {
        match client.call(&access_token(), &request).await {
            Ok(answer) => said.push_str(&format!("{answer:?}")),
            Err(error) => said.push_str(&shown(&error)),
        }
    }
    // The same over TLS and HTTP/2, whose crates log too.
    let dir = tempfile::tempdir().unwrap();
    tls::make_certificate(dir.path());
    let (address, _task) = tls::platform(dir.path(), &["h2"]).await;
    said.push_str(&format!("{:?}", tls::asked(address, Some(dir.path().join("ca.pem"))).await.unwrap()));

    assert!(said.contains("token <hidden> of <hidden> is bad"), "{said}");
    let logged = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("hyper_util") && logged.contains("h2::"), "the crates below do log: {logged}");
    for canary in [CANARY, "CANARY", guest] {
        assert!(!said.contains(canary), "{canary} is shown: {said}");
        assert!(!logged.contains(canary), "{canary} is logged");
    }
}
