//! The whole configuration: each part's own struct, read from four layers.
//!
//! Defaults, then the TOML file, then `MEWS_BRIDGE__SECTION__KEY`, then `--set section.key=value`:
//! each layer overrides single keys of the ones before. An unknown key is an error that names the
//! key and where it stands. Nothing here knows what a key means; the parts do.

pub mod layers;
pub mod problem;
pub mod show;

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::kafka::TopicNames;
use crate::{connector, credentials, enricher, ingress, journal, kafka, shutdown, telemetry};
pub use layers::{Sources, load};
pub use problem::{Problem, Problems};

/// Every section.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The webhook server.
    pub ingress: ingress::Config,
    /// The journal of accepted deliveries.
    pub journal: journal::Config,
    /// The Kafka client.
    pub kafka: kafka::Config,
    /// Names and settings of topics.
    pub topics: kafka::topics::Config,
    /// The Connector API.
    pub connector: connector::Config,
    /// Secrets that travel through the bridge.
    pub credentials: credentials::Config,
    /// The enricher.
    pub enricher: enricher::Config,
    /// The admin server.
    pub admin: telemetry::admin::Config,
    /// Logs.
    pub telemetry: telemetry::logging::Config,
    /// How the process stops.
    pub shutdown: shutdown::Config,
}

/// The Kafka client's queue is smaller than a record.
#[derive(Debug, thiserror::Error)]
#[error(
    "a body of ingress.max_body_bytes may not fit the client's queue: set kafka.properties queue.buffering.max.kbytes to {needed_kib} or more"
)]
struct SmallQueue {
    needed_kib: u64,
}

/// Both servers of one process want the same place.
#[derive(Debug, thiserror::Error)]
#[error("{0} is also admin.listen; webhooks come from outside, and the admin server is for the inside alone")]
struct SharedAddress(SocketAddr);

/// A process that is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `mews-bridge ingress`
    Ingress,
    /// `mews-bridge enricher`
    Enricher,
}

impl Config {
    /// The topics by their names; what was accepted must fit into those that take anything.
    ///
    /// # Errors
    /// When Kafka would not take a name or a number.
    pub fn topic_names(&self) -> Result<TopicNames, kafka::topics::ConfigError> {
        TopicNames::new(&self.topics, self.ingress.max_body_bytes.as_u64())
    }

    /// Whether the Kafka client can hold the largest record that one body can become.
    fn check_queue(&self) -> Result<(), SmallQueue> {
        let body_bytes = self.ingress.max_body_bytes.as_u64();
        // Settings that cannot be read are told of by their own check.
        let Ok(limits) = self.kafka.limits() else { return Ok(()) };
        // A body that goes to quarantine sealed as a whole grows by a third.
        let needed = body_bytes.saturating_mul(2);
        if (limits.queue_bytes as u64) < needed {
            Err(SmallQueue { needed_kib: needed.div_ceil(1024) })
        } else {
            Ok(())
        }
    }

    /// Whether webhooks and the admin server can be listened for side by side.
    fn check_addresses(&self) -> Result<(), SharedAddress> {
        let (webhooks, admin) = (self.ingress.listen, self.admin.listen);
        // The one of IPv6 takes IPv4 as well.
        let covers = |one: SocketAddr, other: SocketAddr| {
            one == other || (one.ip().is_unspecified() && (one.is_ipv6() || other.is_ipv4()))
        };
        let is_same = webhooks.port() == admin.port() && (covers(webhooks, admin) || covers(admin, webhooks));
        if is_same && admin.port() != 0 { Err(SharedAddress(webhooks)) } else { Ok(()) }
    }

    /// Where whoever acts on the ingress talks to it.
    ///
    /// # Errors
    /// When no socket can have that path.
    pub fn control_socket(&self) -> Result<PathBuf, telemetry::admin::PathTooLong> {
        self.admin.control_socket(&self.journal.dir)
    }

    /// What every process needs to be right, whatever it is.
    ///
    /// # Errors
    /// All problems at once.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        problems.note("telemetry.log", self.telemetry.check());
        problems.note("kafka", self.kafka.validate());
        problems.note("topics", self.topic_names());
        problems.note("connector", self.connector.check());
        problems.into_result()
    }

    /// What one process needs besides.
    ///
    /// # Errors
    /// All problems at once.
    pub fn check_for(&self, role: Role) -> Result<(), Problems> {
        let mut problems = Problems::default();
        problems.absorb(self.check());
        match role {
            Role::Ingress => {
                problems.note("ingress", self.ingress.validate());
                problems.note("ingress.listen", self.check_addresses());
                problems.note("journal", self.journal.validate(self.ingress.max_body_bytes.as_u64()));
                problems.note("credentials", self.credentials.check_sealing());
                problems.note("kafka", self.check_queue());
                problems.note("ingress", ingress::Tokens::load(&self.ingress));
                problems.note("kafka", self.kafka.producer());
                problems.note("admin.control_socket", self.control_socket());
            }
            Role::Enricher => {
                problems.note("enricher", self.enricher.check());
                problems.note("kafka", self.kafka.producer().and_then(|_| self.kafka.consumer()));
                problems.note("connector", self.connector.check_token());
                problems.note("credentials", self.credentials.check_source());
            }
        }
        problems.into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_is_checked_for_what_its_kafka_clients_need() {
        let mut config = Config::default();
        config.kafka.security.ssl_ca_file = Some("/nonexistent/ca".into());
        for role in [Role::Ingress, Role::Enricher] {
            let said = config.check_for(role).unwrap_err().to_string();
            assert_eq!(said.matches("/nonexistent/ca").count(), 1, "{role:?}: {said}");
        }
        assert!(config.check().is_ok(), "files are those of the place where the process runs");
    }

    #[test]
    fn webhooks_and_the_admin_server_have_different_addresses() {
        for (webhooks, admin, fits) in [
            ("0.0.0.0:8080", "127.0.0.1:8080", false),
            ("127.0.0.1:8080", "127.0.0.1:8080", false),
            ("127.0.0.1:8080", "127.0.0.2:8080", true),
            ("0.0.0.0:8080", "0.0.0.0:9090", true),
            ("127.0.0.1:8080", "[::]:8080", false),
            ("[::1]:8080", "0.0.0.0:8080", true),
            ("127.0.0.1:0", "127.0.0.1:0", true),
        ] {
            let mut config = Config::default();
            (config.ingress.listen, config.admin.listen) =
                (webhooks.parse().unwrap(), admin.parse().unwrap());
            let said = config.check_for(Role::Ingress).unwrap_err().to_string();
            assert_eq!(!said.contains("ingress.listen: "), fits, "{webhooks} {admin}: {said}");
            assert!(!config.check_for(Role::Enricher).unwrap_err().to_string().contains("ingress.listen"));
        }
    }
}
