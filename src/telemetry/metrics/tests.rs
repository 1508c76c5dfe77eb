//! What is exposed, and when.

use super::*;

#[test]
fn zero_is_visible_for_every_label_value() {
    let names = Names { topics: vec!["t".into()], role: "ingress".into(), ..Names::default() };
    let text = Metrics::new(&names).expose();
    for outcome in Outcome::ALL {
        let line = format!(
            "mewsbridge_webhook_deliveries_total{{outcome=\"{}\",webhook=\"general\"}} 0",
            outcome.value()
        );
        assert!(text.contains(&line), "{line}");
    }
    assert!(text.contains("mewsbridge_kafka_produced_records_total{outcome=\"ok\",topic=\"t\"} 0"));
    assert!(text.contains("mewsbridge_build_info{"));
}

#[test]
fn a_process_without_an_ingress_says_nothing_of_accepted_deliveries() {
    let text = Metrics::new(&Names::default()).expose();
    assert!(!text.contains("webhook_last_accepted_timestamp_seconds"), "{text}");
}

#[test]
fn one_state_is_one() {
    let metrics = Metrics::new(&Names::default());
    metrics.journal.state.only(JournalState::Open);
    metrics.journal.state.only(JournalState::Full);
    let ones = JournalState::ALL.iter().filter(|state| metrics.journal.state.of(**state).get() == 1).count();
    assert_eq!((ones, metrics.journal.state.of(JournalState::Full).get()), (1, 1));
}
