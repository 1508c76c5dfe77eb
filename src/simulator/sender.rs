//! Sends webhooks as Mews does: a deadline for the answer, three attempts, then never again (contract 1.5).

use std::time::Duration;

use reqwest::{StatusCode, redirect};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// Mews waits this long for an answer.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// Mews abandons a message after so many failed attempts.
pub const ATTEMPTS_MAX: u32 = 3;
/// Attempts under way at once; how many Mews has is not documented.
const ATTEMPTS_AT_ONCE: usize = 32;
/// Redirects followed for one attempt.
const REDIRECTS_MAX: usize = 5;

/// Posts webhooks.
#[derive(Debug)]
pub struct Sender {
    client: reqwest::Client,
    places: Semaphore,
    /// Above nothing: somebody waits, so that no pause is made.
    hurry: watch::Sender<u32>,
}

/// How a message ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Answered 2xx, at the given attempt; the first one is 1.
    Taken { attempt: u32 },
    /// All attempts failed, or there was no time left for another one.
    Abandoned { attempts: u32 },
}

impl Sender {
    /// A sender without a proxy.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new() -> Result<Self, reqwest::Error> {
        // Only these two keep the method, and only they are followed (contract 1.1).
        let follow = redirect::Policy::custom(|attempt| {
            let keeps = [StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT];
            let follows = keeps.contains(&attempt.status()) && attempt.previous().len() <= REDIRECTS_MAX;
            if follows { attempt.follow() } else { attempt.stop() }
        });
        let client = reqwest::Client::builder().timeout(DEADLINE).no_proxy().redirect(follow).build()?;
        Ok(Self { client, places: Semaphore::new(ATTEMPTS_AT_ONCE), hurry: watch::Sender::new(0) })
    }

    /// Sends one message, `pause` between its attempts. Cancelling ends a pause, never an attempt.
    pub async fn send(&self, url: &str, body: String, pause: Duration, stop: &CancellationToken) -> Sent {
        for attempt in 1..=ATTEMPTS_MAX {
            if self.attempt(url, body.clone()).await {
                return Sent::Taken { attempt };
            }
            if attempt == ATTEMPTS_MAX {
                break;
            }
            let mut hurry = self.hurry.subscribe();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // The sender, which holds the other half, is borrowed here.
                _ = hurry.wait_for(|waiting| *waiting > 0) => {}
                () = stop.cancelled() => return Sent::Abandoned { attempts: attempt },
            }
        }
        Sent::Abandoned { attempts: ATTEMPTS_MAX }
    }

    /// Any code of success will do; the body goes without a content type (contract 1.1).
    async fn attempt(&self, url: &str, body: String) -> bool {
        let _place = self.places.acquire().await.expect("the semaphore is never closed");
        let answer = self.client.post(url).body(body).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// As long as the returned value lives, no pause is made between attempts.
    pub fn hurry(&self) -> Hurry<'_> {
        self.hurry.send_modify(|waiting| *waiting += 1);
        Hurry(self)
    }
}

/// Somebody who waits.
pub struct Hurry<'a>(&'a Sender);

impl Drop for Hurry<'_> {
    fn drop(&mut self) {
        self.0.hurry.send_modify(|waiting| *waiting -= 1);
    }
}
