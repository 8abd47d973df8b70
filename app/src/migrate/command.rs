//! `links migrate`: the run or the check, and what it prints.

use super::{MIGRATIONS, Step, check, run};
use crate::config::Migrate as Arguments;
use crate::db;
use crate::failure::Failure;
use std::process::ExitCode;

/// Runs `links migrate`.
///
/// # Errors
/// The database does not answer, a migration fails, or what is applied does not match what is built in.
pub async fn command(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let options = db::options(&arguments.database_url)?;
    let report = if arguments.check {
        check(&options, &MIGRATIONS).await?
    } else {
        run(&options, &MIGRATIONS, |step| match step {
            Step::Waiting => eprintln!("waiting: another migrator is at work"),
            Step::Blocked(text) => eprintln!("waiting for {text}"),
            Step::Applied(applied) if !arguments.json => {
                println!("applied {}.sql {} ms", applied.name, applied.ms);
            }
            Step::Applied(_) => {}
        })
        .await?
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&report).unwrap_or_default());
    } else {
        for pending in &report.pending {
            println!("pending {}.sql", pending.name);
        }
        for version in &report.ahead {
            println!("ahead {version}: applied by a newer version of this service");
        }
        match report.pending.len() {
            0 => println!("up to date, {} migrations, {:.0} ms", MIGRATIONS.iter().count(), report.ms),
            count => println!("{count} pending"),
        }
    }
    Ok(if report.up_to_date { ExitCode::SUCCESS } else { ExitCode::from(3) })
}
