//! A record of the quarantine as the delivery that it is now, if this build understands it.
//!
//! Guarantees: the delivery has the id, time and trace of the one that the record is from, and its events
//! the indices that they had; secrets leave as they came in, sealed wherever the ingress would seal them.
//! Pure.

use bytes::Bytes;
use uuid::Uuid;

use crate::{
    credentials::{
        seal::{KeyRing, Sealer},
        unseal::unseal,
    },
    ingress,
    webhook::{Content, Delivery, Discriminators, Webhook, shape},
};

/// What a record of the quarantine says.
#[derive(Clone, Copy, Debug)]
pub struct Quarantined<'a> {
    /// Delivery id and index.
    pub ce_id: &'a str,
    /// When the delivery was accepted.
    pub ce_time: &'a str,
    /// Its trace.
    pub traceparent: &'a str,
    /// The body, its secrets sealed.
    pub value: &'a [u8],
}

/// What bodies are judged with.
#[derive(Debug)]
pub struct Judge {
    /// Open what is sealed.
    pub keys: KeyRing,
    /// Conceals again what must be.
    pub sealer: Sealer,
    /// Which discriminators are known.
    pub discriminators: Discriminators,
}

impl Judge {
    /// The delivery that a record is now.
    ///
    /// # Errors
    /// Why it is none, for a person: never content.
    pub fn understand(&self, record: Quarantined<'_>) -> Result<Delivery, String> {
        let (id, index) = parts(record.ce_id).ok_or("its ce_id is not that of a delivery's record")?;
        let accepted_at = humantime::parse_rfc3339(record.ce_time)
            .map_err(|_| "its ce_time is no time that this bridge has written")?;
        if record.value.is_empty() {
            return Err("its body was discarded when it came (credentials.discard_secrets)".to_owned());
        }
        let opened = unseal(record.value, &self.keys)
            .map_err(|error| format!("cannot be opened: {error} (credentials.sealing_key_files)"))?;
        let body = Bytes::copy_from_slice(&opened);
        let (content, body) = match ingress::understand(&body, &self.sealer, &self.discriminators) {
            (Content::Quarantined { reason, detail }, _) => {
                return Err(format!("still not understood: {reason}: {detail}"));
            }
            // Sealed as it should be, and what was discarded stays a mark.
            (Content::Integration, _) if is_integration(record.value) => {
                (Content::Integration, Bytes::copy_from_slice(record.value))
            }
            understood => understood,
        };
        let traceparent = record.traceparent.to_owned();
        Ok(Delivery { id, accepted_at, content, traceparent, first_index: index, body })
    }
}

/// The delivery and the index in a `ce_id`.
fn parts(ce_id: &str) -> Option<(Uuid, u32)> {
    let (id, index) = ce_id.rsplit_once('-')?;
    Some((Uuid::try_parse(id).ok()?, index.parse().ok()?))
}

/// Whether a value is an Integration webhook as it stands, not sealed as a whole.
fn is_integration(value: &[u8]) -> bool {
    let webhook = std::str::from_utf8(value).ok().and_then(|text| shape::read(text).ok());
    matches!(webhook, Some(Webhook::Integration(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0199d1a4-5f60-7cc0-8000-1b6b1b6b1b6b";

    fn judge() -> Judge {
        let keys = KeyRing::of(&[[7; 32]]);
        let sealer = Sealer::Seal(keys.clone());
        Judge { keys, sealer, discriminators: Discriminators::new(vec!["CustomerAdded".to_owned()]) }
    }

    fn understand(index: u32, value: &str) -> Result<Delivery, String> {
        let ce_id = format!("{ID}-{index}");
        let (ce_time, traceparent) = ("2026-11-01T10:00:00.250Z", "t");
        judge().understand(Quarantined { ce_id: &ce_id, ce_time, traceparent, value: value.as_bytes() })
    }

    fn general(event: &str) -> String {
        format!(r#"{{"EnterpriseId":"e","IntegrationId":"i","Events":[{event}]}}"#)
    }

    #[test]
    fn what_is_understood_is_the_delivery_that_it_was() {
        let sealed = judge().sealer.conceal(b"\"plain\"");
        let body = general(&format!(r#"{{"Discriminator":"New","Value":{{"token":{sealed}}}}}"#));
        let delivery = understand(3, &body).unwrap();
        assert_eq!((delivery.id.to_string(), delivery.first_index), (ID.to_owned(), 3));
        assert_eq!((delivery.content, &*delivery.traceparent), (Content::General, "t"));
        let opened = general(r#"{"Discriminator":"New","Value":{"token":"plain"}}"#);
        assert_eq!(delivery.body, opened.as_bytes(), "Value is what Mews sent");
        assert_eq!(
            humantime::format_rfc3339_millis(delivery.accepted_at).to_string(),
            "2026-11-01T10:00:00.250Z"
        );
    }

    #[test]
    fn a_body_that_was_sealed_whole_is_opened_and_its_secrets_are_sealed() {
        let plain =
            r#"{"Action":"IntegrationCreated","Data":{"Integration":{"Id":"i"},"AccessToken":"canary"}}"#;
        let delivery = understand(0, &judge().sealer.conceal(plain.as_bytes())).unwrap();
        assert_eq!(delivery.content, Content::Integration);
        let kept = std::str::from_utf8(&delivery.body).unwrap();
        assert!(kept.contains(r#""AccessToken":{"Sealed":""#) && !kept.contains("canary"), "{kept}");
    }

    #[test]
    fn an_integration_webhook_stays_as_it_was_sealed_and_marks_stay_marks() {
        let body = r#"{"Action":"X","Data":{"Integration":{"Id":"i"},"AccessToken":{"Discarded":true}}}"#;
        assert_eq!(understand(0, body).unwrap().body, body.as_bytes());
    }

    #[test]
    fn what_is_not_understood_says_why() {
        let said = |value: &str| understand(0, value).unwrap_err();
        assert!(said(r#"{"Hello":1}"#).contains("unknown_shape"));
        assert!(said("").contains("discarded"));
        let other = Sealer::Seal(KeyRing::of(&[[8; 32]])).conceal(b"x");
        assert!(said(&other).contains("sealing_key_files"));
        let record = Quarantined { ce_id: "x", ce_time: "", traceparent: "", value: b"{}" };
        assert!(judge().understand(record).unwrap_err().contains("ce_id"));
        assert!(judge().understand(Quarantined { ce_id: "x-0", ..record }).is_err());
    }
}
