//! `db dump`: the development database in a file.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::files;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask db dump before.dump\n  cargo xtask db dump links.sql")]
pub struct Args {
    /// The file: SQL where its name ends with .sql, else pg_dump's compressed format
    file: PathBuf,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let launcher = context.launcher(&repository.workspace.root)?;
    let file = context.env.cwd.join(&args.file);
    if file.exists() {
        context.confirm(&format!("Overwrite {}?", args.file.display()))?;
    }
    let cluster = super::open(context, &repository, &launcher)?;
    let started = Instant::now();
    // An old dump goes when the new one is whole.
    let part = files::beside(&file, "part");
    let sql = file.extension().is_some_and(|extension| extension == "sql");
    let dumped = cluster.programs(&launcher).dump(repository.name(), &part, sql);
    let dumped = dumped.and_then(|()| {
        std::fs::File::open(&part).and_then(|part| part.sync_all()).context("cannot sync the dump")?;
        std::fs::rename(&part, &file).with_context(|| format!("cannot write {}", args.file.display()))
    });
    if dumped.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    dumped?;
    let bytes = std::fs::metadata(&file).map_or(0, |found| found.len());
    let fact = format!("{}, {}", args.file.display(), crate::output::size(bytes));
    context.screen.done("dumped", &fact, Some(started.elapsed()));
    Ok(ExitCode::SUCCESS)
}
