//! Which route a path means, and where in the URL tokens were sent.
//!
//! The paths are `/webhooks/general`, `/webhooks/integration` and `/webhooks` for both kinds, each with
//! a token as one more segment if the sender likes; one slash at the end is forgiven, since a URL is
//! registered with Mews by hand and once. The two words are routes as they are spelled here and no
//! tokens; every other word behind `/webhooks/` is one.
//!
//! A token may also be the query parameter `token`, its name in any case. Of several sent tokens, any
//! right one counts. In a query, `+` stands for a space to some clients and for itself to others, and
//! whoever pastes a base64 token into a URL means the plus: both readings are tried.

use std::borrow::Cow;

use crate::telemetry::metrics::{Handler, Webhook};

/// Tokens of one request that are looked at; no honest sender needs more than two.
const SENT_MAX: usize = 8;

/// A path that takes webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/webhooks/general`
    General,
    /// `/webhooks/integration`
    Integration,
    /// `/webhooks`
    Any,
}

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// The route.
    pub route: Route,
    /// The token segment as it stands in the path, percent-encoded.
    pub segment: Option<&'a str>,
}

impl Route {
    /// The label of requests.
    pub(super) const fn handler(self) -> Handler {
        match self {
            Self::General => Handler::WebhookGeneral,
            Self::Integration => Handler::WebhookIntegration,
            Self::Any => Handler::Webhook,
        }
    }

    /// What a delivery on this route was meant to be, when its body does not say.
    pub(super) const fn meant(self) -> Webhook {
        match self {
            Self::General => Webhook::General,
            Self::Integration => Webhook::Integration,
            Self::Any => Webhook::Unknown,
        }
    }
}

/// Reads a path; `None` is a 404.
pub(super) fn find(path: &str) -> Option<Target<'_>> {
    let path = path.strip_prefix("/webhooks")?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Some(Target { route: Route::Any, segment: None });
    }
    let path = path.strip_prefix('/')?;
    let (first, second) = match path.split_once('/') {
        Some((first, second)) => (first, Some(second)),
        None => (path, None),
    };
    let target = match first {
        "general" => Target { route: Route::General, segment: second },
        "integration" => Target { route: Route::Integration, segment: second },
        _ if second.is_some() => return None,
        token => Target { route: Route::Any, segment: Some(token) },
    };
    target.segment.is_none_or(|token| !token.is_empty() && !token.contains('/')).then_some(target)
}

/// Every reading of every token that was sent, the path's first.
pub(super) fn sent_tokens<'a>(
    target: Target<'a>,
    query: Option<&'a str>,
) -> impl Iterator<Item = Cow<'a, [u8]>> {
    let segment = target.segment.map(|token| decoded(token, Plus::Itself));
    let parameters = query.unwrap_or_default().split('&').filter_map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        decoded(name, Plus::Space).eq_ignore_ascii_case(b"token").then_some(value)
    });
    let readings = parameters.flat_map(|value| {
        let as_space = value.contains('+').then(|| decoded(value, Plus::Space));
        [Some(decoded(value, Plus::Itself)), as_space].into_iter().flatten()
    });
    segment.into_iter().chain(readings).take(SENT_MAX)
}

/// What a `+` stands for.
#[derive(Clone, Copy)]
enum Plus {
    Itself,
    Space,
}

/// Percent-decoding; a `%` without two digits stays as it is.
fn decoded(text: &str, plus: Plus) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    let rewrites = |byte: &u8| *byte == b'%' || (*byte == b'+' && matches!(plus, Plus::Space));
    if !bytes.iter().any(rewrites) {
        return Cow::Borrowed(bytes);
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let encoded = (byte == b'%').then(|| hex(bytes.get(at + 1..at + 3)?)).flatten();
        match (encoded, plus) {
            (Some(byte), _) => {
                decoded.push(byte);
                at += 2;
            }
            (None, Plus::Space) if byte == b'+' => decoded.push(b' '),
            (None, _) => decoded.push(byte),
        }
        at += 1;
    }
    Cow::Owned(decoded)
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn target(path: &str) -> Option<(Route, Option<&str>)> {
        find(path).map(|target| (target.route, target.segment))
    }

    #[test]
    fn paths_are_routes_with_at_most_one_segment_more() {
        assert_eq!(target("/webhooks"), Some((Route::Any, None)));
        assert_eq!(target("/webhooks/"), Some((Route::Any, None)));
        assert_eq!(target("/webhooks/general"), Some((Route::General, None)));
        assert_eq!(target("/webhooks/general/"), Some((Route::General, None)));
        assert_eq!(target("/webhooks/integration/t"), Some((Route::Integration, Some("t"))));
        assert_eq!(target("/webhooks/general/general"), Some((Route::General, Some("general"))));
        assert_eq!(target("/webhooks/t/"), Some((Route::Any, Some("t"))));
        assert_eq!(target("/webhooks/General"), Some((Route::Any, Some("General"))));
    }

    #[test]
    fn every_other_path_is_none() {
        for path in [
            "",
            "/",
            "*",
            "/webhook",
            "/webhooksgeneral",
            "/webhooks//",
            "/webhooks//t",
            "/webhooks/t/u",
            "/webhooks/general//",
            "/webhooks/general/t/u",
            "/webhooks/general/t//",
            "/Webhooks/general",
            "/x/webhooks",
        ] {
            assert_eq!(target(path), None, "{path}");
        }
    }

    fn sent(path: &str, query: Option<&str>) -> Vec<String> {
        let tokens = sent_tokens(find(path).unwrap(), query);
        tokens.map(|token| String::from_utf8_lossy(&token).into_owned()).collect()
    }

    #[test]
    fn tokens_are_found_in_every_place_and_case() {
        assert_eq!(sent("/webhooks/general", None), [""; 0]);
        assert_eq!(sent("/webhooks/general", Some("a=b&TOKEN=x&token=&Token=%79")), ["x", "", "y"]);
        assert_eq!(sent("/webhooks/a%2Fb+c", Some("%74oken=q")), ["a/b+c", "q"]);
        assert_eq!(sent("/webhooks", Some("token=a+b%2B")), ["a+b+", "a b+"]);
        assert_eq!(sent("/webhooks", Some("token=100%&token=%zz&token")), ["100%", "%zz", ""]);
        assert_eq!(sent("/webhooks", Some("tokens=x&xtoken=y&token%20=z")), [""; 0]);
    }

    #[test]
    fn no_more_than_a_few_tokens_are_looked_at() {
        assert_eq!(sent("/webhooks", Some(&"token=x&".repeat(1000))).len(), SENT_MAX);
    }

    proptest! {
        #[test]
        fn an_encoded_token_is_read_as_it_was(token in prop::collection::vec(any::<u8>(), 1..40)) {
            let encoded: String = token.iter().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(&*decoded(&encoded, Plus::Space), &token[..]);
        }

        #[test]
        fn any_path_and_query_end_in_an_answer(path in "(/webhooks)?[/a-z%+]{0,20}", query in ".{0,40}") {
            if let Some(target) = find(&path) {
                prop_assert!(sent_tokens(target, Some(&query)).count() <= SENT_MAX);
            }
        }
    }
}
