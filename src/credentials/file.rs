//! `credentials.file`: access tokens that did not come by webhook.
//!
//! ```json
//! [ { "IntegrationId": "7d9f…", "EnterpriseId": "0a6b…", "AccessToken": "…", "Alias": "lindenhof" } ]
//! ```
//!
//! `EnterpriseId` and `Alias` may be left out. Guarantees: a file is taken whole or not at all, and what
//! is wrong with it is said by entry and member, never with anything that stands in it: it could be a token.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::{reload::Contents, secret::Secret, webhook::id};

/// Longest access token that is taken; Mews's have 65 characters.
const TOKEN_LENGTH_MAX: usize = 4096;

/// One integration of the file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which integration.
    pub integration_id: String,
    /// Its hotel, if the file says so.
    pub enterprise_id: Option<String>,
    /// What requests are made with.
    pub access_token: Secret,
    /// What to call it where people read.
    pub alias: Option<String>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("credentials file {path}", path = .0.display())]
    Read(PathBuf, #[source] std::io::Error),
    /// It holds something else.
    #[error("credentials file {path}", path = .0.display())]
    Form(PathBuf, #[source] FormError),
}

/// What is wrong with the contents.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// Not JSON from that place on.
    #[error("is not JSON at line {line} column {column}")]
    NotJson {
        /// From 1.
        line: usize,
        /// In bytes, from 1.
        column: usize,
    },
    /// Some other JSON.
    #[error("is not an array of objects")]
    NotArray,
    /// An element is no object.
    #[error("entry {0} is not an object")]
    NotObject(usize),
    /// A member that is needed is not there.
    #[error("entry {entry} has no {member}")]
    Missing {
        /// From 1.
        entry: usize,
        /// Its name.
        member: &'static str,
    },
    /// A member is not what it should be.
    #[error("{member} of entry {entry} is not {expected}")]
    Member {
        /// From 1.
        entry: usize,
        /// Its name.
        member: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// A member that means nothing, which may be a slip of a name that does.
    #[error("entry {0} has a member other than IntegrationId, EnterpriseId, AccessToken and Alias")]
    Unknown(usize),
    /// Two entries for one integration.
    #[error("entries {first} and {second} have the same IntegrationId")]
    Twice {
        /// From 1.
        first: usize,
        /// From 1.
        second: usize,
    },
}

/// The entries of a file that was read.
///
/// # Errors
/// When it could not be read, or any entry of it is wrong.
pub fn entries(path: &Path, contents: Contents) -> Result<Vec<Entry>, FileError> {
    let contents = contents.map_err(|error| FileError::Read(path.to_owned(), error))?;
    parse(&contents).map_err(|error| FileError::Form(path.to_owned(), error))
}

fn parse(contents: &[u8]) -> Result<Vec<Entry>, FormError> {
    let contents = contents.strip_prefix(b"\xef\xbb\xbf").unwrap_or(contents);
    let whole: Value = serde_json::from_slice(contents)
        .map_err(|error| FormError::NotJson { line: error.line(), column: error.column() })?;
    let Value::Array(elements) = whole else { return Err(FormError::NotArray) };
    let mut entries = Vec::with_capacity(elements.len());
    let mut seen = HashMap::new();
    for (number, element) in (1..).zip(elements) {
        let Value::Object(members) = element else { return Err(FormError::NotObject(number)) };
        let entry = entry(number, members)?;
        if let Some(first) = seen.insert(entry.integration_id.clone(), number) {
            return Err(FormError::Twice { first, second: number });
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(number: usize, mut members: Map<String, Value>) -> Result<Entry, FormError> {
    let mut text = |member: &'static str, expected, is_right: fn(&str) -> bool| match members.remove(member) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if is_right(&text) => Ok(Some(text)),
        Some(_) => Err(FormError::Member { entry: number, member, expected }),
    };
    let missing = |member| FormError::Missing { entry: number, member };
    let normal = |id: String| id::normal(&id).into_owned();
    let integration_id = text("IntegrationId", "an id", id::usable)?;
    let enterprise_id = text("EnterpriseId", "an id", id::usable)?;
    let access_token = text("AccessToken", "a token in one line of text", is_token)?;
    let alias = text("Alias", "a short text", id::usable)?;
    if !members.is_empty() {
        return Err(FormError::Unknown(number));
    }
    Ok(Entry {
        integration_id: integration_id.map(normal).ok_or_else(|| missing("IntegrationId"))?,
        enterprise_id: enterprise_id.map(normal),
        access_token: access_token.map(Secret::new).ok_or_else(|| missing("AccessToken"))?,
        alias,
    })
}

fn is_token(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= TOKEN_LENGTH_MAX && !text.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn entries_are_read_with_and_without_what_may_be_left_out() {
        let text =
            "\u{feff}[{\"IntegrationId\":\"7D9F2E31-8C44-4F0B-A1B2-C3D4E5F60718\",\"AccessToken\":\"t\"},
            {\"IntegrationId\":\"i\",\"EnterpriseId\":\"e\",\"AccessToken\":\"u\",\"Alias\":\"inn\"},
            {\"IntegrationId\":\"j\",\"EnterpriseId\":null,\"AccessToken\":\"v\"}]";
        let entries = parse(text.as_bytes()).unwrap();
        assert_eq!(entries[0].integration_id, "7d9f2e31-8c44-4f0b-a1b2-c3d4e5f60718");
        assert_eq!(
            (entries[1].enterprise_id.as_deref(), entries[1].alias.as_deref()),
            (Some("e"), Some("inn"))
        );
        assert_eq!(entries[2].access_token.expose(), "v");
        assert!(parse(b"[]").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_by_entry_and_member_and_never_quoted() {
        let fine = r#"{"IntegrationId":"i","AccessToken":"CANARY"}"#;
        for (text, said) in [
            (r#"[{"AccessToken":"CANARY","#.to_owned(), "is not JSON at line 1 column 25"),
            (r#""CANARY""#.to_owned(), "is not an array of objects"),
            (format!(r#"[{fine},"CANARY"]"#), "entry 2 is not an object"),
            (format!(r#"[{fine},{{"AccessToken":"CANARY"}}]"#), "entry 2 has no IntegrationId"),
            (r#"[{"IntegrationId":"i"}]"#.to_owned(), "entry 1 has no AccessToken"),
            (
                r#"[{"IntegrationId":"i","AccessToken":""}]"#.to_owned(),
                "AccessToken of entry 1 is not a token in one line of text",
            ),
            (
                r#"[{"IntegrationId":"i","AccessToken":["CANARY"]}]"#.to_owned(),
                "AccessToken of entry 1 is not a token in one line of text",
            ),
            (
                r#"[{"IntegrationId":7,"AccessToken":"CANARY"}]"#.to_owned(),
                "IntegrationId of entry 1 is not an id",
            ),
            (
                r#"[{"IntegrationId":"i","AccessToken":"CANARY","Token":"CANARY"}]"#.to_owned(),
                "entry 1 has a member other than IntegrationId, EnterpriseId, AccessToken and Alias",
            ),
            (format!("[{fine},{fine}]"), "entries 1 and 2 have the same IntegrationId"),
        ] {
            assert_eq!(problem(&text), said);
        }
    }
}
