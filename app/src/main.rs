//! The binary `links`: reads the command line, runs one sub-command, turns its end into an exit code.

use clap::Parser;
use links::config::{Cli, Command};
use links::failure::Failure;
use links::{lifecycle, migrate, probes, telemetry};
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)
        .and_then(|runtime| runtime.block_on(run(Cli::parse().command)));
    outcome.unwrap_or_else(|failure| {
        eprintln!("error: {failure}");
        if let Some(next) = failure.next() {
            eprintln!("  next  {next}");
        }
        ExitCode::from(failure.code())
    })
}

async fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve(serve) => {
            telemetry::start(&serve.log_level, serve.log_format)?;
            lifecycle::serve(*serve).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Migrate(arguments) => migrate::command(&arguments).await,
        Command::Probe(arguments) => {
            probes::client::ask(&arguments.admin_listen, arguments.probe).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
