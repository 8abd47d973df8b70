//! `db upgrade-server`: the way to another major version, as commands to read first.

use std::process::ExitCode;

use anyhow::Result;

use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::process::quote;

#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask db upgrade-server")]
pub struct Args {
    /// The major version to move to [default: the first of `versions` in xtask.toml]
    #[arg(value_parser = clap::value_parser!(u8).range(9..))]
    major: Option<u8>,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let folder = repository.cluster_folder();
    let versions = repository.config.postgres.versions.get_ref();
    let wanted = args.major.map(|major| major.to_string()).or_else(|| versions.first().cloned());
    let wanted = wanted.unwrap_or_default();
    let Some(major) = folder.data_major() else {
        return Err(Failure::new(Code::Failed, "there are no data yet")
            .next("cargo xtask dev      (starts with the newest version that xtask.toml names and that is here)")
            .into());
    };
    if major == wanted {
        context.screen.done("postgres", &format!("the data are of {major} already"), None);
        return Ok(ExitCode::SUCCESS);
    }
    let data = folder.data().display().to_string();
    let (from, to) = (quote(&data), quote(&format!("{data}-{major}")));
    let dump = format!("{}-from-{major}.dump", repository.name());
    for line in [
        format!("cargo xtask db dump {dump}"),
        "cargo xtask db stop --force".to_owned(),
        format!("mv {from} {to}"),
        format!("# in xtask.toml [postgres]: versions = [\"{wanted}\"]      (found, or downloaded)"),
        format!("cargo xtask db restore --yes {dump}"),
        "cargo xtask db status".to_owned(),
        format!("# when all is there: rm -r {to} {dump}"),
    ] {
        context.screen.data(&line);
    }
    context.screen.note("nothing was changed: read the commands, then paste them one by one");
    Ok(ExitCode::SUCCESS)
}
