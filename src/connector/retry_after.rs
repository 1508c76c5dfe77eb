//! `Retry-After`: seconds, or the date of an end (RFC 9110, 10.2.3).

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// Longest wait that is taken from a server: a slip of its pen must not lock a hotel out for days.
pub const MAX: Duration = Duration::from_secs(3600);

/// What the header asks for. A date is counted from the server's own `Date`, if it sent one, so that
/// the clocks need not agree.
pub fn read(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        // Some servers write a fraction.
        Err(_) => match text.parse::<f64>() {
            Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
            Err(_) => {
                let end = httpdate::parse_http_date(text).ok()?;
                let sent =
                    headers.get(DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
                end.duration_since(sent.unwrap_or(now)).unwrap_or_default()
            }
        },
    };
    Some(wait.min(MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn wait(retry_after: &'static str, date: Option<&'static str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(retry_after));
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_static(date));
        }
        let now = httpdate::parse_http_date("Sun, 01 Mar 2026 10:00:00 GMT").unwrap();
        read(&headers, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_and_dates_are_read_and_nonsense_is_not() {
        assert_eq!(wait("7", None), Some(7));
        assert_eq!(wait(" 0 ", None), Some(0));
        assert_eq!(wait("1.5", None), Some(1));
        assert_eq!(wait("Sun, 01 Mar 2026 10:00:12 GMT", None), Some(12));
        assert_eq!(wait("Sun, 01 Mar 2026 09:00:00 GMT", None), Some(0));
        let skewed = Some("Sun, 01 Mar 2026 11:00:00 GMT");
        assert_eq!(wait("Sun, 01 Mar 2026 11:00:30 GMT", skewed), Some(30));
        assert_eq!(wait("999999999999", None), Some(MAX.as_secs()));
        for nonsense in ["", "soon", "-1", "NaN", "inf"] {
            assert_eq!(wait(nonsense, None), None, "{nonsense:?}");
        }
    }
}
