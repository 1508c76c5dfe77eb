//! A dead letter of `mews.credentials` is merged into what its topic holds, as the relay does it.
//!
//! The topic keeps the last record of an integration only, so the letter itself, put there, could be an
//! older access token in a newer one's place. Guarantee: when the merging is done, the last record of the
//! integration held all that was written before, and what the letter says.

use std::ops::ControlFlow;

use crate::{
    app::replay::{Fate, Post},
    credentials::record::Known,
    kafka::{Config, Record, browse},
};

/// Rounds of reading and writing; another one is needed only when somebody else wrote in between.
const ROUNDS_MAX: usize = 10;

/// Merges the record into its topic.
pub fn merge(kafka: &Config, record: &Record, post: &mut Post) -> Fate {
    let Some(letter) = record.value.as_deref().and_then(|value| Known::parse(value).ok()) else {
        return Fate::Refused("it is no record of credentials that this build can read".to_owned());
    };
    let mut done = Fate::Replayed("nothing to do: the topic holds all that it says".to_owned());
    for _ in 0..ROUNDS_MAX {
        let held = match held(kafka, record) {
            Ok(held) => held,
            Err(error) => return Fate::Refused(crate::causes::with_causes(&error)),
        };
        let Some(value) = owed(&held, &letter) else { return done };
        done = post.send(&Record { value: Some(value.into()), ..record.clone() });
        if !matches!(done, Fate::Replayed(_)) {
            return done;
        }
    }
    Fate::Refused("somebody else goes on writing the topic: try again".to_owned())
}

/// What the topic holds of the record's integration, oldest first.
fn held(kafka: &Config, record: &Record) -> Result<Vec<Known>, browse::Error> {
    let mut held = Vec::new();
    let _to_its_end = browse::browse(kafka, &record.topic, |seen| {
        if seen.key() == record.key
            && let Some(known) = seen.value().and_then(|value| Known::parse(value).ok())
        {
            held.push(known);
        }
        ControlFlow::<()>::Continue(())
    })?;
    Ok(held)
}

/// The value to write, unless the last record says all of it.
fn owed(held: &[Known], letter: &Known) -> Option<String> {
    let merged = held.iter().fold(letter.clone(), |merged, each| merged.merge(each.clone()));
    (held.last() != Some(&merged)).then(|| merged.to_json())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(state: &str, at: &str, token: Option<(&str, &str)>) -> Known {
        let delivery = uuid::Uuid::nil();
        let token = token.map_or_else(String::new, |(token, at)| {
            format!(r#","AccessToken":{{"Sealed":"{token}"}},"AccessTokenUtc":"{at}","AccessTokenDelivery":"{delivery}""#)
        });
        let text = format!(
            r#"{{"IntegrationId":"i","State":"{state}","IsEnabled":true,"StateUtc":"{at}","StateDelivery":"{delivery}"{token}}}"#
        );
        Known::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_older_token_never_takes_a_newer_ones_place() {
        let (old, new) = ("2026-01-01T00:00:00.000Z", "2026-02-01T00:00:00.000Z");
        let letter = known("created", old, Some(("old", old)));
        let there = known("enabled", new, Some(("new", new)));
        assert_eq!(owed(std::slice::from_ref(&there), &letter), None);
        let disabled = known("disabled", new, None);
        let merged = Known::parse(owed(&[disabled], &letter).unwrap().as_bytes()).unwrap();
        assert_eq!(merged, known("disabled", new, Some(("old", old))).merge(known("disabled", new, None)));
        assert_eq!(owed(&[], &letter), Some(letter.to_json()));
        let last_lacks = owed(&[there.clone(), letter.clone()], &letter);
        assert_eq!(last_lacks, Some(there.to_json()), "what counts is the last record");
    }
}
