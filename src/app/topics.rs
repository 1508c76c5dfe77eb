//! `mews-bridge topics plan|apply`

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{
    Exit, Failure,
    arguments::{Output, Topics as Command},
    output::List,
};
use crate::{
    config::Config,
    kafka::{
        plan::{Difference, Topic},
        provision::{self, Change, Error, Growth},
        topics::TopicSpec,
    },
};

/// How long brokers are given to hear of topics that were made.
const KNOWN_WITHIN: Duration = Duration::from_secs(15);
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Runs the command.
///
/// # Errors
/// When the settings are wrong or Kafka cannot be asked.
pub async fn run(command: Command, config: Config) -> Result<Exit, Failure> {
    let names = config.topic_names().map_err(|error| Failure::configuration(&error))?;
    let specs: Vec<_> = names.all().cloned().collect();
    let plan = provision::inspect(&config.kafka, &specs).await.map_err(failure)?.plan;
    match command {
        Command::Plan { output } => {
            print(plan.topics.iter().map(|topic| (topic, states(topic))), output)?;
            Ok(if plan.is_clean() { Exit::Clean } else { Exit::Differs })
        }
        Command::Apply { output } => {
            let changes = provision::apply(&config.kafka, &plan, Growth::Leave).await.map_err(failure)?;
            until_known(&config, &specs, &changes).await.map_err(failure)?;
            let done: Vec<_> = plan.topics.iter().map(|topic| (topic, applied(topic, &changes))).collect();
            print(done.iter().map(|(topic, states)| (*topic, states.clone())), output)?;
            Ok(ended(&changes))
        }
    }
}

/// Brokers hear a moment after the controller that there is another topic; what is scripted behind this
/// command should not have to wait.
async fn until_known(config: &Config, specs: &[TopicSpec], changes: &[Change]) -> Result<(), Error> {
    let made: Vec<_> = changes.iter().filter(|change| change.result.is_ok()).collect();
    let deadline = Instant::now() + KNOWN_WITHIN;
    while !made.is_empty() && Instant::now() < deadline {
        let observed = provision::list(&config.kafka, specs).await?;
        if made.iter().all(|change| observed.partitions.contains_key(&*change.topic)) {
            break;
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    Ok(())
}

/// What differs and cannot be mended by creating something is printed, and is `plan`'s to fail on.
fn ended(changes: &[Change]) -> Exit {
    if changes.iter().any(|change| change.result.is_err()) { Exit::Io } else { Exit::Clean }
}

const OK: &str = "ok";
const CREATED: &str = "created";

fn applied(topic: &Topic, changes: &[Change]) -> Vec<String> {
    match changes.iter().find(|change| change.topic == *topic.spec.name) {
        Some(Change { result: Ok(()), .. }) => vec![CREATED.to_owned()],
        Some(Change { result: Err(code), .. }) => vec![format!("cannot be created: {code}")],
        None => states(topic),
    }
}

fn states(topic: &Topic) -> Vec<String> {
    if topic.differences.is_empty() {
        return vec![OK.to_owned()];
    }
    let state = |difference: &Difference| match difference {
        Difference::Missing => "missing".to_owned(),
        Difference::Partitions { found } => {
            let what = if topic.breaks_affinity() { "error: " } else { "" };
            format!("{what}{found} partitions instead of {}", topic.spec.partitions)
        }
        Difference::Config { key, found } => format!(
            "{key} is {} instead of {}",
            found.as_deref().unwrap_or("unknown"),
            topic.spec.configs.get(key).map_or("", String::as_str)
        ),
    };
    topic.differences.iter().map(state).collect()
}

fn print<'a>(topics: impl Iterator<Item = (&'a Topic, Vec<String>)>, output: Output) -> Result<(), Failure> {
    let mut list = List::new(&["topic", "state", "partitions", "settings"]);
    for (Topic { spec, .. }, states) in topics {
        let settings = spec.configs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
        list.push(vec![
            Value::from(&*spec.name),
            states.join("; ").into(),
            spec.partitions.into(),
            settings.join(" ").into(),
        ]);
    }
    list.print(output)
}

/// Why a cluster could not be asked.
pub(super) fn failure(error: Error) -> Failure {
    match error {
        Error::Client(error) => Failure::configuration(&error),
        Error::Request { .. } | Error::OAuth | Error::Stopping => Failure::unavailable("Kafka", &error),
    }
}
