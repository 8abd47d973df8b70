//! `db start`: the server up until it is stopped, for clients that connect by themselves.

use std::fs::File;
use std::io::Read as _;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::net;
use crate::postgres::{Cluster, Connection, literal};

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  cargo xtask db start\n  cargo xtask db start --tcp 5433")]
pub struct Args {
    /// Listen on 127.0.0.1 as well, at this port, with a password: for graphical clients
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1024..))]
    tcp: Option<u16>,
    /// Make another password; the old one opens nothing any more
    #[arg(long, requires = "tcp")]
    new_password: bool,
}

pub fn run(context: &Context, args: &Args) -> Result<ExitCode> {
    let repository = context.repository()?;
    let launcher = context.launcher(&repository.workspace.root)?;
    let folder = repository.cluster_folder();
    let started = Instant::now();
    if let Some(port) = args.tcp.filter(|port| folder.tcp() != Some(*port))
        && Cluster::is_up(&folder)?
    {
        if Cluster::in_use(&folder)? {
            return Err(in_use(port).into());
        }
        Cluster::stop(&folder)?;
    }
    if let Some(port) = args.tcp.filter(|port| !net::is_free(*port))
        && !Cluster::is_up(&folder)?
    {
        return Err(Failure::new(Code::Failed, format!("port {port} is held by another program"))
            .why("a PostgreSQL of this system, perhaps: it listens there by default")
            .next(format!("cargo xtask db start --tcp {}", port.saturating_add(1)))
            .into());
    }
    let cluster = super::open_listening(context, &repository, &launcher, args.tcp)?;
    if let Some(port) = args.tcp.filter(|port| cluster.folder().tcp() != Some(*port)) {
        // Somebody else has started it in the meantime.
        return Err(in_use(port).into());
    }
    cluster.folder().extend_grace(None)?;
    let name = repository.name();
    match args.tcp {
        None => context.screen.data(&cluster.url(name)),
        Some(port) => {
            let password = password(&mut cluster.admin()?, args.new_password)?;
            let secret = password.as_ref().map(|password| format!(":{password}")).unwrap_or_default();
            context.screen.data(&format!("postgres://postgres{secret}@127.0.0.1:{port}/{name}"));
            if password.is_none() {
                context.screen.note("the password is the one you were given before; another: --new-password");
            }
        }
    }
    context.screen.done("postgres", "up until: cargo xtask db stop", Some(started.elapsed()));
    Ok(ExitCode::SUCCESS)
}

fn in_use(port: u16) -> Failure {
    Failure::new(Code::Failed, format!("the server is in use, without port {port}"))
        .why("it begins to listen only when it starts")
        .next("end `dev` and what else uses it, and the same command again")
}

/// Gives the superuser a password, unless it has one already and no other is wanted: it is kept only as the server
/// keeps it, hashed, so it is shown once.
fn password(admin: &mut Connection, wanted: bool) -> Result<Option<String>> {
    let has = "select rolpassword is not null from pg_authid where rolname = 'postgres'";
    if !wanted && admin.value(has)?.as_deref() == Some("t") {
        return Ok(None);
    }
    let mut bytes = [0; 16];
    File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes)).context("no random bytes")?;
    let password: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    // Also if it fails, the statement does not go to the server's log.
    admin.query("set log_statement = 'none'; set log_min_error_statement = 'panic'; set log_min_duration_statement = -1")?;
    admin.query(&format!("alter role postgres password {}", literal(&password)))?;
    Ok(Some(password))
}
