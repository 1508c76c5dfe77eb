//! The producer against the broker in memory and its faults.

use std::collections::BTreeMap;

use bytes::Bytes;
use rdkafka::{
    Message as _, Offset, TopicPartitionList,
    config::ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey as ApiKey, RDKafkaRespErr as Fault},
};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::{
    kafka::{embedded::Embedded, properties::Properties},
    telemetry::metrics::{Metrics, Names},
};

const TOPIC: &str = "mews.events.CustomerAdded";
const PATIENCE: Duration = Duration::from_secs(30);

struct Bench {
    broker: Embedded,
    producer: Producer,
    reports: UnboundedReceiver<Report>,
    metrics: Metrics,
}

impl Bench {
    fn new(partitions: i32, properties: &[(&str, &str)]) -> Self {
        let broker = Embedded::start(1).unwrap();
        broker.cluster().create_topic(TOPIC, partitions, 1).unwrap();
        let mut config = Config { bootstrap_servers: broker.bootstrap_servers().into(), ..Config::default() };
        config.properties = Properties::default();
        config.properties.set("statistics.interval.ms", "50");
        for (key, value) in properties {
            config.properties.set(key, *value);
        }
        let metrics = Metrics::new(&Names { topics: vec![TOPIC.into()], ..Names::default() });
        let (sender, reports) = unbounded_channel();
        let producer = Producer::start(&config, metrics.kafka.clone(), sender).unwrap();
        Self { broker, producer, reports, metrics }
    }

    fn cluster(&self) -> MockCluster<'_, DefaultProducerContext> {
        self.broker.cluster()
    }

    async fn report(&mut self) -> Report {
        tokio::time::timeout(PATIENCE, self.reports.recv()).await.expect("a report in time").unwrap()
    }

    /// Values of one partition in the order of its log.
    fn log(&self, partition: i32, records: usize) -> Vec<String> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.broker.bootstrap_servers())
            .set("group.id", "reader")
            .create()
            .unwrap();
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(TOPIC, partition, Offset::Beginning).unwrap();
        consumer.assign(&assignment).unwrap();
        let read = |_| {
            let message = consumer.poll(PATIENCE).expect("a record in time").unwrap();
            String::from_utf8(message.payload().unwrap().to_vec()).unwrap()
        };
        (0..records).map(read).collect()
    }
}

fn record(value: &str) -> Record {
    Record {
        topic: TOPIC.into(),
        key: Bytes::from_static(b"851df8c8-90f2-4c4a-8e01-a4fc46b25178"),
        partition: None,
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: [("ce_id", "1")].into_iter().collect(),
    }
}

#[tokio::test]
async fn a_hotel_is_where_the_java_client_puts_it() {
    // 3 is what Kafka's own producer computes for this key and 12 partitions.
    let mut bench = Bench::new(12, &[]);
    bench.producer.send(&record("x"), 7).unwrap();
    assert_eq!(bench.report().await, Report { ticket: 7, result: Ok(Placed { partition: 3, offset: 0 }) });
}

#[tokio::test]
async fn records_arrive_in_order_with_their_headers_and_are_counted() {
    let mut bench = Bench::new(1, &[]);
    for ticket in 0..100 {
        bench.producer.send(&record(&ticket.to_string()), ticket).unwrap();
    }
    for ticket in 0..100 {
        let placed = Placed { partition: 0, offset: i64::try_from(ticket).unwrap() };
        assert_eq!(bench.report().await, Report { ticket, result: Ok(placed) });
    }
    assert_eq!(bench.log(0, 100), (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
    let produced = &bench.metrics.kafka;
    assert_eq!(produced.produced_records.with_label_values(&[TOPIC, "ok"]).get(), 100);
    assert_eq!(produced.produced_bytes.with_label_values(&[TOPIC]).get(), 100 * 36 + 190);
    assert_eq!(produced.produce_duration.of(Class::Raw).get_sample_count(), 100);
}

#[tokio::test]
async fn too_few_replicas_are_waited_for() {
    let mut bench = Bench::new(1, &[]);
    bench.cluster().request_errors(ApiKey::Produce, &[Fault::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS; 3]);
    bench.producer.send(&record("x"), 1).unwrap();
    assert_eq!(bench.report().await.result, Ok(Placed { partition: 0, offset: 0 }));
}

#[tokio::test]
async fn what_a_broker_refuses_is_reported_with_its_reason_and_the_rest_flows_on() {
    let refusals = [
        (Fault::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, Refusal::TooLarge),
        (Fault::RD_KAFKA_RESP_ERR_POLICY_VIOLATION, Refusal::Rejected("PolicyViolation".into())),
    ];
    let mut bench = Bench::new(1, &[]);
    for (ticket, (fault, refusal)) in refusals.into_iter().enumerate() {
        bench.cluster().request_errors(ApiKey::Produce, &[fault]);
        bench.producer.send(&record("refused"), ticket as u64).unwrap();
        assert_eq!(bench.report().await, Report { ticket: ticket as u64, result: Err(refusal) });
        bench.producer.send(&record("taken"), 100).unwrap();
        assert!(bench.report().await.result.is_ok());
    }
    assert!(!bench.producer.is_down());
    let metrics = &bench.metrics.kafka;
    assert_eq!(metrics.produced_records.with_label_values(&[TOPIC, "error"]).get(), 2);
    assert_eq!(metrics.produce_errors.of(Class::Raw, metrics::ProduceError::TooLarge).get(), 1);
}

#[tokio::test]
async fn a_forbidden_topic_is_unavailable_until_its_metadata_says_otherwise() {
    let mut bench = Bench::new(1, &[("topic.metadata.refresh.interval.ms", "100")]);
    bench.cluster().request_errors(ApiKey::Produce, &[Fault::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
    let forbidden = Err(Refusal::TopicUnavailable(TopicProblem::Forbidden));
    bench.producer.send(&record("x"), 0).unwrap();
    assert_eq!(bench.report().await, Report { ticket: 0, result: forbidden.clone() });
    // The client remembers it and refuses at once; that too is a report.
    let mended = async {
        for ticket in 1.. {
            bench.producer.send(&record("x"), ticket).unwrap();
            let report = bench.report().await;
            assert_eq!(report.ticket, ticket);
            match report.result {
                Ok(_) => return,
                refused => assert_eq!(refused, forbidden),
            }
        }
    };
    tokio::time::timeout(PATIENCE, mended).await.expect("mended in time");
}

#[tokio::test]
async fn nothing_is_given_up_while_the_broker_is_away() {
    let mut bench = Bench::new(1, &[]);
    bench.producer.send(&record("before"), 0).unwrap();
    assert!(bench.report().await.result.is_ok());
    bench.cluster().broker_down(1).unwrap();
    for ticket in 1..=50 {
        bench.producer.send(&record(&ticket.to_string()), ticket).unwrap();
    }
    bench.producer.flush(Duration::from_millis(500)).await;
    assert!(bench.reports.try_recv().is_err(), "no report while the broker is away");
    bench.cluster().broker_up(1).unwrap();
    for ticket in 1..=50 {
        let report = bench.report().await;
        assert_eq!((report.ticket, report.result.is_ok()), (ticket, true));
    }
}

#[tokio::test]
async fn a_restart_reports_what_was_on_its_way_as_lost_exactly_once() {
    let mut bench = Bench::new(1, &[]);
    bench.producer.send(&record("before"), 0).unwrap();
    assert!(bench.report().await.result.is_ok());
    let mut reports: BTreeMap<u64, Vec<bool>> = BTreeMap::new();
    let mut ticket = 0;
    for round in 0..5 {
        // Held up, so that some are queued and some in flight when the instance ends.
        bench.cluster().broker_round_trip_time(1, Duration::from_millis(200)).unwrap();
        for _ in 0..40 {
            ticket += 1;
            bench.producer.send(&record(&ticket.to_string()), ticket).unwrap();
        }
        if round % 2 == 1 {
            bench.producer.flush(Duration::from_millis(100)).await;
        }
        bench.cluster().broker_round_trip_time(1, Duration::ZERO).unwrap();
        bench.producer.restart().unwrap();
        assert!(!bench.producer.is_down());
        // Every report of the former instance is here by now.
        while let Ok(report) = bench.reports.try_recv() {
            if let Err(refusal) = &report.result {
                assert_eq!(*refusal, Refusal::Lost);
            }
            reports.entry(report.ticket).or_default().push(report.result.is_ok());
        }
        assert_eq!(reports.len() as u64, ticket, "each ticket is reported by the end of restart");
    }
    bench.producer.send(&record("after"), 9999).unwrap();
    assert_eq!(bench.report().await.ticket, 9999, "nothing of a former instance comes late");
    assert!(reports.values().all(|reports| reports.len() == 1), "no ticket is reported twice");
    assert!(reports.values().flatten().any(|delivered| !delivered), "some were lost");
}

#[tokio::test]
async fn dropping_the_producer_reports_what_is_open() {
    let mut bench = Bench::new(1, &[]);
    bench.cluster().broker_down(1).unwrap();
    bench.producer.send(&record("x"), 3).unwrap();
    drop(bench.producer);
    assert_eq!(bench.reports.recv().await, Some(Report { ticket: 3, result: Err(Refusal::Lost) }));
    assert_eq!(bench.reports.recv().await, None);
}

#[tokio::test]
async fn a_full_queue_says_so_and_takes_more_when_there_is_room() {
    let mut bench = Bench::new(1, &[("queue.buffering.max.messages", "10")]);
    bench.cluster().broker_down(1).unwrap();
    let taken = (0..20).take_while(|ticket| bench.producer.send(&record("x"), *ticket).is_ok()).count();
    assert_eq!(taken, 10);
    assert_eq!(bench.producer.send(&record("x"), 11), Err(SendError::QueueFull));
    bench.cluster().broker_up(1).unwrap();
    for ticket in 0..10 {
        assert_eq!(bench.report().await.ticket, ticket);
    }
    bench.producer.send(&record("x"), 11).unwrap();
    assert_eq!(bench.report().await.ticket, 11);
}

#[tokio::test]
async fn a_record_that_no_queue_could_hold_is_refused_at_once() {
    let bench = Bench::new(1, &[("queue.buffering.max.kbytes", "1")]);
    assert_eq!(bench.producer.send(&record(&"x".repeat(2000)), 1), Err(SendError::TooLarge));
}

#[tokio::test]
async fn a_fatal_error_ends_the_instance_and_a_restart_mends_it() {
    let mut bench = Bench::new(1, &[("enable.gapless.guarantee", "true")]);
    // With that setting a refused record is fatal: all that come after it would leave a gap.
    bench.cluster().request_errors(ApiKey::Produce, &[Fault::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED]);
    bench.producer.send(&record("x"), 1).unwrap();
    assert!(bench.report().await.result.is_err());
    let down = async {
        while !bench.producer.is_down() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, down).await.expect("the producer notices");
    assert_eq!(bench.producer.send(&record("x"), 2), Err(SendError::Down));
    bench.producer.restart().unwrap();
    bench.producer.send(&record("x"), 2).unwrap();
    assert_eq!(bench.report().await.ticket, 2);
}

#[tokio::test]
async fn the_gauges_follow_the_connection() {
    let bench = Bench::new(1, &[]);
    let brokers = &bench.metrics.kafka.connected_brokers;
    let until = async |wanted: i64| {
        while brokers.get() != wanted {
            tokio::task::yield_now().await;
        }
    };
    bench.producer.send(&record("x"), 1).unwrap();
    tokio::time::timeout(PATIENCE, until(1)).await.expect("connected");
    bench.cluster().broker_down(1).unwrap();
    tokio::time::timeout(PATIENCE, until(0)).await.expect("noticed that it went");
    assert_eq!(bench.metrics.kafka.queue_limit_bytes.get(), 65536 * 1024);
}

#[test]
fn a_record_is_counted_by_what_its_headers_say() {
    let with = |headers: &[(&'static str, &str)]| {
        let headers = headers.iter().copied().collect();
        class(&Record { headers, ..record("x") })
    };
    assert_eq!(with(&[("ce_type", "com.mews.connector.CustomerAdded")]), Class::Raw);
    assert_eq!(with(&[("ce_type", "com.mews.entity.customers")]), Class::Entity);
    assert_eq!(with(&[("ce_type", "com.mews.entity.customers"), ("dead_letter_reason", "x")]), Class::Dlq);
}
