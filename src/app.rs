//! One file per command: each builds its parts, supervises them, and ends them in a written order.
//!
//! Only this floor knows all the parts. It holds no logic of theirs: a command reads the
//! configuration, binds what it needs before it does anything, says where it listens, and turns
//! every way of ending into one of the exit codes that others script against.

pub mod arguments;
pub mod config;
pub mod contract;
pub mod control;
pub mod dead_letters;
pub mod demo;
pub mod enricher;
pub mod exit;
pub mod ingress;
pub mod journal;
pub mod output;
pub mod part;
pub mod quarantine;
pub mod records;
pub mod replay;
pub mod simulator;
pub mod topics;

use crate::config::{Config, Sources, load};
use crate::telemetry::logging;
pub use arguments::{Arguments, Command};
pub use exit::{Exit, Failure};
pub use part::Part;

/// Runs one command to its end.
///
/// # Errors
/// What to tell the person, and the exit code for whoever scripts.
pub fn run(arguments: Arguments) -> Result<Exit, Failure> {
    // One cryptography for every HTTPS client of the process; only a second call could find one there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sources = Sources { file: arguments.config, environment: environment(), flags: arguments.set };
    let (config, figment) = load(&sources)?;
    if let Command::Config { command } = &arguments.command {
        return config::run(command, &config, &figment);
    }
    config.check()?;
    let logs = match arguments.command {
        // Its table is what is to be seen, unless somebody asks for more.
        Command::Demo(_) if config.telemetry == logging::Config::default() => {
            logging::Config { log: "warn".to_owned(), ..logging::Config::default() }
        }
        // The temporary journal of a replay is nobody's business.
        Command::Quarantine { .. } | Command::Journal { .. }
            if config.telemetry == logging::Config::default() =>
        {
            logging::Config { log: "info,mews_bridge::journal=warn".to_owned(), ..logging::Config::default() }
        }
        _ => config.telemetry.clone(),
    };
    logging::start(&logs).map_err(|error| Failure::configuration(&error))?;
    match arguments.command {
        Command::Ingress => on_runtime(ingress::run(config)),
        Command::Enricher => on_runtime(enricher::run(config)),
        Command::Topics { command } => on_runtime(topics::run(command, config)),
        Command::Journal { command } => journal::run(command, &config),
        Command::Quarantine { command } => quarantine::run(command, &config),
        Command::DeadLetters { command } => dead_letters::run(command, &config),
        Command::Contract { schema } => contract::run(schema.as_deref(), &config),
        Command::Demo(options) => on_runtime(demo::run(options, config)),
        Command::Simulator(options) => on_runtime(simulator::run(*options)),
        Command::Config { .. } => unreachable!("answered before logging started"),
    }
}

fn on_runtime(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("cannot start the runtime", &error))?;
    let ended = runtime.block_on(command);
    // What still runs on blocking threads has nothing left to finish.
    runtime.shutdown_background();
    ended
}

/// A configuration that has passed the checks of a process.
fn checked(config: &Config, role: crate::config::Role) -> Result<(), Failure> {
    Ok(config.check_for(role)?)
}

/// A variable that is no text is none of ours.
fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
