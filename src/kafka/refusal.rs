//! What a delivery report means for the record: one table from librdkafka's code.
//!
//! Guarantees: every code has an answer, and a record is given up ([`Refusal::TooLarge`],
//! [`Refusal::Rejected`]) only where sending it again can never help. All else is sent again.

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::telemetry::metrics::ProduceError;

/// Why Kafka did not take a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No broker will take a batch of this size on this topic. It speaks of the record alone only
    /// when that is larger than `batch.size`.
    TooLarge,
    /// The topic cannot be written to; that may mend.
    TopicUnavailable(TopicProblem),
    /// The broker said no for good. The text is the name of librdkafka's code, never content.
    Rejected(String),
    /// The outcome is unknown, or the failure was not the record's: it is to be sent again, in order.
    Lost,
}

/// Why a topic cannot be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicProblem {
    /// It does not exist.
    Missing,
    /// This client may not write to it.
    Forbidden,
}

impl Refusal {
    /// What a code says of the record that was reported with it.
    #[must_use]
    pub fn of(code: Code) -> Self {
        match code {
            Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => Self::TooLarge,
            Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopicId
            | Code::InvalidTopic => Self::TopicUnavailable(TopicProblem::Missing),
            Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
                Self::TopicUnavailable(TopicProblem::Forbidden)
            }
            Code::BadMessage
            | Code::BadCompression
            | Code::InvalidArgument
            | Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::InvalidTimestamp
            | Code::InvalidRequiredAcks
            | Code::InvalidRequest
            | Code::PolicyViolation
            | Code::UnsupportedForMessageFormat
            | Code::UnsupportedCompressionType
            | Code::UnsupportedVersion => Self::Rejected(format!("{code:?}")),
            // Time-outs, brokers that went away, missing replicas, purges, fencing, and the
            // neighbours of an invalid record: none of them is the fault of this one.
            _ => Self::Lost,
        }
    }
}

/// The `error` label of a code.
#[must_use]
pub fn label(code: Code) -> ProduceError {
    match code {
        Code::MessageTimedOut | Code::OperationTimedOut | Code::TimedOutQueue | Code::RequestTimedOut => {
            ProduceError::Timeout
        }
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::BrokerDestroy
        | Code::DestroyBroker
        | Code::Resolve
        | Code::NetworkException
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::BrokerNotAvailable => ProduceError::Transport,
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::SSL
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => ProduceError::Auth,
        Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => ProduceError::Authorization,
        Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend | Code::ISRInsufficient => {
            ProduceError::NotEnoughReplicas
        }
        Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicOrPartition
        | Code::UnknownTopicId
        | Code::InvalidTopic => ProduceError::UnknownTopic,
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => ProduceError::TooLarge,
        Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch => ProduceError::Fenced,
        Code::Fatal | Code::GaplessGuarantee => ProduceError::Fatal,
        _ => ProduceError::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_given_up_only_where_sending_it_again_cannot_help() {
        let missing = || Refusal::TopicUnavailable(TopicProblem::Missing);
        let forbidden = || Refusal::TopicUnavailable(TopicProblem::Forbidden);
        let rejected = |name: &str| Refusal::Rejected(name.to_owned());
        for (code, refusal) in [
            (Code::MessageSizeTooLarge, Refusal::TooLarge),
            (Code::MessageBatchTooLarge, Refusal::TooLarge),
            (Code::UnknownTopic, missing()),
            (Code::UnknownPartition, missing()),
            (Code::UnknownTopicOrPartition, missing()),
            (Code::UnknownTopicId, missing()),
            (Code::InvalidTopic, missing()),
            (Code::TopicAuthorizationFailed, forbidden()),
            (Code::ClusterAuthorizationFailed, forbidden()),
            (Code::BadMessage, rejected("BadMessage")),
            (Code::BadCompression, rejected("BadCompression")),
            (Code::InvalidArgument, rejected("InvalidArgument")),
            (Code::InvalidMessage, rejected("InvalidMessage")),
            (Code::InvalidMessageSize, rejected("InvalidMessageSize")),
            (Code::InvalidRecord, rejected("InvalidRecord")),
            (Code::InvalidTimestamp, rejected("InvalidTimestamp")),
            (Code::InvalidRequiredAcks, rejected("InvalidRequiredAcks")),
            (Code::InvalidRequest, rejected("InvalidRequest")),
            (Code::PolicyViolation, rejected("PolicyViolation")),
            (Code::UnsupportedForMessageFormat, rejected("UnsupportedForMessageFormat")),
            (Code::UnsupportedCompressionType, rejected("UnsupportedCompressionType")),
            (Code::UnsupportedVersion, rejected("UnsupportedVersion")),
            (Code::InvalidDifferentRecord, Refusal::Lost),
            (Code::PurgeQueue, Refusal::Lost),
            (Code::PurgeInflight, Refusal::Lost),
            (Code::MessageTimedOut, Refusal::Lost),
            (Code::RequestTimedOut, Refusal::Lost),
            (Code::NotEnoughReplicas, Refusal::Lost),
            (Code::NotEnoughReplicasAfterAppend, Refusal::Lost),
            (Code::BrokerTransportFailure, Refusal::Lost),
            (Code::KafkaStorageError, Refusal::Lost),
            (Code::OutOfOrderSequenceNumber, Refusal::Lost),
            (Code::InvalidProducerEpoch, Refusal::Lost),
            (Code::ProducerFenced, Refusal::Lost),
            (Code::Fatal, Refusal::Lost),
            (Code::Unknown, Refusal::Lost),
        ] {
            assert_eq!(Refusal::of(code), refusal, "{code:?}");
        }
    }

    #[test]
    fn a_code_is_counted_under_what_somebody_can_act_on() {
        for (code, expected) in [
            (Code::MessageTimedOut, ProduceError::Timeout),
            (Code::AllBrokersDown, ProduceError::Transport),
            (Code::Authentication, ProduceError::Auth),
            (Code::SSL, ProduceError::Auth),
            (Code::TopicAuthorizationFailed, ProduceError::Authorization),
            (Code::NotEnoughReplicas, ProduceError::NotEnoughReplicas),
            (Code::UnknownTopicOrPartition, ProduceError::UnknownTopic),
            (Code::MessageSizeTooLarge, ProduceError::TooLarge),
            (Code::ProducerFenced, ProduceError::Fenced),
            (Code::Fatal, ProduceError::Fatal),
            (Code::PolicyViolation, ProduceError::Other),
        ] {
            assert_eq!(label(code), expected, "{code:?}");
        }
    }
}
