//! Which source counts, as a table of stories.

use std::time::{Duration, UNIX_EPOCH};

use uuid::Uuid;

use super::*;
use crate::credentials::record::{AsOf, Aspect, Standing, Token};

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second)
}

fn entry(id: &str, token: &str) -> Entry {
    Entry {
        integration_id: id.to_owned(),
        enterprise_id: None,
        access_token: Secret::new(token.to_owned()),
        alias: None,
    }
}

/// What the topic says: a standing and a token, each with its second.
fn told(standing: Option<(u64, record::State)>, token: Option<(u64, &str)>) -> Told {
    let as_of = |second| AsOf { accepted_at: at(second), delivery: Uuid::from_u128(second.into()) };
    let is_enabled = |state| matches!(state, record::State::Created | record::State::Enabled);
    let known = Known {
        integration_id: "i".to_owned(),
        enterprise_id: Some(Aspect { as_of: as_of(0), value: "e".to_owned() }),
        standing: standing.map(|(second, state)| Aspect {
            as_of: as_of(second),
            value: Standing { state, is_enabled: is_enabled(state) },
        }),
        access_token: token.map(|(second, token)| Aspect {
            as_of: as_of(second),
            value: Some(Token::Sealed(token.to_owned())),
        }),
    };
    Told { known, token: token.map(|(second, token)| (at(second), Secret::new(token.to_owned()))) }
}

fn shown(book: &Book) -> (Option<String>, State) {
    let integration = book.get("i").unwrap();
    (integration.access_token.as_ref().map(|token| token.expose().to_owned()), integration.state)
}

fn is(token: &str, state: State) -> (Option<String>, State) {
    (Some(token.to_owned()), state)
}

#[test]
fn the_newer_token_counts() {
    let mut book = Book::default();
    book.file(vec![entry("i", "filed")], at(10));
    book.tell("i", Some(told(None, Some((9, "older")))));
    assert_eq!(shown(&book), is("filed", State::Active));
    book.tell("i", Some(told(None, Some((11, "newer")))));
    assert_eq!(shown(&book), is("newer", State::Active));
    // The file is written again for another hotel: that makes its old token no newer.
    book.file(vec![entry("i", "filed"), entry("j", "x")], at(20));
    assert_eq!(shown(&book), is("newer", State::Active));
    book.file(vec![entry("i", "rotated")], at(30));
    assert_eq!(shown(&book), is("rotated", State::Active));
    assert!(book.get("j").is_none());
    book.file(Vec::new(), at(40));
    assert_eq!(shown(&book), is("newer", State::Active));
    let change = book.tell("i", None).unwrap();
    assert!(change.after.is_none() && book.all().next().is_none());
}

#[test]
fn a_refused_token_gives_way_to_the_other_sources() {
    let mut book = Book::default();
    book.file(vec![entry("i", "stale")], at(10));
    book.tell("i", Some(told(None, Some((9, "right")))));
    let revision = book.get("i").unwrap().revision;
    assert!(book.refuse("i", revision).is_some());
    assert_eq!(shown(&book), is("right", State::Active));
    assert!(book.refuse("i", revision).is_none(), "that was about the other token");
    let revision = book.get("i").unwrap().revision;
    book.refuse("i", revision);
    assert_eq!(shown(&book), is("stale", State::Unauthorized));
    let revision = book.get("i").unwrap().revision;
    book.accept("i", revision);
    assert_eq!(shown(&book), is("stale", State::Active));
}

#[test]
fn news_make_a_refused_token_worth_a_try_and_a_repeated_record_is_none() {
    let mut book = Book::default();
    let record = told(Some((5, record::State::Created)), Some((5, "t")));
    book.tell("i", Some(record.clone()));
    let revision = book.get("i").unwrap().revision;
    book.refuse("i", revision);
    assert_eq!(shown(&book).1, State::Unauthorized);
    assert!(book.tell("i", Some(record)).is_none());
    assert_eq!(shown(&book).1, State::Unauthorized);
    assert!(book.tell("i", Some(told(Some((6, record::State::Enabled)), Some((5, "t"))))).is_some());
    assert_eq!(shown(&book).1, State::Active);
    // It changes nothing that counts, but may be why what was refused works now.
    assert!(book.tell("i", Some(told(Some((7, record::State::Enabled)), Some((5, "t"))))).is_some());
}

#[test]
fn a_standing_counts_unless_the_file_is_newer() {
    for (state, shown_as) in [
        (record::State::Created, State::Active),
        (record::State::Disabled, State::Disabled),
        (record::State::Canceled, State::Canceled),
        (record::State::Deleted, State::Deleted),
    ] {
        let mut book = Book::default();
        book.tell("i", Some(told(Some((10, state)), Some((1, "t")))));
        assert_eq!(shown(&book), is("t", shown_as));
        book.file(vec![entry("i", "t")], at(9));
        assert_eq!(shown(&book), is("t", shown_as), "the file is older");
        book.file(vec![entry("i", "new")], at(11));
        assert_eq!(shown(&book), is("new", State::Active), "the file is newer");
    }
}

#[test]
fn integrations_are_found_by_enterprise_as_long_as_they_are_there() {
    let mut book = Book::default();
    let of_e =
        |book: &Book| book.of_enterprise("e").map(|each| each.integration_id.clone()).collect::<Vec<_>>();
    book.tell("i", Some(told(None, None)));
    book.file(vec![Entry { enterprise_id: Some("e".into()), ..entry("h", "x") }], at(1));
    assert_eq!(of_e(&book), ["h", "i"]);
    book.file(vec![Entry { enterprise_id: Some("f".into()), ..entry("h", "x") }], at(2));
    assert_eq!(of_e(&book), ["i"]);
    book.tell("i", None);
    assert!(of_e(&book).is_empty() && book.of_enterprise.len() == 1);
}

#[test]
fn what_is_the_same_is_no_change() {
    let mut book = Book::default();
    assert_eq!(book.file(vec![entry("i", "a"), entry("j", "b")], at(1)).len(), 2);
    assert!(book.file(vec![entry("j", "b"), entry("i", "a")], at(2)).is_empty());
    let changes = book.file(vec![entry("i", "a"), entry("j", "c")], at(3));
    assert_eq!(changes.iter().map(|change| change.integration_id.as_str()).collect::<Vec<_>>(), ["j"]);
}
