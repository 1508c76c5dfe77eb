//! A consumer that has its OAuth tokens from where all clients have them, and logs where they log.
//!
//! ```text
//! connect ─► first token ─► ask brokers, assign, poll ─► pause ── long nothing ─► attend ─► ask ...
//! ```
//!
//! librdkafka asks for a token when the application polls, and connects to no broker without one.
//! Guarantees: a consumer that [`connect`] gives has been given its first token, or refused it.
//! Whoever reads a topic without a group uses it (the relay reads `mews.credentials`); what it
//! reads, and from where on, is its owner's to say. Blocking: the caller gives it a thread.

use std::{
    ops::Deref,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext,
    client::OAuthToken,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode as Code},
};

use super::{
    Config, Error, callbacks,
    oauth::{self, Tokens},
    refusal,
};
use crate::telemetry::metrics::ProduceError;

/// How long an empty queue of events is listened to. With no time at all rdkafka handles one event
/// and does not say whether there are more.
const LISTEN: Duration = Duration::from_millis(5);
/// How long the first token is waited for: a little more than its request may take.
const FIRST_TOKEN_WITHIN: Duration = Duration::from_secs(6);

/// A consumer of one owner.
pub struct Consumer(BaseConsumer<Context>);

/// What librdkafka asks and tells.
pub struct Context {
    tokens: Option<Tokens>,
    told: Mutex<Told>,
}

/// What has gone through the callbacks.
#[derive(Default)]
struct Told {
    /// A token was asked for, and there was an answer.
    answered: bool,
    complaint: String,
}

/// Makes a consumer, with `settings` over those of the configuration, whose files are read anew.
///
/// # Errors
/// When the settings are wrong, a file of theirs cannot be read, or librdkafka refuses them. Not
/// when Kafka or the token endpoint is away.
pub fn connect(config: &Config, settings: &[(&str, &str)]) -> Result<Consumer, Error> {
    let mut client = config.consumer()?;
    client.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let context = Context { tokens: config.tokens(None)?, told: Mutex::default() };
    let consumer = Consumer(client.create_with_context(context).map_err(Error::client)?);
    consumer.attend();
    Ok(consumer)
}

impl Consumer {
    /// Sees to what librdkafka has asked for and told since the last poll, before brokers are asked
    /// something. Only while no partition is being fetched: a record would be thrown away.
    pub fn attend(&self) {
        let deadline = Instant::now() + FIRST_TOKEN_WITHIN;
        loop {
            // The poll that gets a token leaves what came of it to the next.
            let owed = self.0.context().owes_token();
            // Errors were told to the context.
            let heard = self.0.poll(LISTEN).is_some();
            if Instant::now() > deadline || !(heard || owed) {
                return;
            }
        }
    }
}

impl Deref for Consumer {
    type Target = BaseConsumer<Context>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Context {
    fn owes_token(&self) -> bool {
        self.tokens.is_some() && !self.with_told(|told| told.answered)
    }

    fn with_told<T>(&self, act: impl FnOnce(&mut Told) -> T) -> T {
        act(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        callbacks::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        let is_new =
            self.with_told(|told| std::mem::replace(&mut told.complaint, reason.to_owned()) != reason);
        // The owner is told of nothing but a time-out, and the producer proves itself elsewhere.
        if refusal::label(code) == ProduceError::Auth && is_new {
            tracing::warn!(reason, "a Kafka consumer is not let in");
        } else {
            tracing::debug!(%error, reason, "Kafka consumer");
        }
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let answer = oauth::answer(self.tokens.as_ref());
        self.with_told(|told| told.answered = true);
        answer
    }
}

impl ConsumerContext for Context {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::oauth::tests::{Asked, config as credentials, endpoint};

    /// Settings for a broker that is away, and a token endpoint that is there.
    async fn bearer(status: u16, answer: &'static str) -> (Config, Asked) {
        let (url, asked) = endpoint(status, answer).await;
        let mut config = Config {
            bootstrap_servers: "127.0.0.1:1".to_owned(),
            oauth: Some(credentials(&url)),
            ..Config::default()
        };
        config.properties.set("security.protocol", "SASL_PLAINTEXT");
        config.properties.set("sasl.mechanism", "OAUTHBEARER");
        (config, asked)
    }

    async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        tokio::task::spawn_blocking(work).await.unwrap()
    }

    #[tokio::test]
    async fn a_consumer_has_its_token_before_anything_is_asked_of_a_broker() {
        let (config, asked) = bearer(200, r#"{"access_token":"opaque","expires_in":600}"#).await;
        let consumer = blocking(move || connect(&config, &[("group.id", "test")]).unwrap()).await;
        assert_eq!(asked.lock().unwrap().len(), 1);
        assert!(!consumer.context().owes_token());
    }

    #[tokio::test]
    async fn a_token_that_ended_while_nothing_was_read_is_replaced() {
        let (config, asked) = bearer(200, r#"{"access_token":"opaque","expires_in":1}"#).await;
        blocking(move || {
            let consumer = connect(&config, &[("group.id", "test")]).unwrap();
            let deadline = Instant::now() + Duration::from_secs(10);
            while asked.lock().unwrap().len() < 2 {
                assert!(Instant::now() < deadline, "no second token was asked for");
                consumer.attend();
            }
        })
        .await;
    }

    #[tokio::test]
    async fn a_refused_token_is_no_reason_not_to_have_a_consumer() {
        let (config, asked) = bearer(401, r#"{"error":"invalid_client"}"#).await;
        let consumer = blocking(move || connect(&config, &[("group.id", "test")]).unwrap()).await;
        assert_eq!(asked.lock().unwrap().len(), 1);
        let complaint = consumer.context().with_told(|told| told.complaint.clone());
        assert!(complaint.contains("token endpoint answered 401 invalid_client"), "{complaint}");
    }

    #[test]
    fn the_settings_of_the_owner_count() {
        let refused = connect(&Config::default(), &[("linger", "canary")]).err().unwrap().to_string();
        assert!(refused.contains("property linger is refused") && !refused.contains("canary"), "{refused}");
    }
}
