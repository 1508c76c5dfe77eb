//! Answers: the records in them, each as the exact bytes that Mews sent.
//!
//! ```text
//! {"Reservations":[ {"Id":"…", …} , {"Id":"…", …} ], "Cursor":"…"}
//!                   └── bytes ───┘   └── bytes ───┘  one shared allocation, nothing copied
//! ```
//!
//! Guarantees: a record is never serialised again, so amounts, unknown members and white space stay
//! (contract 3.5); a record without a usable id is counted and left out, and the others are not held up
//! by it; an answer without any of its operation's arrays is none, so that nobody takes what is not in it
//! for gone. Of other members a missing one and null are the same.

use std::{borrow::Cow, fmt, time::SystemTime};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::operation::{Operation, Records};
use crate::{hash::HashSet, webhook::id};

/// What a request brought.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// The records, in the order of the answer, each id once.
    pub records: Vec<Record>,
    /// Records as Mews counts them for a page: with repeated and unusable ones.
    pub items: usize,
    /// Where the next page begins; see [`super::Request::next_page`].
    pub cursor: Option<String>,
    /// By which Mews's support finds the request.
    pub request_id: Option<String>,
}

/// One record of an answer.
#[derive(Clone)]
pub struct Record {
    /// `Id`, in the one spelling of ids.
    pub id: String,
    /// `UpdatedUtc`, to the nanosecond. Two changes may share a value.
    pub updated: Option<SystemTime>,
    /// The record as it stood in the answer. It keeps the whole answer in memory.
    pub bytes: Bytes,
}

/// Says nothing of what is in it: records hold personal data.
impl fmt::Debug for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Record").field("id", &self.id).finish_non_exhaustive()
    }
}

/// An answer that was read, and how many records of it could not be used.
pub(super) struct Read {
    pub(super) answer: Answer,
    pub(super) unusable: usize,
}

/// Finds the records of an operation in the body of its answer.
///
/// # Errors
/// When it is not JSON, or not an object with the operation's records.
pub(super) fn read(operation: Operation, body: &Bytes) -> Result<Read, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let row = operation.row();
    let found = Members { records: row.records, is_optional: row.is_optional }.deserialize(&mut json)?;
    json.end()?;
    let mut records = Vec::with_capacity(found.records.len());
    let mut ids = HashSet::default();
    ids.reserve(found.records.len());
    let mut unusable = 0;
    for raw in &found.records {
        match record(raw, body) {
            Some(record) if ids.insert(record.id.clone()) => records.push(record),
            Some(_) => {}
            None => unusable += 1,
        }
    }
    let answer = Answer { records, items: found.records.len(), cursor: found.cursor, request_id: None };
    Ok(Read { answer, unusable })
}

fn record(raw: &RawValue, body: &Bytes) -> Option<Record> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Head<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
        #[serde(borrow, default)]
        updated_utc: Option<&'a RawValue>,
    }
    let head: Head<'_> = serde_json::from_str(raw.get()).ok()?;
    if !id::usable(&head.id) {
        return None;
    }
    let updated = head.updated_utc.and_then(|raw| serde_json::from_str::<Text<'_>>(raw.get()).ok());
    Some(Record {
        id: id::normal(&head.id).into_owned(),
        updated: updated.and_then(|Text(time)| humantime::parse_rfc3339(&time).ok()),
        bytes: body.slice_ref(raw.get().as_bytes()),
    })
}

/// What of an answer's members is looked at.
#[derive(Default)]
struct Found<'a> {
    records: Vec<&'a RawValue>,
    cursor: Option<String>,
}

/// Where the records are, and whether Mews may leave them out.
struct Members {
    records: Records,
    is_optional: bool,
}

impl<'de> DeserializeSeed<'de> for Members {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members {
    type Value = Found<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an answer of the Connector API")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Found<'de>, A::Error> {
        let mut found = Found::default();
        let mut is_answer = false;
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            match self.records {
                Records::Arrays(arrays) if arrays.contains(&&*name) => {
                    let records: Option<Vec<&RawValue>> = members.next_value()?;
                    is_answer |= records.is_some() || self.is_optional;
                    found.records.extend(records.unwrap_or_default());
                }
                Records::Member(member) if *name == *member => {
                    let value: Option<&RawValue> = members.next_value()?;
                    found.records.push(value.ok_or_else(|| A::Error::missing_field(member))?);
                    is_answer = true;
                }
                _ if name == "Cursor" => {
                    found.cursor = members.next_value()?;
                    is_answer |= self.is_optional;
                }
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        if is_answer { Ok(found) } else { Err(A::Error::missing_field(self.records.name())) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_text(operation: Operation, body: &str) -> Result<Read, serde_json::Error> {
        read(operation, &Bytes::from(body.to_owned()))
    }

    fn ids(read: &Read) -> Vec<&str> {
        read.answer.records.iter().map(|record| record.id.as_str()).collect()
    }

    /// JSON in odd spellings: white space, escapes, numbers that no float holds.
    fn any_json() -> impl Strategy<Value = String> {
        let space = || prop::sample::select(vec!["", " ", "\n\t", "\r\n  "]);
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?",
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
            Just(r#""\u00fc\/\ud83d\ude00""#.to_owned()),
        ];
        leaf.prop_recursive(4, 32, 5, move |inner| {
            let member =
                (any::<String>(), space(), inner.clone(), space()).prop_map(|(name, a, value, b)| {
                    format!("{}{a}:{b}{value}", serde_json::to_string(&name).unwrap())
                });
            prop_oneof![
                (prop::collection::vec(inner, 0..5), space())
                    .prop_map(|(values, space)| format!("[{space}{}]", values.join(&format!("{space},")))),
                (prop::collection::vec(member, 0..5), space()).prop_map(|(members, space)| format!(
                    "{{{space}{}}}",
                    members.join(&format!(",{space}"))
                )),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_record_comes_out_byte_for_byte(extras in prop::collection::vec(any_json(), 0..6), space in "[ \n\t\r]{0,3}") {
            let records: Vec<_> = extras.iter().enumerate()
                .map(|(n, extra)| format!("{{{space}\"X\":{extra},\"Id\" :\"r{n}\"{space},\"Amount\":{{\"NetValue\":{n}.10}} }}"))
                .collect();
            let body = format!(
                "{{\"Other\":{},\"Reservations\":{space}[{space}{}{space}],\"Cursor\":\"c\"}}{space}",
                extras.first().map_or("1", String::as_str), records.join(&format!("{space},{space}")),
            );
            let read = read_text(Operation::Reservations, &body).unwrap();
            let bytes: Vec<_> = read.answer.records.iter().map(|record| record.bytes.to_vec()).collect();
            prop_assert_eq!(bytes, records.iter().map(|record| record.clone().into_bytes()).collect::<Vec<_>>());
            prop_assert_eq!((read.unusable, read.answer.cursor.as_deref()), (0, Some("c")));
        }

        #[test]
        fn no_bytes_bring_it_down(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(Operation::Products, &Bytes::from(body));
        }
    }

    #[test]
    fn a_record_says_which_it_is_and_when_it_changed() {
        let body = r#"{"Resources":[{"Id":"851DF8C8-90F2-4C4A-8E01-A4FC46B25178","UpdatedUtc":"1970-01-01T00:00:01.123456789Z"},
            {"Id":"b","UpdatedUtc":"1970-01-01T00:00:02\u005a"},{"Id":"c","UpdatedUtc":"soon"},{"Id":"d","UpdatedUtc":7}]}"#;
        let read = read_text(Operation::Resources, body).unwrap();
        assert_eq!(ids(&read), ["851df8c8-90f2-4c4a-8e01-a4fc46b25178", "b", "c", "d"]);
        let nanos = |record: &Record| {
            Some(record.updated?.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos())
        };
        let records = &read.answer.records;
        assert_eq!(
            records.iter().map(nanos).collect::<Vec<_>>(),
            [Some(1_123_456_789), Some(2_000_000_000), None, None]
        );
    }

    #[test]
    fn a_record_without_a_usable_id_is_left_out_and_counted() {
        let body = r#"{"Payments":[{"Id":"a"},{},{"Id":null},{"Id":7},{"Id":""},5,null,{"Id":"b"}]}"#;
        let read = read_text(Operation::Payments, body).unwrap();
        assert_eq!((ids(&read), read.unusable, read.answer.items), (vec!["a", "b"], 6, 8));
    }

    #[test]
    fn both_arrays_of_products_are_one_set() {
        let body =
            r#"{"CustomerProducts":[{"Id":"b","n":2},{"Id":"c"}],"Products":[{"Id":"a"},{"Id":"b","n":1}]}"#;
        let read = read_text(Operation::Products, body).unwrap();
        assert_eq!((ids(&read), read.answer.items), (vec!["b", "c", "a"], 4));
    }

    #[test]
    fn an_empty_page_is_an_answer_and_the_configuration_is_one_record() {
        for empty in [r#"{"Messages":[],"Cursor":null}"#, r#"{"Messages":[]}"#] {
            let read = read_text(Operation::Messages, empty).unwrap();
            assert_eq!((read.answer.records.len(), read.answer.cursor), (0, None), "{empty}");
        }
        let body = r#"{"NowUtc":"…","Enterprise":{"Id":"e","Name":"Hotel"},"Service":null}"#;
        let read = read_text(Operation::Configuration, body).unwrap();
        assert_eq!(read.answer.records[0].bytes, r#"{"Id":"e","Name":"Hotel"}"#);
    }

    #[test]
    fn without_its_array_it_is_no_answer_and_nothing_is_gone() {
        for body in ["{}", r#"{"Cursor":null}"#, r#"{"Message":"degraded"}"#, r#"{"Products":null}"#] {
            assert!(read_text(Operation::Products, body).is_err(), "{body}");
        }
        for body in [r#"{"Products":[],"CustomerProducts":null}"#, r#"{"CustomerProducts":[]}"#] {
            assert!(read_text(Operation::Products, body).is_ok(), "{body}");
        }
        // The only one that Mews may leave out (contract 4.2).
        for body in [r#"{"Resources":null}"#, r#"{"Cursor":null}"#] {
            assert!(read_text(Operation::Resources, body).is_ok(), "{body}");
        }
        for body in ["{}", r#"{"Message":"degraded"}"#] {
            assert!(read_text(Operation::Resources, body).is_err(), "{body}");
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for body in
            ["", "[]", "<html>", r#"{"Messages":{}}"#, r#"{"Messages":[}"#, "{} {}", r#"{"Messages":[]"#]
        {
            assert!(read_text(Operation::Messages, body).is_err(), "{body}");
        }
    }
}
