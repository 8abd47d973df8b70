//! `db url`: for programs that take a URL.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::context::Context;

/// How long the server stays up for whoever was given the URL, beyond its last user.
const GRACE: Duration = Duration::from_secs(10 * 60);

pub fn run(context: &Context) -> Result<ExitCode> {
    let repository = context.repository()?;
    let launcher = context.launcher(&repository.workspace.root)?;
    let cluster = super::open(context, &repository, &launcher)?;
    cluster.folder().extend_grace(Some(GRACE))?;
    context.screen.data(&cluster.url(repository.name()));
    context
        .screen
        .note("the server stays up for 10 minutes after its last user; at once down: cargo xtask db stop");
    Ok(ExitCode::SUCCESS)
}
