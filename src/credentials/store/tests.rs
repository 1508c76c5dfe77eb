//! The store with real files and sealed records.

use std::{collections::BTreeSet, convert::Infallible, path::PathBuf};

use super::*;
use crate::{
    credentials::{record::AsOf, seal::Sealer},
    telemetry::metrics::{Metrics as All, Names, Reload, connector::IntegrationState},
    webhook::{Webhook, secrets, shape},
};
use uuid::Uuid;

const CANARY: &str = "CANARY-0c4e";

struct World {
    store: Store,
    all: All,
    keys: KeyRing,
    _dir: tempfile::TempDir,
    path: PathBuf,
}

fn entry(id: &str, token: &str) -> String {
    format!(r#"{{"IntegrationId":"{id}","EnterpriseId":"hotel","AccessToken":"{token}"}}"#)
}

fn world(entries: &[String]) -> World {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("credentials.json");
    std::fs::write(&path, format!("[{}]", entries.join(","))).unwrap();
    let config = Config { file: Some(path.clone()), ..Config::default() };
    let all = All::new(&Names::default());
    let keys = KeyRing::of(&[[1; 32]]);
    let store = Store::load(&config, Some(keys.clone()), all.connector.clone()).unwrap();
    World { store, all, keys, _dir: dir, path }
}

/// The value of a record about a webhook that came at that second, sealed as the ingress seals it.
fn record(keys: &KeyRing, action: &str, more: &str, second: u64) -> String {
    let body = format!(r#"{{"Action":"{action}","Data":{{"Integration":{{"Id":"i"}}{more}}}}}"#);
    let sealer = Sealer::Seal(keys.clone());
    let Ok(sealed) =
        secrets::replace(&body, |literal| Ok::<_, Infallible>(sealer.conceal(literal.as_bytes())));
    let accepted_at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
    let as_of = AsOf { accepted_at, delivery: Uuid::from_u128(second.into()) };
    match shape::read(&sealed).unwrap() {
        Webhook::Integration(integration) => Known::of(&integration, as_of).unwrap().to_json(),
        Webhook::General(_) => panic!("a General webhook"),
    }
}

fn created(keys: &KeyRing, token: &str, second: u64) -> String {
    let more = format!(r#","Enterprise":{{"Id":"hotel"}},"IsEnabled":true,"AccessToken":"{token}""#);
    record(keys, "IntegrationCreated", &more, second)
}

/// Later than any file of these tests.
const LATER: u64 = 100_000_000_000;

fn token_of(integration: Option<Arc<Integration>>) -> String {
    integration.unwrap().access_token.as_ref().unwrap().expose().to_owned()
}

#[test]
fn a_sealed_record_is_opened() {
    let world = world(&[]);
    assert!(world.store.get("i").is_none());
    world.store.apply("i", Some(created(&world.keys, "told \\u00fc", 5).as_bytes()));
    assert_eq!(token_of(world.store.get("i")), "told ü");
    assert_eq!(token_of(world.store.for_event("i", "elsewhere")), "told ü");
    assert_eq!(world.all.connector.integrations.of(IntegrationState::Active).get(), 1);
    world.store.apply("i", Some(record(&world.keys, "IntegrationDeleted", "", 6).as_bytes()));
    assert_eq!(world.store.get("i").unwrap().state, State::Deleted);
    assert_eq!(world.all.connector.integrations.of(IntegrationState::Active).get(), 0);
    world.store.apply("i", None);
    assert!(world.store.all().is_empty());
}

#[test]
fn what_cannot_be_read_or_opened_leaves_what_was_known() {
    let world = world(&[]);
    world.store.apply("i", Some(created(&world.keys, "first", 5).as_bytes()));
    let other = KeyRing::of(&[[2; 32]]);
    let sealed = created(&other, "second", 6);
    for unusable in [sealed.as_bytes(), b"no record", b"{}"] {
        world.store.apply("i", Some(unusable));
        assert_eq!(token_of(world.store.get("i")), "first");
    }
    assert_eq!(world.all.connector.unreadable_credentials.get(), 3);
}

#[test]
fn a_key_that_comes_later_opens_what_was_closed() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str, byte: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, byte.repeat(32)).unwrap();
        path
    };
    let (old, new) = (at("old", "01"), at("new", "02"));
    let keys = KeyRing::load(std::slice::from_ref(&old)).unwrap();
    let metrics = All::new(&Names::default()).connector;
    let store = Store::load(&Config::default(), Some(keys.clone()), metrics.clone()).unwrap();
    let ring = KeyRing::load(std::slice::from_ref(&new)).unwrap();
    store.apply("i", Some(created(&ring, "sealed anew", 5).as_bytes()));
    assert!(!store.get("i").unwrap().is_usable());
    assert_eq!(metrics.integrations.of(IntegrationState::Unknown).get(), 1);
    keys.reload(&[new, old]).unwrap();
    store.reopen();
    assert_eq!(token_of(store.get("i")), "sealed anew");
}

#[test]
fn an_event_is_asked_about_with_its_own_integration_or_another_of_its_hotel() {
    let world = world(&[entry("a", "A"), entry("i", "I")]);
    assert_eq!(token_of(world.store.for_event("i", "hotel")), "I");
    assert_eq!(token_of(world.store.for_event("unheard-of", "HOTEL".to_lowercase().as_str())), "A");
    assert!(world.store.for_event("unheard-of", "elsewhere").is_none());
    world.store.apply("i", Some(record(&world.keys, "IntegrationDisabled", "", LATER).as_bytes()));
    assert_eq!(token_of(world.store.for_event("i", "hotel")), "A");
    world.store.refused(&world.store.get("a").unwrap());
    assert_eq!(world.store.for_event("i", "hotel").unwrap().state, State::Disabled, "its own says why not");
    world.store.accepted(&world.store.get("a").unwrap());
    assert_eq!(token_of(world.store.for_event("i", "hotel")), "A");
}

#[tokio::test]
async fn changes_are_told_once_each_and_wait_for_whoever_asks() {
    let world = world(&[entry("a", "A"), entry("b", "B")]);
    let mut changes = world.store.changes();
    let waiting = tokio::spawn(async move {
        let ids = changes.next().await;
        (ids, changes)
    });
    tokio::task::yield_now().await;
    world.store.apply("i", Some(created(&world.keys, "one", 5).as_bytes()));
    let (ids, mut changes) = waiting.await.unwrap();
    assert_eq!(ids, BTreeSet::from(["i".to_owned()]));
    world.store.refused(&world.store.get("b").unwrap());
    world.store.apply("i", Some(created(&world.keys, "two", 6).as_bytes()));
    world.store.apply("i", Some(created(&world.keys, "three", 7).as_bytes()));
    assert_eq!(changes.next().await, BTreeSet::from(["b".to_owned(), "i".to_owned()]));
    let none = tokio::time::timeout(std::time::Duration::from_millis(5), changes.next()).await;
    assert!(none.is_err());
    drop(changes);
    drop(world.store.changes());
    assert_eq!(world.store.0.watchers.count(), 1, "who is gone is forgotten");
}

#[tokio::test]
async fn the_file_is_read_again_and_an_unusable_one_changes_nothing() {
    let world = world(&[entry("a", "first")]);
    let World { store, all, path, .. } = &world;
    let files = store.0.files.lock().unwrap().take().unwrap().every(std::time::Duration::from_millis(2));
    *store.0.files.lock().unwrap() = Some(files);
    let mut changes = store.changes();
    let reloads = |outcome| all.process.secret_reloads.of(SecretFile::Credentials, outcome).get();
    let story = async {
        std::fs::write(path, format!("[{}]", entry("a", "second"))).unwrap();
        changes.next().await;
        assert_eq!(token_of(store.get("a")), "second");
        std::fs::write(path, format!("[{CANARY}")).unwrap();
        while reloads(Reload::Error) == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        assert_eq!(token_of(store.get("a")), "second");
        // As Kubernetes does it.
        let aside = path.with_extension("new");
        std::fs::write(&aside, "[]").unwrap();
        std::fs::rename(&aside, path).unwrap();
        changes.next().await;
        assert!(store.get("a").is_none());
        assert_eq!(all.process.secret_reload_ok.of(SecretFile::Credentials).get(), 1);
    };
    tokio::select! {
        () = story => {}
        never = store.watch(&all.process) => match never {},
    }
}

#[test]
fn nothing_shows_a_token() {
    let world = world(&[entry("a", CANARY)]);
    world.store.apply("i", Some(created(&world.keys, CANARY, LATER).as_bytes()));
    let (a, i) = (world.store.get("a").unwrap(), world.store.get("i").unwrap());
    let book = format!("{:?}", world.store.0.book.read().unwrap());
    let changes = format!("{:?}", world.store.changes());
    for shown in [format!("{a:?} {i:?}"), book, changes, world.all.expose()] {
        assert!(!shown.contains(CANARY), "{shown}");
    }
    let config = Config { file: Some(world.path.clone()), ..Config::default() };
    std::fs::write(&world.path, format!(r#"[{{"IntegrationId":"a","AccessToken":{{"x":"{CANARY}"}}}}]"#))
        .unwrap();
    let error = config.check_source().unwrap_err();
    let source = StdError::source(&error).map(ToString::to_string).unwrap_or_default();
    assert_eq!(source, "AccessToken of entry 1 is not a token in one line of text");
    assert!(!format!("{error:?} {error}").contains(CANARY));
}
