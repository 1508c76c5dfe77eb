//! Finds what must not be written down: the values of members whose names speak of a secret.
//!
//! A member counts when its name holds `token`, `key` or `secret`, in any case and with escapes
//! resolved, at any depth. Its whole value goes, be it a string, a list or an object, unless it is
//! `null`; everything else stays byte for byte. The caller says what stands there instead.

use std::borrow::Cow;

use super::{shape::Text, text::string_end};

const MARKS: [&str; 3] = ["token", "key", "secret"];

/// The text with the value of every secret member replaced by what `replacement` makes of its literal.
///
/// `text` must be JSON: [`super::shape::read`] or serde_json has accepted it. Of other text some
/// copy comes back in which what looks like a secret member is replaced.
pub fn replace<'a, E>(
    text: &'a str,
    mut replacement: impl FnMut(&str) -> Result<String, E>,
) -> Result<Cow<'a, str>, E> {
    let bytes = text.as_bytes();
    let mut replaced = String::new();
    let mut from = 0;
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] != b'"' {
            at += 1;
            continue;
        }
        let name_end = string_end(bytes, at) + 1;
        let name = &text[at..name_end];
        at = name_end;
        let Some(value) = value_of_member(bytes, name_end) else { continue };
        if !is_secret(name) {
            at = value;
            continue;
        }
        let value_end = literal_end(bytes, value);
        if &bytes[value..value_end] == b"null" {
            at = value_end;
            continue;
        }
        replaced.push_str(&text[from..value]);
        replaced.push_str(&replacement(&text[value..value_end])?);
        (from, at) = (value_end, value_end);
    }
    if from == 0 {
        return Ok(Cow::Borrowed(text));
    }
    replaced.push_str(&text[from..]);
    Ok(Cow::Owned(replaced))
}

/// Where the value starts if the string before `at` was a member's name, `None` if it was a value.
fn value_of_member(bytes: &[u8], at: usize) -> Option<usize> {
    let colon = skip_space(bytes, at);
    (bytes.get(colon) == Some(&b':')).then(|| skip_space(bytes, colon + 1))
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The offset after the literal that starts at `start`.
fn literal_end(bytes: &[u8], start: usize) -> usize {
    let mut open = 0usize;
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at = string_end(bytes, at);
                if open == 0 {
                    return at + 1;
                }
            }
            b'{' | b'[' => open += 1,
            b'}' | b']' if open <= 1 => return if open == 1 { at + 1 } else { at },
            b'}' | b']' => open -= 1,
            b',' | b' ' | b'\t' | b'\n' | b'\r' if open == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Whether a member's name, as the literal that stands in the text, speaks of a secret.
fn is_secret(name: &str) -> bool {
    // A name that cannot be read could say anything.
    let Ok(Text(name)) = serde_json::from_str(name) else { return true };
    if name.is_ascii() {
        return holds_mark(&name.to_ascii_lowercase());
    }
    // Through upper case first: some letters outside ASCII have an ASCII letter as their upper case.
    holds_mark(&name.to_uppercase().to_lowercase())
}

fn holds_mark(lower_case: &str) -> bool {
    MARKS.iter().any(|mark| lower_case.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::shape::tests::any_json;
    use proptest::prelude::*;
    use serde_json::Value;
    use std::convert::Infallible;

    fn marked(text: &str) -> (String, Vec<String>) {
        let mut found = Vec::new();
        let replaced = replace(text, |literal| {
            found.push(literal.to_owned());
            Ok::<_, Infallible>("0".to_owned())
        });
        let Ok(replaced) = replaced;
        (replaced.into_owned(), found)
    }

    #[test]
    fn the_whole_value_goes_and_the_rest_stays_byte_for_byte() {
        let text = "{ \"a\" : \"token\", \"AccessToken\" : \"x\\\"}\" , \"d\": [ { \"apiKEY\":[1, {\"b\":\"]\"}] },\n {\"Secrets\":{\"x\":\"y\"}}, {\"my_key\":null} ], \"t\\u006fken\":1.5e3 }";
        let (replaced, found) = marked(text);
        assert_eq!(
            replaced,
            "{ \"a\" : \"token\", \"AccessToken\" : 0 , \"d\": [ { \"apiKEY\":0 },\n {\"Secrets\":0}, {\"my_key\":null} ], \"t\\u006fken\":0 }"
        );
        assert_eq!(found, ["\"x\\\"}\"", "[1, {\"b\":\"]\"}]", "{\"x\":\"y\"}", "1.5e3"]);
    }

    #[test]
    fn letters_that_fold_to_ascii_do_not_hide_a_secret() {
        for name in ["To\u{212a}en", "\u{17f}ecret", "TOKEN", "\\u0054oken"] {
            let (_, found) = marked(&format!("{{\"{name}\":1}}"));
            assert_eq!(found, ["1"], "{name}");
        }
    }

    /// The plain model: the same on a parsed tree.
    fn model(value: Value) -> Value {
        match value {
            Value::Array(items) => items.into_iter().map(model).collect(),
            Value::Object(members) => members
                .into_iter()
                .map(|(name, value)| {
                    let lower = name.to_uppercase().to_lowercase();
                    let secret = ["token", "key", "secret"].iter().any(|mark| lower.contains(mark));
                    (name, if secret && !value.is_null() { Value::from(0) } else { model(value) })
                })
                .collect(),
            other => other,
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_model(value in any_json(), pretty in any::<bool>()) {
            let value = sprinkle(value);
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            let (replaced, _) = marked(&text);
            prop_assert_eq!(serde_json::from_str::<Value>(&replaced).unwrap(), model(value));
        }

        #[test]
        fn any_text_at_all_comes_back(text in ".{0,80}") {
            let _ = marked(&text);
        }
    }

    /// Gives every third member a telling name.
    fn sprinkle(value: Value) -> Value {
        match value {
            Value::Array(items) => items.into_iter().map(sprinkle).collect(),
            Value::Object(members) => members
                .into_iter()
                .enumerate()
                .map(|(n, (name, value))| (if n % 3 == 0 { name + "Token" } else { name }, sprinkle(value)))
                .collect(),
            other => other,
        }
    }
}
