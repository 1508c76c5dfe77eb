//! The command line.

mod replay;
mod simulator;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use replay::{Manner, WhichDeadLetters, WhichDeliveries, WhichQuarantined};
pub use simulator::Simulator;

/// Stands between Mews webhooks and Kafka: answers at once, loses nothing that it answered.
///
/// Try `mews-bridge demo`: it needs no Kafka, no Mews and no configuration.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Configuration file (TOML). Environment variables MEWS_BRIDGE__SECTION__KEY override it.
    #[arg(long, global = true, env = "MEWS_BRIDGE_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Override one key, above file and environment; may be given several times.
    #[arg(long, global = true, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done and drained, 1 topics differ, 64 bad configuration, 69 a needed thing \
could not be reached, 70 a bug, 74 input/output failure, 75 stopped before all was drained (it is in the journal).";

/// One thing to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Accept webhooks, journal them, and relay them to Kafka. Runs until SIGTERM.
    ///
    /// Needs at least one webhook token (ingress.tokens or ingress.token_files) and a sealing key
    /// (credentials.sealing_key_files). Kafka may be away: deliveries are answered all the same.
    Ingress,
    /// Turn ids into records: read the events, fetch what changed from Mews, publish it. Runs until SIGTERM.
    ///
    /// Needs the client token (connector.client_token_file) and access tokens: credentials.file, or a
    /// sealing key (credentials.sealing_key_files) to open those that Integration webhooks brought. Kafka
    /// and Mews may be away: it waits for both, and is ready when it consumes.
    Enricher,
    /// Show the whole product at work: embedded broker, ingress, enricher, and hotels of a simulated Mews.
    ///
    /// Nothing to install, nothing to configure, nothing left behind.
    Demo(Demo),
    /// Play Mews: a Connector API over invented hotels, and the webhooks that tell of their changes.
    ///
    /// As strict as Mews documents it, for trying a subscriber or an API client: Mews offers no way to
    /// trigger a webhook. It prints its address, its tokens, and lines to paste. Everything that a flag
    /// sets at the start can be turned while it runs, under /simulator/knobs of the same address; under
    /// /simulator/truth it says what is so, under /simulator/told what it told.
    ///
    /// Where a flag takes OPERATION=, that is the first word of an operation's path: reservations, resources,
    /// messages, messageThreads, resourceBlocks, customers, payments, products, services, enterprises,
    /// productServiceOrders, configuration. Without it, the value is for all of them.
    ///
    /// Try: mews-bridge simulator --pace 1 --delay 1s --webhooks 'http://127.0.0.1:8080/webhooks?token=…'
    Simulator(Box<Simulator>),
    /// Check or show the configuration.
    Config {
        /// What to do with it.
        #[command(subcommand)]
        command: Config,
    },
    /// Compare the topics with the configuration, or create what is missing.
    Topics {
        /// What to do with them.
        #[command(subcommand)]
        command: Topics,
    },
    /// Look into the journal, drain it, or send again what is still in it, while the ingress is running.
    Journal {
        /// What to look at.
        #[command(subcommand)]
        command: Journal,
    },
    /// Look at what was not understood, or try it again.
    Quarantine {
        /// What to do with it.
        #[command(subcommand)]
        command: Quarantine,
    },
    /// Look at what was understood and could not be delivered, or send it again.
    DeadLetters {
        /// What to do with it.
        #[command(subcommand)]
        command: DeadLetters,
    },
    /// Write what subscribers can rely on to standard output: AsyncAPI 3.0, or one JSON Schema.
    ///
    /// The document has every topic of the configuration in force, by its name there, with the key, the
    /// headers and the value of its records. It is JSON, which AsyncAPI tools read as they read YAML.
    ///
    /// Try: mews-bridge contract --schema events.CustomerAdded
    Contract {
        /// Only the JSON Schema (draft 7) of this name: a topic without its prefix for the value, such as
        /// entities.reservations, or headers.event and the like. A wrong name lists them all.
        #[arg(long, value_name = "NAME")]
        schema: Option<String>,
    },
}

/// `mews-bridge demo`
#[derive(Args, Debug)]
pub struct Demo {
    /// End by itself after this long, such as 20s.
    #[arg(long, value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// Hotels that change, send webhooks and answer the enricher.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub hotels: u16,
    /// Changes a second, all hotels together. Webhooks tell of them a second or two later.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub rate: u16,
    /// One seed: the same hotels and the same history.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// `mews-bridge config`
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Exit 0 if the configuration is right, else say everything that is wrong and exit 64.
    Check {
        /// The process to check for. Without it: what the sections present need.
        process: Option<Process>,
    },
    /// Every key with its value and where it came from; secrets are hidden.
    Show {
        /// How the list looks.
        #[command(flatten)]
        output: Output,
    },
}

/// A process that is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Process {
    /// mews-bridge ingress
    Ingress,
    /// mews-bridge enricher
    Enricher,
}

/// `mews-bridge topics`
#[derive(Debug, Subcommand)]
pub enum Topics {
    /// Say what is missing or differs; exit 1 if anything does.
    Plan {
        /// How the list looks.
        #[command(flatten)]
        output: Output,
    },
    /// Create the topics that are missing. Never deletes, shrinks or changes one.
    Apply {
        /// How the list looks.
        #[command(flatten)]
        output: Output,
    },
}

/// `mews-bridge journal`
#[derive(Debug, Subcommand)]
pub enum Journal {
    /// The deliveries that are not in Kafka yet, oldest first.
    Ls {
        /// How the list looks.
        #[command(flatten)]
        output: Output,
    },
    /// Read every byte. Exit 0 if all is well or only the tail is torn, 74 on damage.
    Verify {
        /// How the findings look.
        #[command(flatten)]
        output: Output,
    },
    /// Write the body of one delivery to standard output, as it is in the journal.
    Cat {
        /// Delivery id, or a ce_id of one of its records.
        id: String,
    },
    /// Make the running ingress give one stuck delivery up: it is never delivered, nor kept anywhere.
    ///
    /// It is counted as discarded once all older deliveries have left as well; a process that ends
    /// before that tries it again.
    Discard {
        /// Delivery id, or a ce_id of one of its records.
        id: String,
        /// It is meant. Without it: say what would happen, and exit 64.
        #[arg(long)]
        yes: bool,
    },
    /// Make the running ingress take no more deliveries, and wait until those it has are in Kafka.
    ///
    /// It goes on answering, with 503. Exit 0 when the journal is drained, 75 when the timeout is
    /// over, 69 when no process answers on the control socket.
    Drain {
        /// How long to wait. The drain itself goes on after that.
        #[arg(long, default_value = "10m", value_parser = humantime::parse_duration)]
        timeout: Duration,
    },
    /// Deliver once more what has left the journal and is still in its files, as after the loss of a topic.
    ///
    /// A segment file (journal.segment_bytes) is removed once it is full and everything in it is delivered, so
    /// these are the latest deliveries: `--dry-run --all` lists them. All records of a delivery are sent again,
    /// with the ce_id, the time and the order that they had. It reads the files and changes nothing in them, so
    /// an ingress may run on them or not. What has not left yet is not replayed: it goes out by itself.
    ///
    /// At least once: each replay sends everything again. Subscribers know a repetition by its ce_id; the
    /// enricher fetches what is so now, and no older access token takes a newer one's place.
    ///
    /// Exit 0 when all that was asked for is confirmed, 74 when some was refused (the list says what and why;
    /// the rest went out), 69 when Kafka does not answer, 75 when a signal stopped it, 64 for a wrong command
    /// line.
    Replay {
        /// Which of them.
        #[command(flatten)]
        which: WhichDeliveries,
        /// How it is done.
        #[command(flatten)]
        manner: Manner,
    },
}

/// `mews-bridge quarantine`
#[derive(Debug, Subcommand)]
pub enum Quarantine {
    /// What is in the quarantine and why; never the bodies.
    Ls {
        /// How the list looks.
        #[command(flatten)]
        output: Output,
    },
    /// Write one body to standard output, and nothing else. Exit 74 if there is none of this id.
    Cat {
        /// Open what is sealed in it, with credentials.sealing_key_files. Secrets come out as they are.
        #[arg(long)]
        open: bool,
        /// Its ce_id, or its delivery id where that says enough.
        id: String,
    },
    /// Judge what was quarantined once more, and fan out what this version or configuration understands.
    ///
    /// It takes the way of a webhook: opened with credentials.sealing_key_files, judged by the code of the
    /// ingress, fanned out and sent by that of the relay, in this process; no ingress has to run. The records
    /// carry the ce_id, the time and the trace of the delivery that it came in. What is still not understood
    /// stays in the quarantine as it is, and is refused with the reason.
    ///
    /// At least once: what was understood stays in the quarantine as well until its time is over there, and a
    /// second replay sends it again. Subscribers know a repetition by its ce_id. Try --dry-run first.
    ///
    /// Exit 0 when all that was asked for is confirmed, 74 when some was refused (the list says what and why;
    /// the rest went out), 69 when Kafka does not answer, 75 when a signal stopped it, 64 without a sealing
    /// key or for a wrong command line.
    Replay {
        /// Which of them.
        #[command(flatten)]
        which: WhichQuarantined,
        /// How it is done.
        #[command(flatten)]
        manner: Manner,
    },
}

/// `mews-bridge dead-letters`
#[derive(Debug, Subcommand)]
pub enum DeadLetters {
    /// The dead letters and why, those in files beside the journal as well; never their values.
    Ls {
        /// How the list looks.
        #[command(flatten)]
        output: Output,
    },
    /// Write the value of one record to standard output, and nothing else. Exit 74 if there is none of this id.
    Cat {
        /// Of several records of one id, the one that was for this topic.
        #[arg(long)]
        topic: Option<String>,
        /// Its ce_id, or its delivery id where that says enough.
        id: String,
    },
    /// Put dead letters back on the topics that they were for, once what stood in their way is mended.
    ///
    /// Each goes out with its own key, value and headers, so with the ce_id that it had, and with
    /// `dead_letter_replayed` in place of the other `dead_letter_…` headers. It comes behind what its topic
    /// has taken since. An event of the enricher's is enriched anew; a record of mews.credentials is merged
    /// with what its topic holds, so that no older access token takes a newer one's place. Files beside the
    /// journal are sent as well, and removed once a broker has confirmed the record.
    ///
    /// At least once: a dead letter stays on its topic until its time is over there, and a second replay
    /// sends it again. Subscribers know a repetition by its ce_id. Try --dry-run first.
    ///
    /// Exit 0 when every record that was asked for is confirmed, 74 when some were refused (the list says
    /// which and why; the others went out), 69 when Kafka does not answer, 64 for a wrong command line.
    Replay {
        /// Which of them.
        #[command(flatten)]
        which: WhichDeadLetters,
        /// How it is done.
        #[command(flatten)]
        manner: Manner,
    },
}

/// How a list looks.
#[derive(Args, Clone, Copy, Debug)]
pub struct Output {
    /// `table` for a person, `json` for one JSON object a line. Without it: a table on a terminal.
    #[arg(long = "output", value_enum)]
    pub form: Option<Form>,
}

/// Forms of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Aligned columns.
    Table,
    /// One JSON object a line.
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
