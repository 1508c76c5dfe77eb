//! Hotels that send numbered events one after the other, and the judgement over what arrived.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::Deserialize;
use tokio::{task::JoinHandle, time::sleep};
use uuid::Uuid;

use crate::{
    bridge::TOKEN,
    http::Client,
    reader::Record,
    samples::{ENTITY, INTEGRATION},
};

/// A hotel and the number of one of its events.
type Numbered = (String, u64);

/// Running senders, one per hotel: each sends its next event when the one before was answered.
pub struct Load {
    stop: Arc<AtomicBool>,
    senders: Vec<JoinHandle<Sent>>,
}

/// What was sent, and how it was answered.
#[derive(Debug, Default)]
pub struct Sent {
    /// Events answered 202.
    pub accepted: BTreeSet<Numbered>,
    /// Answers by status code.
    pub answers: BTreeMap<u16, usize>,
    /// Requests without an answer.
    pub unanswered: usize,
    /// The slowest answer.
    pub slowest: Duration,
}

impl Load {
    /// Starts the senders; `pause` lies between an answer and the next event.
    pub fn start(port: u16, hotels: u64, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let hotel =
            |n| Uuid::from_u128(0xAAAA_0000_0000_4000_8000_0000_0000_0000 + u128::from(n)).to_string();
        let senders =
            (0..hotels).map(|n| tokio::spawn(send(port, hotel(n), pause, Arc::clone(&stop)))).collect();
        Self { stop, senders }
    }

    /// Lets every sender finish its last event.
    pub async fn stop(self) -> Sent {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Sent::default();
        for sender in self.senders {
            let sent = sender.await.expect("senders do not panic");
            all.accepted.extend(sent.accepted);
            for (status, count) in sent.answers {
                *all.answers.entry(status).or_default() += count;
            }
            all.unanswered += sent.unanswered;
            all.slowest = all.slowest.max(sent.slowest);
        }
        all
    }
}

async fn send(port: u16, hotel: String, pause: Duration, stop: Arc<AtomicBool>) -> Sent {
    let mut client = Client::new(port);
    let mut sent = Sent::default();
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let body = format!(
            r#"{{"EnterpriseId":"{hotel}","IntegrationId":"{INTEGRATION}","Events":[{{"Discriminator":"CustomerUpdated","Value":{{"Id":"{ENTITY}","Number":{number}}}}}]}}"#
        );
        match client.post(&format!("/webhooks/general?Token={TOKEN}"), body).await {
            Ok(answer) => {
                *sent.answers.entry(answer.status).or_default() += 1;
                sent.slowest = sent.slowest.max(answer.took);
                if answer.status == 202 {
                    sent.accepted.insert((hotel.clone(), number));
                }
            }
            Err(_) => {
                sent.unanswered += 1;
                sleep(Duration::from_millis(20)).await;
            }
        }
        number += 1;
        sleep(pause).await;
    }
    sent
}

impl Sent {
    /// Checks what arrived on the topic of the events, in the order of reading.
    ///
    /// Everything accepted is there; each hotel's events came for the first time in the order of
    /// their numbers; an event that came twice has one `ce_id`; two events never share one.
    pub fn judge(&self, records: &[Record]) {
        let mut ids: BTreeMap<Numbered, &str> = BTreeMap::new();
        let mut last: BTreeMap<String, u64> = BTreeMap::new();
        for record in records {
            let (hotel, number) = numbered(record);
            let id = record.must("ce_id");
            if let Some(known) = ids.insert((hotel.clone(), number), id) {
                assert_eq!(known, id, "event {number} of {hotel} came again under another ce_id");
                continue;
            }
            let before = last.insert(hotel.clone(), number);
            assert!(before < Some(number), "event {number} of {hotel} came after {before:?}");
        }
        let lost: Vec<_> = self.accepted.iter().filter(|event| !ids.contains_key(*event)).collect();
        assert!(
            lost.is_empty(),
            "{} of {} accepted events are lost: {lost:?}",
            lost.len(),
            self.accepted.len()
        );
        let different: BTreeSet<_> = ids.values().collect();
        assert_eq!(different.len(), ids.len(), "two events share a ce_id");
    }
}

fn numbered(record: &Record) -> Numbered {
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "EnterpriseId")]
        hotel: String,
        #[serde(rename = "Value")]
        value: Value,
    }
    #[derive(Deserialize)]
    struct Value {
        #[serde(rename = "Number")]
        number: u64,
    }
    let event: Event = serde_json::from_str(&record.text()).expect("an event of these senders");
    assert_eq!(record.key_text(), event.hotel, "the key is the hotel");
    (event.hotel, event.value.number)
}
