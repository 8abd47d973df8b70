//! `db psql`: psql on the development database.

use std::process::ExitCode;

use anyhow::Result;

use crate::context::Context;
use crate::process::Kind;

#[derive(clap::Args)]
#[command(after_help = "Example: cargo xtask db psql -- -c 'select count(*) from links'")]
pub struct Args {
    /// Given to psql
    #[arg(last = true)]
    args: Vec<String>,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let launcher = context.launcher(&repository.workspace.root)?;
    // For `\i file`, the folder the user is in.
    launcher.shell.change_dir(&context.env.cwd);
    let cluster = super::open(context, &repository, &launcher)?;
    context.screen.clear();
    let command = cluster.programs(&launcher).psql(repository.name()).args(&args.args);
    Ok(ExitCode::from(launcher.interact(command, Kind::Tool)?))
}
