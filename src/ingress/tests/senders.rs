//! Who may deliver, and what becomes of what they must not see.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use super::harness::{ENCODED, GENERAL, INTEGRATION, Server, TOKEN, config, now, post};
use crate::{
    ingress::Config,
    secret::Secret,
    telemetry::metrics::{Outcome, Reload, SecretFile, Webhook},
};

#[tokio::test]
async fn a_token_is_right_in_every_documented_place() {
    let server = Server::start(config()).await;
    for target in [
        format!("/webhooks/general?Token={ENCODED}"),
        format!("/webhooks/general?token={TOKEN}"),
        format!("/webhooks/general/?a=b&TOKEN={ENCODED}"),
        format!("/webhooks/general/{ENCODED}"),
        format!("/webhooks/integration/{ENCODED}"),
        format!("/webhooks/{ENCODED}"),
        format!("/webhooks/{ENCODED}?token=wrong"),
        format!("/webhooks/wrong?token={ENCODED}"),
        format!("/webhooks?token=wrong&token={ENCODED}"),
    ] {
        assert_eq!(server.post(&target, GENERAL).await.status, 202, "{target}");
    }
    for target in [
        "/webhooks/general".to_owned(),
        "/webhooks?token=".to_owned(),
        format!("/webhooks?token={ENCODED}x"),
        format!("/webhooks?token={}", &ENCODED[1..]),
        format!("/webhooks?tokens={ENCODED}"),
        "/webhooks?token=main".to_owned(),
        "/webhooks/general/general".to_owned(),
    ] {
        assert_eq!(server.post(&target, GENERAL).await.status, 401, "{target}");
    }
}

#[tokio::test]
async fn several_tokens_are_right_at_once_and_the_use_of_each_is_told_by_its_alias() {
    let mut config = config();
    config.tokens.insert("next".into(), Secret::new("second".into()));
    let server = Server::start(config).await;
    let used = |alias: &str| server.metrics.webhook.token_last_used.with_label_values(&[alias]).get();
    let begin = now();
    assert_eq!(server.post("/webhooks?token=second", GENERAL).await.status, 202);
    assert!(used("next") >= begin && used("main") == 0.0);
    assert_eq!(server.deliver("/webhooks", GENERAL).await.status, 202);
    assert!(used("main") >= used("next"));
}

#[tokio::test]
async fn anybody_may_deliver_when_so_configured() {
    let server = Server::start(Config { allow_unauthenticated: true, ..Config::default() }).await;
    assert_eq!(server.post("/webhooks", GENERAL).await.status, 202);
    assert_eq!(server.post("/webhooks/general/once-a-token?token=x", GENERAL).await.status, 202);
    assert_eq!(server.post("/webhooks/word", GENERAL).await.status, 404);
}

#[tokio::test]
async fn too_many_failed_tokens_are_429_and_a_right_one_always_passes() {
    let server = Server::start(Config { failed_tokens_per_minute: 2, ..config() }).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(server.post("/webhooks?token=guess", GENERAL).await.status);
        assert_eq!(server.deliver("/webhooks", GENERAL).await.status, 202);
    }
    assert_eq!(statuses, [401, 401, 429, 429]);
    let answer = server.post("/webhooks?token=guess", GENERAL).await;
    let retry_after: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&retry_after));
    server.until(|server| server.count(Webhook::Unknown, Outcome::RejectedRate) == 3).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_rotated_token_works_without_a_restart_and_a_broken_file_changes_nothing() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let version = |name: &str, token: &str| {
        std::fs::create_dir(at(name)).unwrap();
        std::fs::write(at(name).join("token"), token).unwrap();
        symlink(name, at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
    };
    version("v1", "first\n");
    symlink("..data/token", at("token")).unwrap();
    let mut config = config();
    config.token_files.insert("file".into(), at("token"));
    let server = Server::start(config).await;
    let reloads = |outcome| server.metrics.process.secret_reloads.of(SecretFile::WebhookToken, outcome).get();
    let is_ok = || server.metrics.process.secret_reload_ok.of(SecretFile::WebhookToken).get();
    assert_eq!(server.post("/webhooks?token=first", GENERAL).await.status, 202);
    assert_eq!((reloads(Reload::Ok), is_ok()), (0, 1));

    version("v2", "second\n");
    server.until(|_| reloads(Reload::Ok) == 1).await;
    assert_eq!(server.post("/webhooks?token=second", GENERAL).await.status, 202);
    assert_eq!(server.post("/webhooks?token=first", GENERAL).await.status, 401);
    assert_eq!(server.deliver("/webhooks", GENERAL).await.status, 202);

    version("v3", "");
    server.until(|_| reloads(Reload::Error) == 1).await;
    assert_eq!((server.post("/webhooks?token=second", GENERAL).await.status, is_ok()), (202, 0));
}

/// What every log line goes to.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_in_a_log_a_metric_an_answer_or_the_journal() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer({
            let log = log.clone();
            move || log.clone()
        })
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let server = Server::start(Config { failed_tokens_per_minute: 1, ..config() }).await;
    let mut answers = String::new();
    let bodies = [
        INTEGRATION,
        "{\"canary-member\":1,\"token\":\"canary-value\"",
        r#"{"x":{"apiKey":["canary-value"]}}"#,
        r#"{"EnterpriseId":"e","IntegrationId":"i","Events":[{"Discriminator":"CustomerAdded","Value":{"Token":"canary-value"}}]}"#,
    ];
    // Twice: a line whose place in the code another test was just registering can be missed once.
    for _ in 0..2 {
        for body in bodies {
            for target in [
                format!("/webhooks/general?Token={ENCODED}"),
                format!("/webhooks/integration/{ENCODED}"),
                "/webhooks?token=canary-wrong".to_owned(),
                "/webhooks/canary/canary".to_owned(),
            ] {
                let answer = server.send(post(&target, body)).await;
                answers.push_str(&answer.head);
                answers.push_str(&answer.body);
            }
            super::http2::deliver_once(&server, body).await;
        }
        server.send("POST /webhooks?token=canary HTTP/1.1\r\ncanary\u{7f}\r\n\r\n").await;
        tracing::callsite::rebuild_interest_cache();
    }
    let kept: Vec<u8> = server.kept().concat();
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(log.contains("a request was refused") && log.contains("route of the other kind"), "{log}");
    for (place, text) in [
        ("log", log),
        ("metrics", server.metrics.expose()),
        ("answers", answers),
        ("journal", String::from_utf8_lossy(&kept).into_owned()),
        ("configuration", format!("{:?}", config())),
    ] {
        let lines: Vec<_> = text.lines().filter(|line| line.contains("canary")).collect();
        assert!(lines.is_empty(), "in the {place}: {lines:?}");
    }
}
