//! The trace that a delivery belongs to (W3C Trace Context, `traceparent`).

use hyper::HeaderMap;
use uuid::Uuid;

/// The header's name, in requests and in records.
const TRACEPARENT: &str = "traceparent";

/// Length of version 00, and of what later versions begin with.
const LENGTH: usize = 55;

/// Longest value of a later version that is taken over.
const LENGTH_MAX: usize = 256;

/// The request's own `traceparent` if it has one that is valid, otherwise the beginning of a new trace.
pub(super) fn parent(headers: &HeaderMap) -> String {
    let mut values = headers.get_all(TRACEPARENT).iter();
    match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
        (Some(value), None) if is_valid(value) => value.to_owned(),
        _ => begin(),
    }
}

/// `version-trace id-parent id-flags`; a version after 00 may go on behind another hyphen, 255 is none.
fn is_valid(value: &str) -> bool {
    let bytes = value.as_bytes();
    let digits =
        |from: usize, to: usize| bytes[from..to].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let some = |from: usize, to: usize| digits(from, to) && bytes[from..to].iter().any(|byte| *byte != b'0');
    if bytes.len() < LENGTH || bytes.len() > LENGTH_MAX {
        return false;
    }
    let ends = match &bytes[..2] {
        b"00" => bytes.len() == LENGTH,
        b"ff" => false,
        _ => bytes.get(LENGTH).is_none_or(|byte| *byte == b'-'),
    };
    let hyphens = [2, 35, 52].into_iter().all(|at| bytes[at] == b'-');
    ends && hyphens && digits(0, 2) && some(3, 35) && some(36, 52) && digits(53, 55)
}

/// Version 00, random ids, sampled. The ids name a trace and protect nothing, so no system call is
/// made for them.
fn begin() -> String {
    let hex = |buffer, number| &*Uuid::from_u128(number).simple().encode_lower(buffer);
    let (mut trace, mut parent) = (Uuid::encode_buffer(), Uuid::encode_buffer());
    let trace = hex(&mut trace, fastrand::u128(1..));
    let parent = &hex(&mut parent, fastrand::u64(1..).into())[16..];
    let mut begun = String::with_capacity(LENGTH);
    ["00-", trace, "-", parent, "-01"].into_iter().for_each(|part| begun.push_str(part));
    begun
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (TRACEPARENT.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_valid_one_is_kept_as_it_is() {
        assert_eq!(parent(&headers(&[VALID])), VALID);
        let later = VALID.replacen("00", "cc", 1) + "-what-comes-later";
        assert_eq!(parent(&headers(&[&later])), later);
    }

    #[test]
    fn anything_else_begins_a_trace_of_its_own() {
        let zero = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let upper = VALID.to_uppercase();
        let longer = format!("{VALID}-x");
        let last = VALID.replacen("00", "ff", 1);
        for invalid in [&[][..], &[""], &[&zero], &[&upper], &[&longer], &[&last], &[VALID, VALID], &["é"]] {
            let begun = parent(&headers(invalid));
            assert!(is_valid(&begun) && begun.ends_with("-01") && begun != VALID, "{invalid:?}");
        }
        assert_ne!(begin(), begin());
    }
}
