//! Against a token endpoint on a real socket.

use std::sync::{Arc, Mutex};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use super::{endpoint::Answer, *};
use crate::{
    telemetry::metrics::{Metrics, Names},
    webhook::delivery::millis,
};

/// What the endpoint was asked: the `authorization` header and the form.
pub type Asked = Arc<Mutex<Vec<(String, String)>>>;

/// A token endpoint that answers everything alike, and what it was asked.
pub async fn endpoint(status: u16, answer: &'static str) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            let serve = service_fn(move |request: Request<Incoming>| {
                let seen = Arc::clone(&seen);
                async move {
                    let authorization = request.headers()["authorization"].to_str().unwrap().to_owned();
                    let form = request.into_body().collect().await?.to_bytes();
                    seen.lock().unwrap().push((authorization, String::from_utf8_lossy(&form).into_owned()));
                    let body = Full::new(bytes::Bytes::from_static(answer.as_bytes()));
                    Ok::<_, hyper::Error>(hyper::Response::builder().status(status).body(body).unwrap())
                }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), serve)
                .await;
        }
    });
    (url, asked)
}

/// Client credentials for it.
pub fn config(url: &str) -> Config {
    Config {
        token_url: url.to_owned(),
        client_id: "bridge".into(),
        client_secret: Some(Secret::new("canary".into())),
        ..Config::default()
    }
}

async fn fetch(config: Config, metrics: Option<metrics::Kafka>) -> Result<OAuthToken, String> {
    let tokens = Tokens::new(Source::Endpoint(config), metrics);
    let ask = move || answer(Some(&tokens)).map_err(|error| error.to_string());
    tokio::task::spawn_blocking(ask).await.unwrap()
}

async fn refusal(url: &str) -> String {
    fetch(config(url), None).await.map(|_| ()).unwrap_err()
}

fn now_millis() -> i64 {
    i64::try_from(millis(SystemTime::now())).unwrap()
}

#[tokio::test]
async fn a_token_is_asked_for_as_the_rfc_says_and_its_end_is_shown() {
    let (url, asked) =
        endpoint(200, r#"{"access_token":"opaque","expires_in":600,"token_type":"Bearer"}"#).await;
    let metrics = Metrics::new(&Names::default()).kafka;
    let before = now_millis();
    let token = fetch(Config { scope: Some("kafka write".into()), ..config(&url) }, Some(metrics.clone()))
        .await
        .unwrap();
    assert_eq!((token.token.as_str(), token.principal_name.as_str()), ("opaque", "bridge"));
    assert!((before + 600_000..=now_millis() + 600_000).contains(&token.lifetime_ms));
    assert!((metrics.oauth_token_expiry.get() * 1000.0 - token.lifetime_ms as f64).abs() < 1.0);
    let basic = format!("Basic {}", STANDARD.encode("bridge:canary"));
    assert_eq!(
        *asked.lock().unwrap(),
        [(basic, "grant_type=client_credentials&scope=kafka+write".to_owned())]
    );
}

#[tokio::test]
async fn the_secret_is_read_from_its_file_at_every_request() {
    let (url, asked) = endpoint(200, r#"{"access_token":"opaque"}"#).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    for secret in ["one", "two"] {
        std::fs::write(&file, secret).unwrap();
        let config = Config { client_secret: None, client_secret_file: Some(file.clone()), ..config(&url) };
        fetch(config, None).await.unwrap();
        let basic = format!("Basic {}", STANDARD.encode(format!("bridge:{secret}")));
        assert_eq!(asked.lock().unwrap().pop().unwrap().0, basic);
    }
}

#[tokio::test]
async fn a_refusal_is_told_by_its_code_and_without_the_secret() {
    let (url, _) = endpoint(401, r#"{"error":"invalid_client","error_description":"canary is wrong"}"#).await;
    let error = refusal(&url).await;
    assert_eq!(error, "token endpoint answered 401 invalid_client");
    let (url, _) = endpoint(200, "canary").await;
    assert_eq!(refusal(&url).await, "token endpoint gave no access_token");
    assert!(!format!("{:?}", config(&url)).contains("canary"));
}

#[tokio::test]
async fn an_endpoint_that_is_away_is_an_error_and_no_panic() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    drop(listener);
    let error = refusal(&url).await;
    assert!(error.starts_with("token endpoint cannot be asked: "), "{error}");
    let unconfigured = answer(None).map(|_| ()).unwrap_err();
    assert_eq!(unconfigured.to_string(), "kafka.oauth is not configured");
}

#[test]
fn lifetime_and_principal_come_from_wherever_they_are() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
    let jwt = |claims: &str| format!("h.{}.s", URL_SAFE_NO_PAD.encode(claims));
    let read = |token: &str, expires_in: &str| {
        let text = format!(r#"{{"access_token":"{token}","expires_in":{expires_in}}}"#);
        let token = serde_json::from_str::<Answer>(&text).unwrap().token("client", now).unwrap();
        (token.principal_name, token.lifetime_ms)
    };
    assert_eq!(read("opaque", "60"), ("client".into(), 1_060_000));
    assert_eq!(read("opaque", "\"60\""), ("client".into(), 1_060_000));
    assert_eq!(read("opaque", "null"), ("client".into(), 1_300_000));
    assert_eq!(read(&jwt(r#"{"sub":"me","exp":1500}"#), "null"), ("me".into(), 1_500_000));
    assert_eq!(read(&jwt(r#"{"sub":"me","exp":1500}"#), "60"), ("me".into(), 1_060_000));
    assert_eq!(read(&jwt(r#"{"sub":7}"#), "60"), ("client".into(), 1_060_000));
    assert_eq!(read("opaque", "-1").1, 1_300_000);
    assert_eq!(read("opaque", "1e300").1, 1_300_000);
}

#[test]
fn a_secret_travels_over_tls_or_not_at_all() {
    let judge = |url: &str| config(url).validate().map_err(|error| error.to_string());
    for fine in ["https://idp/token", "http://127.0.0.1:9/t", "http://[::1]/t", "http://localhost:80/t"] {
        assert_eq!(judge(fine), Ok(()), "{fine}");
    }
    for plain in ["http://idp/token", "http://127.0.0.1.evil/t", "http://10.0.0.1/"] {
        assert_eq!(judge(plain).unwrap_err(), "token endpoint must be https, but on a loopback address");
    }
    for wrong in ["", "idp/token", "ftp://127.0.0.1/"] {
        assert_eq!(judge(wrong).unwrap_err(), "token endpoint is no URL of http or https");
    }
    let missing = Config { client_secret: None, ..config("https://idp/") };
    assert_eq!(missing.validate().unwrap_err().to_string(), "client_secret_file must be set");
    let missing = Config { client_id: String::new(), ..config("https://idp/") };
    assert_eq!(missing.validate().unwrap_err().to_string(), "client_id must be set");
}
