//! TLS with an authority of one's own, and HTTP/2 where the server offers it.

use std::{path::Path, process::Command, sync::Arc};

use http_body_util::Full;
use hyper::{Request as HyperRequest, Response, Version, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::telemetry::metrics::{Reload, SecretFile};

/// A key and its certificate for loopback, signed by itself.
pub fn make_certificate(dir: &Path) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-days", "30", "-subj", "/CN=platform", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "ca.pem"])
        .current_dir(dir)
        .output()
        .expect("openssl is there");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A platform that offers these protocols, and answers with an id that says which was taken.
pub async fn platform(dir: &Path, protocols: &[&str]) -> (String, AbortOnDropHandle<()>) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = vec![CertificateDer::from_pem_file(dir.join("ca.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(dir.join("key.pem")).unwrap();
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    tls.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(async |request: HyperRequest<Incoming>| {
                    let id = if request.version() == Version::HTTP_2 { "two" } else { "one" };
                    let body = format!(r#"{{"Reservations":[{{"Id":"{id}"}}]}}"#);
                    Ok::<_, hyper::Error>(Response::new(Full::new(bytes::Bytes::from(body))))
                });
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    (address, AbortOnDropHandle::new(task))
}

pub async fn asked(address: String, ca_file: Option<std::path::PathBuf>) -> Result<Answer, Error> {
    let config = Config { platform_address: address, ca_file, ..Config::default() };
    let metrics = All::new(&Names::default()).connector;
    let client = Client::new(&config, client_token(), metrics).unwrap();
    client.call(&access_token(), &reservations()).await
}

#[tokio::test]
async fn http_2_is_spoken_where_it_is_offered_and_only_the_given_authority_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    make_certificate(dir.path());
    let ca_file = Some(dir.path().join("ca.pem"));
    for (protocols, spoken) in [(&["h2", "http/1.1"][..], "two"), (&["http/1.1"], "one"), (&[], "one")] {
        let (address, _task) = platform(dir.path(), protocols).await;
        let answer = asked(address, ca_file.clone()).await.unwrap();
        assert_eq!(answer.records[0].id, spoken, "{protocols:?}");
    }
    let (address, _task) = platform(dir.path(), &["h2"]).await;
    let other = tempfile::tempdir().unwrap();
    make_certificate(other.path());
    let error = asked(address, Some(other.path().join("ca.pem"))).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { cause: Cause::Connect(_), .. }), "{error:?}");
}

#[tokio::test]
async fn an_authority_that_changes_is_trusted_without_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| {
        let place = dir.path().join(name);
        std::fs::create_dir(&place).unwrap();
        make_certificate(&place);
        place
    };
    let (old, new) = (at("old"), at("new"));
    let ca_file = dir.path().join("ca.pem");
    std::fs::copy(old.join("ca.pem"), &ca_file).unwrap();
    let (address, _task) = platform(&new, &["h2"]).await;
    let config = Config { platform_address: address, ca_file: Some(ca_file.clone()), ..Config::default() };
    let all = All::new(&Names::default());
    let client = Client::new(&config, client_token(), all.connector.clone()).unwrap();
    client.look_every(Duration::from_millis(2));
    client.call(&access_token(), &reservations()).await.unwrap_err();
    let reloads = |outcome| all.process.secret_reloads.of(SecretFile::ConnectorCa, outcome).get();
    let story = async {
        std::fs::write(&ca_file, "no certificate").unwrap();
        while reloads(Reload::Error) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        std::fs::copy(new.join("ca.pem"), &ca_file).unwrap();
        while reloads(Reload::Ok) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        client.call(&access_token(), &reservations()).await.unwrap();
    };
    tokio::select! {
        () = story => {}
        never = client.run(&all.process) => match never {},
    }
}
