//! The log: one line an event on stderr, so that stdout stays free for data.

use crate::failure::Failure;
use std::io::IsTerminal;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For people, without the time: for whoever runs the service and adds it, as `cargo xtask dev` does.
    Plain,
    /// One JSON object a line, for a log collector.
    Json,
}

/// Starts the log of this process.
///
/// # Errors
/// `level` is not a list of levels and `target=level` pairs.
pub fn start(level: &str, format: LogFormat) -> Result<(), Failure> {
    let wrong = || Failure::LogLevel(format!("`{level}`"));
    // To the parser a word alone may be a module, so `loud` would be silence; here it must be a level.
    if !level.split(',').all(|part| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok()) {
        return Err(wrong());
    }
    let filter: Targets = level.parse().map_err(|_| wrong())?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colour).with_target(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Plain => lines.without_time().boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    Ok(())
}
