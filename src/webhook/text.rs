//! From the bytes of a body to JSON text: size of nesting checked, forgiven commas taken out.
//!
//! Mews's own published samples have a comma after the last element of a list
//! (reference: Mews "General Webhooks", the sample with `Entities`), so that one slip is forgiven;
//! any other breach of RFC 8259 is left for the JSON parser to name.

use std::borrow::Cow;

use super::Unclear;

/// Brackets that may be open at once. Mews's deepest documented body has six.
pub const OPEN_BRACKETS_MAX: usize = 64;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a body as UTF-8 text and takes out a byte order mark and the commas before a closing bracket.
///
/// All other bytes stay as they came; the text is borrowed unless a comma had to go. What comes
/// back is not yet known to be JSON.
///
/// # Errors
/// [`Unclear::TooDeep`] at the first bracket over [`OPEN_BRACKETS_MAX`], [`Unclear::NotJson`] when
/// the bytes are not UTF-8.
pub fn tidy(body: &[u8]) -> Result<Cow<'_, str>, Unclear> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let commas = forgiven_commas(body)?;
    let text = std::str::from_utf8(body)
        .map_err(|error| Unclear::NotJson(format!("not UTF-8 after byte {}", error.valid_up_to())))?;
    if commas.is_empty() {
        return Ok(Cow::Borrowed(text));
    }
    let mut tidied = String::with_capacity(text.len());
    let mut from = 0;
    for comma in commas {
        tidied.push_str(&text[from..comma]);
        from = comma + 1;
    }
    tidied.push_str(&text[from..]);
    Ok(Cow::Owned(tidied))
}

/// The offsets of commas that stand between a value and a closing bracket.
fn forgiven_commas(body: &[u8]) -> Result<Vec<usize>, Unclear> {
    let mut commas = Vec::new();
    let mut open = 0usize;
    // The last byte outside strings that is no white space, the one before it, and where it stood.
    let (mut last, mut before_last, mut last_at) = (0u8, 0u8, 0usize);
    let mut at = 0;
    while at < body.len() {
        let byte = body[at];
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            b'"' => at = string_end(body, at),
            b'{' | b'[' => {
                open += 1;
                if open > OPEN_BRACKETS_MAX {
                    return Err(Unclear::TooDeep);
                }
            }
            b'}' | b']' => {
                open = open.saturating_sub(1);
                if last == b',' && !matches!(before_last, b'{' | b'[' | b',' | b':' | 0) {
                    commas.push(last_at);
                }
            }
            _ => {}
        }
        (before_last, last, last_at) = (last, byte, at);
        at += 1;
    }
    Ok(commas)
}

/// The offset of the quote that ends the string opened at `start`, or of the last byte.
pub(super) fn string_end(body: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < body.len() {
        match body[at] {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    body.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_comma_before_a_closing_bracket_is_taken_out_and_nothing_else() {
        let body = b"{ \"Events\" : [ {\"a\":\"],\"} ,\n ] , }";
        assert_eq!(tidy(body).unwrap(), "{ \"Events\" : [ {\"a\":\"],\"} \n ]  }");
    }

    #[test]
    fn commas_without_a_value_before_them_stay() {
        for body in ["[,]", "{,}", "[1,,]", "{\"a\":,}"] {
            assert_eq!(tidy(body.as_bytes()).unwrap(), body);
        }
    }

    #[test]
    fn a_byte_order_mark_is_forgiven() {
        assert_eq!(tidy(b"\xef\xbb\xbf{}").unwrap(), "{}");
    }

    #[test]
    fn sixty_four_open_brackets_pass_and_one_more_does_not() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(tidy(deep(64).as_bytes()).is_ok());
        assert!(matches!(tidy(deep(65).as_bytes()), Err(Unclear::TooDeep)));
        let in_a_string = format!("\"{}\"", "[".repeat(200));
        assert!(tidy(in_a_string.as_bytes()).is_ok());
    }

    proptest! {
        #[test]
        fn json_is_left_as_it_is(value in super::super::shape::tests::any_json()) {
            let text = value.to_string();
            prop_assert!(matches!(tidy(text.as_bytes()), Ok(Cow::Borrowed(same)) if same == text));
        }

        #[test]
        fn any_bytes_at_all_end_in_an_answer(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = tidy(&body);
        }
    }
}
