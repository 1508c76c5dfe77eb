//! What the demo says first: where everything is, and lines to paste into another terminal.

use std::fmt::Write as _;

use super::hotels::Stay;
use crate::kafka::TopicNames;

/// Where everything is.
pub struct Introduction<'a> {
    /// The URL for webhooks, its token in it.
    pub webhook: &'a str,
    /// The embedded broker.
    pub broker: &'a str,
    /// The admin server.
    pub admin: &'a str,
    /// The simulator's control endpoints.
    pub simulator: &'a str,
    /// The topics.
    pub names: &'a TopicNames,
    /// What the webhook to paste tells of.
    pub stay: Stay,
}

impl Introduction<'_> {
    /// The lines that scripts read, then those that people paste.
    pub fn text(&self) -> String {
        let Self { webhook, broker, admin, simulator, names, stay } = self;
        let Stay { enterprise_id, integration_id, reservation_id } = stay;
        let events = names.events(DISCRIMINATOR);
        let records = names.entities(ENTITY).expect("reservations are one of the kinds");
        let mut text = format!("webhook: {webhook}\nbroker: {broker}\nadmin: {admin}\n\n");
        let _ = writeln!(
            text,
            r#"  curl -i '{webhook}' -d '{{"EnterpriseId":"{enterprise_id}","IntegrationId":"{integration_id}","Events":[{{"Discriminator":"{DISCRIMINATOR}","Value":{{"Id":"{reservation_id}"}}}}]}}'"#
        );
        let _ = writeln!(text, "  kcat -C -e -q -o beginning -b {broker} -t {events} {FORM}");
        let _ = writeln!(text, "  kcat -C -q -c 1 -o beginning -b {broker} -t {records} {FORM}");
        let _ = writeln!(text, "\nsimulator: {simulator}\n");
        text
    }
}

/// What the webhook to paste tells.
const DISCRIMINATOR: &str = "ServiceOrderUpdated";
/// The kind that it speaks of.
const ENTITY: &str = "reservations";
/// Partition, key, headers and value.
const FORM: &str = r"-f 'partition %p, key %k\n%h\n%s\n\n'";
