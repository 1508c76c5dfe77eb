//! Whether a client reaches Kafka: one log line per change, however often librdkafka says it.
//!
//! Guarantees: while nothing changes nothing is said, and what went wrong is said again after it
//! had been well. It holds no connection; the producer's callbacks feed it.

use rdkafka::error::RDKafkaErrorCode as Code;
use serde::Deserialize;

use super::refusal;
use crate::telemetry::metrics::ProduceError;

/// What is known of the connections of one client.
#[derive(Debug, Default)]
pub(super) struct Link {
    state: State,
    /// The kinds of trouble that were told since it was last well.
    told: Vec<ProduceError>,
    /// What librdkafka last complained of.
    reason: String,
    echo: Option<(Code, String)>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Starting,
    Up,
    Down,
}

/// What is worth a log line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Connected to that many brokers, after none.
    Up(usize),
    /// Connected to none any more, and the last complaint.
    Down(String),
    /// Another kind of trouble than the last.
    Trouble(String),
}

impl Link {
    /// Whether this error was just heard: the crate calls back twice for each (rdkafka 0.39,
    /// `poll_event` and `BaseProducer::poll` both hand it on).
    pub(super) fn is_echo(&mut self, code: Code, reason: &str) -> bool {
        match self.echo.take() {
            Some((was, because)) if was == code && because == reason => true,
            _ => {
                self.echo = Some((code, reason.to_owned()));
                false
            }
        }
    }

    /// Notes an error of the client.
    pub(super) fn error(&mut self, code: Code, reason: &str) -> Option<Change> {
        let kind = refusal::label(code);
        let matters = self.state != State::Up || kind == ProduceError::Auth;
        // It only sums up what was said of each broker before.
        let sums_up = code == Code::AllBrokersDown && !self.reason.is_empty();
        if !sums_up {
            reason.clone_into(&mut self.reason);
        }
        if !matters || sums_up || self.told.contains(&kind) {
            return None;
        }
        self.told.push(kind);
        Some(Change::Trouble(self.reason.clone()))
    }

    /// Notes how many brokers the statistics say are connected.
    pub(super) fn connected(&mut self, brokers: usize) -> Option<Change> {
        match (&self.state, brokers) {
            (State::Up, 0) => {
                self.state = State::Down;
                // The change itself has said it.
                self.told.push(ProduceError::Transport);
                Some(Change::Down(self.reason.clone()))
            }
            (State::Up, _) | (State::Starting | State::Down, 0) => None,
            (State::Starting | State::Down, brokers) => {
                *self = Self { state: State::Up, ..Self::default() };
                Some(Change::Up(brokers))
            }
        }
    }
}

/// The part of librdkafka's statistics that is of use (its STATISTICS.md).
#[derive(Debug, Deserialize)]
pub(super) struct Statistics {
    /// Records in the producer's queue.
    pub(super) msg_cnt: i64,
    /// Bytes in the producer's queue.
    pub(super) msg_size: i64,
    brokers: std::collections::HashMap<String, Broker>,
}

#[derive(Debug, Deserialize)]
struct Broker {
    nodeid: i64,
    state: String,
}

impl Statistics {
    /// Brokers that are connected. A bootstrap address has no node id and may be a second name for
    /// a broker, so it counts only while no broker is known better.
    pub(super) fn connected(&self) -> usize {
        let up = |known: fn(i64) -> bool| {
            self.brokers.values().filter(|broker| broker.state == "UP" && known(broker.nodeid)).count()
        };
        match up(|id| id >= 0) {
            0 => up(|id| id < 0).min(1),
            known => known,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_and_so_is_its_end() {
        let mut link = Link::default();
        assert_eq!(link.connected(0), None);
        assert_eq!(
            link.error(Code::BrokerTransportFailure, "refused"),
            Some(Change::Trouble("refused".into()))
        );
        assert_eq!(link.error(Code::BrokerTransportFailure, "refused again"), None);
        assert_eq!(link.error(Code::AllBrokersDown, "1/1 brokers are down"), None);
        assert_eq!(link.connected(3), Some(Change::Up(3)));
        assert_eq!(link.connected(2), None);
        assert_eq!(link.error(Code::BrokerTransportFailure, "one of three"), None);
        assert_eq!(link.connected(0), Some(Change::Down("one of three".into())));
        assert_eq!(link.error(Code::BrokerTransportFailure, "refused"), None);
        assert_eq!(link.connected(1), Some(Change::Up(1)));
    }

    #[test]
    fn a_refused_authentication_is_told_even_while_connected() {
        let mut link = Link::default();
        assert_eq!(link.connected(1), Some(Change::Up(1)));
        assert_eq!(
            link.error(Code::Authentication, "token expired"),
            Some(Change::Trouble("token expired".into()))
        );
        assert_eq!(link.error(Code::Authentication, "token expired"), None);
        assert_eq!(link.error(Code::AllBrokersDown, "down"), None);
    }

    #[test]
    fn kinds_of_trouble_that_take_turns_are_told_once_each() {
        let mut link = Link::default();
        let mut told = 0;
        for _ in 0..5 {
            told += usize::from(link.error(Code::SSL, "certificate").is_some());
            told += usize::from(link.error(Code::AllBrokersDown, "1/1 brokers are down").is_some());
            told += usize::from(link.error(Code::Resolve, "no such host").is_some());
        }
        assert_eq!(told, 2);
    }

    #[test]
    fn of_two_calls_for_one_error_the_second_is_an_echo() {
        let mut link = Link::default();
        let heard: Vec<bool> = (0..4).map(|_| link.is_echo(Code::AllBrokersDown, "down")).collect();
        assert_eq!(heard, [false, true, false, true]);
        assert!(!link.is_echo(Code::Fatal, "other") && link.is_echo(Code::Fatal, "other"));
    }

    #[test]
    fn brokers_are_counted_once() {
        let statistics = |brokers: &str| -> Statistics {
            serde_json::from_str(&format!(r#"{{"msg_cnt":1,"msg_size":2,"other":[],"brokers":{brokers}}}"#))
                .unwrap()
        };
        let two = r#"{"a":{"nodeid":-1,"state":"UP","x":1},"b":{"nodeid":1,"state":"UP"},"c":{"nodeid":2,"state":"DOWN"}}"#;
        assert_eq!(statistics(two).connected(), 1);
        let bootstrap = r#"{"a":{"nodeid":-1,"state":"UP"},"b":{"nodeid":1,"state":"INIT"}}"#;
        assert_eq!(statistics(bootstrap).connected(), 1);
        assert_eq!(statistics("{}").connected(), 0);
    }
}
