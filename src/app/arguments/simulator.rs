//! The arguments of `mews-bridge simulator`: what there is at the start, and its knobs.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Args;

use crate::simulator::{RetryAfter, Wait};

/// `mews-bridge simulator`
#[derive(Args, Debug)]
pub struct Simulator {
    /// Where it listens. Port 0 takes a free one; the first line printed says which.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Hotels.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub hotels: u32,
    /// So many of them, the last ones, are one chain under one Portfolio Access Token.
    #[arg(long, default_value_t = 0)]
    pub portfolio_hotels: u32,
    /// So many of them, the first ones, have a second integration.
    #[arg(long, default_value_t = 0)]
    pub second_integrations: u32,
    /// Reservations of a hotel at the start; customers, rooms, payments and the rest are in proportion.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub reservations: u32,
    /// One seed: the same hotels, tokens and history.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where webhooks go, the token in it. Without it no webhooks are sent.
    #[arg(long, value_name = "URL")]
    pub webhooks: Option<String>,
    /// Begin with IntegrationCreated of every integration, which carries its access token.
    #[arg(long, requires = "webhooks")]
    pub announce: bool,
    /// Changes a second and hotel. 0: only those made over /simulator/changes.
    #[arg(long, default_value_t = 0.1, value_name = "CHANGES")]
    pub pace: f64,
    /// How late webhooks are: from this to half as much again. Mews takes 2 to 5 minutes.
    #[arg(long, default_value = "2m", value_parser = humantime::parse_duration)]
    pub delay: Duration,
    /// How long after a failed attempt a webhook is sent again; three attempts, as Mews has.
    #[arg(long, default_value = "2m", value_parser = humantime::parse_duration)]
    pub retry_pause: Duration,
    /// Events of one message; more roll over to the next one.
    #[arg(long, default_value_t = 300)]
    pub events_per_message: usize,
    /// Share of messages in the old form, with Entities and a comma too many, such as 0.1.
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub old_form: f64,
    /// End by itself after this long, such as 20s.
    #[arg(long, value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// How long an answer takes, such as 50ms or reservations=2s; may be given several times.
    #[arg(long, value_name = "[OPERATION=]DURATION", value_parser = per_wait)]
    pub latency: Vec<(String, Wait)>,
    /// Share of requests answered 500, 502 or 503, such as 0.1 or reservations=0.3.
    #[arg(long, value_name = "[OPERATION=]SHARE", value_parser = per_share)]
    pub errors: Vec<(String, f64)>,
    /// Share of requests answered 408.
    #[arg(long, value_name = "[OPERATION=]SHARE", value_parser = per_share)]
    pub timeouts: Vec<(String, f64)>,
    /// Share of requests never answered.
    #[arg(long, value_name = "[OPERATION=]SHARE", value_parser = per_share)]
    pub hangs: Vec<(String, f64)>,
    /// Share of requests answered 429 below the limit: a storm.
    #[arg(long, value_name = "[OPERATION=]SHARE", value_parser = per_share)]
    pub throttles: Vec<(String, f64)>,
    /// Whether a 429 says Retry-After: always, sometimes or never.
    #[arg(long, default_value = "always", value_parser = retry_after)]
    pub retry_after: RetryAfter,
    /// Requests of an access token in a window.
    #[arg(long, default_value_t = 200)]
    pub rate_limit: usize,
    /// The window's length; it slides.
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    pub rate_window: Duration,
    /// How long a change cannot be read yet.
    #[arg(long, default_value = "0s", value_parser = humantime::parse_duration)]
    pub read_lag: Duration,
    /// Any other knobs, as POST /simulator/knobs takes them: '{"heavy_ids":500}'.
    #[arg(long, value_name = "JSON")]
    pub knobs: Option<String>,
    /// Write the integrations to this file, in the form of credentials.file.
    #[arg(long, value_name = "FILE")]
    pub credentials_out: Option<PathBuf>,
    /// Write the client token to this file, for connector.client_token_file.
    #[arg(long, value_name = "FILE")]
    pub client_token_out: Option<PathBuf>,
}

/// `VALUE` for all operations, or `OPERATION=VALUE` for one.
fn per<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<(String, T), String> {
    let (operation, value) = text.split_once('=').unwrap_or(("*", text));
    Ok((operation.to_owned(), read(value)?))
}

fn per_wait(text: &str) -> Result<(String, Wait), String> {
    per(text, |value| humantime::parse_duration(value).map(Wait).map_err(|error| error.to_string()))
}

fn per_share(text: &str) -> Result<(String, f64), String> {
    per(text, |value| match value.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("{value:?} is no share from 0 to 1")),
    })
}

fn retry_after(text: &str) -> Result<RetryAfter, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::app::{Arguments, Command};

    #[test]
    fn values_are_for_one_operation_or_for_all() {
        let line =
            "mews-bridge simulator --errors reservations=0.3 --errors 0.1 --latency 50ms --retry-after never";
        let Command::Simulator(options) = Arguments::try_parse_from(line.split(' ')).unwrap().command else {
            panic!("another command");
        };
        assert_eq!(options.errors, [("reservations".to_owned(), 0.3), ("*".to_owned(), 0.1)]);
        assert_eq!(options.latency, [("*".to_owned(), Wait(Duration::from_millis(50)))]);
        assert_eq!(options.retry_after, RetryAfter::Never);
        for wrong in ["--errors 2", "--latency soon", "--retry-after maybe", "--announce"] {
            let line = format!("mews-bridge simulator {wrong}");
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{wrong}");
        }
    }
}
