//! Which records a replay is asked for.

use crate::app::records::means;

/// Ids and filters; a record must fit all that are given. Nothing given means all records.
#[derive(Debug, Default)]
pub struct Wanted {
    ids: Vec<Id>,
    reasons: Vec<String>,
    topics: Vec<String>,
}

#[derive(Debug)]
struct Id {
    text: String,
    found: bool,
}

impl Wanted {
    /// Records of these ids, reasons and topics; an empty list is no condition.
    #[must_use]
    pub fn new(ids: Vec<String>, reasons: Vec<String>, topics: Vec<String>) -> Self {
        let ids = ids.into_iter().map(|text| Id { text, found: false }).collect();
        Self { ids, reasons, topics }
    }

    /// Whether a record is asked for.
    pub fn takes(&mut self, ce_id: Option<&str>, reason: Option<&str>, topic: Option<&str>) -> bool {
        let fits = |list: &[String], value: Option<&str>| {
            list.is_empty() || value.is_some_and(|value| list.iter().any(|each| each == value))
        };
        if !fits(&self.reasons, reason) || !fits(&self.topics, topic) {
            return false;
        }
        let mut found = self.ids.is_empty();
        for id in &mut self.ids {
            if ce_id.is_some_and(|ce_id| means(&id.text, ce_id)) {
                (found, id.found) = (true, true);
            }
        }
        found
    }

    /// The ids that no record had so far.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().filter(|id| !id.found).map(|id| id.text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELIVERY: &str = "0199d1a4-5f60-7cc0-8000-1b6b1b6b1b6b";

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn a_delivery_id_means_all_its_records_and_a_ce_id_one() {
        let one = format!("{DELIVERY}-1");
        let mut wanted = Wanted::new(strings(&[DELIVERY, "x"]), Vec::new(), Vec::new());
        assert!(
            wanted.takes(Some(&one), None, None) && wanted.takes(Some(&format!("{DELIVERY}-12")), None, None)
        );
        assert!(!wanted.takes(Some("y-0"), None, None) && !wanted.takes(None, None, None));
        assert_eq!(wanted.missing().collect::<Vec<_>>(), ["x"]);
        let mut wanted = Wanted::new(vec![one], Vec::new(), Vec::new());
        assert!(!wanted.takes(Some(&format!("{DELIVERY}-12")), None, None));
    }

    #[test]
    fn a_record_must_fit_all_that_is_given() {
        let mut wanted = Wanted::new(strings(&["a"]), strings(&["too_large"]), strings(&["t", "u"]));
        assert!(wanted.takes(Some("a-0"), Some("too_large"), Some("u")));
        assert!(!wanted.takes(Some("a-0"), Some("rejected"), Some("u")));
        assert!(!wanted.takes(Some("a-0"), Some("too_large"), None));
        assert!(!wanted.takes(Some("b-0"), Some("too_large"), Some("t")));
        assert!(Wanted::default().takes(None, None, None), "nothing given means all");
    }
}
