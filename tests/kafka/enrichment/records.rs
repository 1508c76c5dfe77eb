//! Records that are no events, and entities that Kafka does not take.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    bridge::Bridge,
    cluster::Cluster,
    reader,
    world::{World, quiet},
};

async fn until_dead(world: &World, enricher: &Bridge, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while world.dead_letters().values().sum::<usize>() < count {
        assert!(Instant::now() < deadline, "{:?}\n{}", world.dead_letters(), enricher.log());
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn poisoned_records_become_dead_letters_and_hold_nothing_up() {
    let world = World::new("records-poisoned", quiet()).await;
    let enricher = world.enricher().await;
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", Cluster::shared().bootstrap())
        .set("partitioner", "murmur2_random")
        .create()
        .expect("a producer");
    let (topic, hotel) = (world.setup.topic("events.CustomerUpdated"), world.hotel(0).await);
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let no_id = format!(
        r#"{{"EnterpriseId":"{hotel}","IntegrationId":"i","Discriminator":"CustomerUpdated","Value":{{}}}}"#
    );
    for poison in ["", "{", "\u{0}\u{1}", "null", "[]", &deep, &no_id] {
        producer.send(BaseRecord::to(&topic).key(&hotel).payload(poison)).expect("room");
    }
    producer.send(BaseRecord::<_, str>::to(&topic).key(&hotel)).expect("room");
    producer.send(BaseRecord::<[u8], _>::to(&topic).payload(&[0xff, 0xfe][..])).expect("room");
    producer.flush(Duration::from_secs(20)).expect("Kafka takes them");
    world.change(json!({ "kind": "customers", "count": 3 })).await;
    world.until_true(&[&enricher]).await;
    until_dead(&world, &enricher, 9).await;
    assert_eq!(world.dead_letters(), [("undecodable".to_owned(), 9)].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_over_the_topics_limit_becomes_a_dead_letter_and_its_neighbours_arrive() {
    let cluster = Cluster::shared();
    let world = World::on(&cluster.bootstrap(), "records-large", quiet(), |setup| {
        // Made before the others are, with a limit between a reservation and a customer.
        reader::shared().create(
            &cluster.bootstrap(),
            &setup.topic("entities.customers"),
            3,
            &[("cleanup.policy", "compact"), ("max.message.bytes", "700")],
        );
        setup
    })
    .await;
    let enricher = world.enricher().await;
    world.change(json!({ "kind": "customers", "count": 3 })).await;
    let reservations = world.change(json!({ "kind": "reservations", "count": 3 })).await;
    world.simulator.flush().await;
    until_dead(&world, &enricher, 3).await;
    assert_eq!(world.dead_letters(), [("too_large".to_owned(), 3)].into());
    world.until_true_of(&reservations, &[&enricher]).await;
}
