//! `image load`: docker and podman read the archive; nothing is pulled and nothing pushed.

use std::process::ExitCode;

use anyhow::Result;
use xshell::cmd;

use super::make::{TARGET, make};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::process::{Kind, tail};

#[derive(clap::Args)]
#[command(
    after_help = "Example: cargo xtask image load && docker run --rm --read-only --cap-drop ALL links:latest --help"
)]
pub struct Args {}

/// Most bytes that a loader says.
const MOST: u64 = 1 << 20;

pub fn run(context: &Context, _: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let path = context.env.var("PATH");
    let found = ["docker", "podman"]
        .into_iter()
        .find(|program| which::which_in(program, path, &context.env.cwd).is_ok());
    let program = found.ok_or_else(|| {
        Failure::new(Code::Missing, "neither docker nor podman is installed, or on PATH")
            .next("cargo xtask image build      (the archive is an OCI image: any loader takes it)")
    })?;
    let made = make(context, &repository, TARGET)?;
    made.show(context, &repository);
    let launcher = context.launcher(&repository.workspace.root)?;
    let archive = &made.store.archive;
    let answer =
        launcher.answer(cmd!(launcher.shell, "{program} load --input {archive}"), Kind::Tool, &[], MOST)?;
    if answer.code != 0 {
        let down =
            ["Cannot connect to the", "connection refused", "permission denied while trying to connect"];
        let code = match down.iter().any(|words| answer.stderr.contains(words)) {
            true => Code::Unreachable,
            false => Code::Failed,
        };
        return Err(Failure::new(code, format!("{program} did not take the image"))
            .why(tail(answer.stderr.trim(), 4))
            .next(format!("{program} info      (does it run, and may you use it?)"))
            .into());
    }
    let name = repository.name();
    context.screen.done("loaded", &format!("{name}:latest in {program}"), None);
    context.screen.line(&format!("next: {program} run --rm --read-only --cap-drop ALL {name}:latest --help"));
    Ok(ExitCode::SUCCESS)
}
