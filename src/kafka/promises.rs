//! What the promises of this bridge need of a producer, and the refusal of anything else.
//!
//! Guarantees: a configuration that passes [`keep`] delivers in order, without a time limit, and
//! places keys as the Java client does. The values are read back from librdkafka, so every spelling
//! that it takes for one value is judged alike. [`super::settings`] calls it.

use rdkafka::config::NativeClientConfig;

use super::settings::ConfigError;

/// One property that a promise rests on.
struct Need {
    key: &'static str,
    holds: fn(&str) -> bool,
    needed: &'static str,
    promise: &'static str,
}

const ACCEPTED_IS_DELIVERED: &str = "no timeout or retry limit may drop an accepted delivery";
const ORDER_PER_HOTEL: &str = "the records of one hotel keep their order through retries";

/// What a producer gets where nothing else is said; each is among [`NEEDS`].
pub(super) const DEFAULTS: [(&str, &str); 6] = [
    ("enable.idempotence", "true"),
    ("max.in.flight.requests.per.connection", "5"),
    ("acks", "all"),
    ("partitioner", "murmur2_random"),
    ("message.timeout.ms", "0"),
    ("retries", "2147483647"),
];

const NEEDS: [Need; 10] = [
    Need {
        key: "enable.idempotence",
        holds: |value| value == "true",
        needed: "true",
        promise: ORDER_PER_HOTEL,
    },
    Need {
        key: "max.in.flight.requests.per.connection",
        holds: |value| value.parse().is_ok_and(|requests: u32| requests <= 5),
        needed: "5 or less",
        promise: ORDER_PER_HOTEL,
    },
    Need {
        key: "queuing.strategy",
        holds: |value| value == "fifo",
        needed: "fifo",
        promise: ORDER_PER_HOTEL,
    },
    Need {
        key: "acks",
        holds: |value| matches!(value, "-1" | "all"),
        needed: "all",
        promise: "a delivery leaves the journal only when all in-sync replicas have its records",
    },
    Need {
        key: "message.timeout.ms",
        holds: |value| value == "0",
        needed: "0, which means never",
        promise: ACCEPTED_IS_DELIVERED,
    },
    Need {
        key: "retries",
        holds: |value| value == "2147483647",
        needed: "2147483647, which means always",
        promise: ACCEPTED_IS_DELIVERED,
    },
    Need {
        key: "delivery.report.only.error",
        holds: |value| value == "false",
        needed: "false",
        promise: "a delivery leaves the journal when its records are reported as delivered",
    },
    Need {
        key: "partitioner",
        holds: |value| value == "murmur2_random",
        needed: "murmur2_random",
        promise: "keys are placed as the Java client places them",
    },
    Need {
        key: "transactional.id",
        holds: str::is_empty,
        needed: "unset",
        promise: "records are written outside of transactions, so that every subscriber sees them",
    },
    Need {
        key: "statistics.interval.ms",
        holds: |value| value.parse().is_ok_and(|millis: u32| (1..=60_000).contains(&millis)),
        needed: "from 1 to 60000",
        promise: "metrics and readiness rest on the client's statistics",
    },
];

/// Judges a configuration as librdkafka has read it.
///
/// # Errors
/// [`ConfigError::Promise`] for the first property that would break one.
pub(super) fn keep(native: &NativeClientConfig) -> Result<(), ConfigError> {
    for Need { key, holds, needed, promise } in NEEDS {
        // A property that has never been set has no value to get.
        let value = native.get(key).unwrap_or_default();
        if !holds(&value) {
            return Err(ConfigError::Promise { key, needed, promise });
        }
    }
    Ok(())
}

/// Properties that librdkafka warns of on a consumer.
pub(super) fn only_for_producers(key: &str) -> bool {
    const KEYS: [&str; 13] = [
        "acks",
        "batch.num.messages",
        "compression.level",
        "delivery.report.only.error",
        "enable.gapless.guarantee",
        "enable.idempotence",
        "message.timeout.ms",
        "partitioner",
        "queuing.strategy",
        "retries",
        "sticky.partitioning.linger.ms",
        "transaction.timeout.ms",
        "transactional.id",
    ];
    KEYS.contains(&key) || key.starts_with("queue.buffering.")
}
