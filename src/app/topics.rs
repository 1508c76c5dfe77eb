//! `mews-bridge topics plan|apply`

use super::{Exit, Failure, arguments::Topics as Command};
use crate::config::Config;

/// Runs the command.
///
/// # Errors
/// When Kafka cannot be reached.
pub async fn run(_command: Command, _config: Config) -> Result<Exit, Failure> {
    Ok(Exit::Clean)
}
