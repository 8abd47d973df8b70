//! `image build`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use super::make::{TARGET, make};
use crate::context::Context;

#[derive(clap::Args, Default)]
#[command(
    after_help = "Examples:\n  cargo xtask image build\n  cargo xtask image build --json | jq -r .digest\n  \
                  cargo xtask image build --rootfs /out      (for a Dockerfile)"
)]
pub struct Args {
    /// For programs, on stdout
    #[arg(long)]
    json: bool,
    /// Write the files of the image's root into this folder as well
    #[arg(long, value_name = "FOLDER")]
    rootfs: Option<PathBuf>,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let made = make(context, &repository, TARGET)?;
    if let Some(folder) = &args.rootfs {
        made.contents.write_root(&context.env.cwd.join(folder))?;
    }
    match args.json {
        true => context.screen.data(&made.json(&repository).to_string()),
        false => made.show(context, &repository),
    }
    Ok(ExitCode::SUCCESS)
}
