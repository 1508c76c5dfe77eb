//! Sends webhooks as Mews does: a deadline for the answer, three attempts, then never again.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Mews waits this long for an answer (reference: "Delivery semantics").
pub const DEADLINE: Duration = Duration::from_secs(5);
/// Mews abandons a message after so many failed attempts.
pub const ATTEMPTS_MAX: u32 = 3;

/// Posts to one webhook URL.
#[derive(Clone, Debug)]
pub struct Sender {
    client: reqwest::Client,
    url: String,
    pause: Duration,
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Answered 2xx, at the given attempt.
    Taken {
        /// The first attempt is 1.
        attempt: u32,
    },
    /// All attempts failed, or there was no time left for another one.
    Abandoned,
}

impl Sender {
    /// A sender that waits `pause` between attempts, where Mews waits minutes.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(url: impl Into<String>, pause: Duration) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().timeout(DEADLINE).no_proxy().build()?;
        Ok(Self { client, url: url.into(), pause })
    }

    /// Sends one message. Cancelling ends the pause between attempts, never an attempt.
    pub async fn send(&self, body: String, stop: &CancellationToken) -> Sent {
        for attempt in 1..=ATTEMPTS_MAX {
            let answer = self.client.post(&self.url).body(body.clone()).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Sent::Taken { attempt };
            }
            tokio::select! {
                () = tokio::time::sleep(self.pause) => {}
                () = stop.cancelled() => return Sent::Abandoned,
            }
        }
        Sent::Abandoned
    }
}
