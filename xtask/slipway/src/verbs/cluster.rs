//! `__cluster`: the keeper of a PostgreSQL cluster.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;

use crate::context::Context;
use crate::postgres::{Folder, Keeper, Server};
use crate::process::{Account, Launcher};

#[derive(clap::Args)]
pub struct Args {
    /// The cluster's folder
    folder: PathBuf,
    /// The server's programs
    #[arg(long)]
    bin: PathBuf,
    /// The server's version
    #[arg(long)]
    version: String,
    /// What new data is copied from
    #[arg(long)]
    template: PathBuf,
    /// UID:GID that runs the server
    #[arg(long, value_parser = account)]
    account: Option<Account>,
    /// Remove the folder at the end
    #[arg(long)]
    ephemeral: bool,
}

fn account(text: &str) -> Result<Account, String> {
    let parts = text.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    parts.map(|(uid, gid)| Account { uid, gid }).ok_or_else(|| "not UID:GID".to_owned())
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let keeper = Keeper {
        folder: Folder::new(&args.folder),
        server: Server { bin: args.bin.clone(), version: args.version.clone() },
        template: args.template.clone(),
        account: args.account,
        ephemeral: args.ephemeral,
    };
    // Nobody watches: what it has to say is in its log.
    let launcher = Launcher::new(&context.env, &(), Path::new("/"))?;
    keeper.run(&launcher)?;
    Ok(ExitCode::SUCCESS)
}
