//! `__cluster`: the keeper of a PostgreSQL cluster.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;

use crate::context::Context;
use crate::postgres::{Folder, Keeper, Life, Server};
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
    /// What becomes of the data
    #[arg(long, value_parser = life)]
    life: Life,
    /// A port of 127.0.0.1 to listen on as well
    #[arg(long)]
    tcp: Option<u16>,
}

fn account(text: &str) -> Result<Account, String> {
    let parts = text.split_once(':').and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)));
    parts.map(|(uid, gid)| Account { uid, gid }).ok_or_else(|| "not UID:GID".to_owned())
}

fn life(text: &str) -> Result<Life, String> {
    let found = Life::NAMES.iter().find(|(name, _)| *name == text);
    found.map(|(_, life)| *life).ok_or_else(|| "unknown".to_owned())
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let keeper = Keeper {
        folder: Folder::new(&args.folder),
        server: Server { bin: args.bin.clone(), version: args.version.clone() },
        template: args.template.clone(),
        account: args.account,
        life: args.life,
        tcp: args.tcp,
    };
    // Nobody watches: what it has to say is in its log.
    let launcher = Launcher::new(&context.env, &(), Path::new("/"))?;
    keeper.run(&launcher)?;
    Ok(ExitCode::SUCCESS)
}
