//! The command line and the environment: `links --help` is the reference, and there is no file.

use crate::listen::{AdminListen, Listen};
use crate::secrets::Secret;
use crate::telemetry::LogFormat;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;
use url::Url;

const CODES: &str =
    "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 `migrate --check` found pending ones";

/// Short links for a company, on PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "links", version, after_help = CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve the page, the API and the redirects until SIGTERM or ctrl-c.
    Serve(Box<Serve>),
    /// Apply the pending migrations.
    Migrate(Migrate),
    /// Ask a running service how it is; exit code 0 means well. For containers without a shell.
    Probe(Probe),
}

/// What `links serve` is told.
#[derive(Debug, Args)]
pub struct Serve {
    /// The database: postgres://user:password@host:5432/links, or ?host=/folder for a Unix socket.
    #[arg(long, env, hide_env_values = true)]
    pub database_url: Secret,

    /// Most connections to the database that requests may use at once.
    #[arg(long, env, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub database_max_connections: u32,

    /// Where people reach the service: host:port, or fd:0 when standard input is the listening socket.
    #[arg(long, env, default_value = "127.0.0.1:8080")]
    pub listen: Listen,

    /// Where /livez, /startupz and /readyz are answered: host:port, or unix:/path for a socket that only this user may open.
    #[arg(long, env, default_value = "127.0.0.1:9090")]
    pub admin_listen: AdminListen,

    /// What a person must know to change links. Without it nobody may, and only loopback is served.
    #[arg(long, env, hide_env_values = true)]
    pub edit_token: Option<Secret>,

    /// The address people type, such as https://go.example.com: trusted as origin, refused as a link's target.
    #[arg(long, env, value_parser = public_url)]
    pub public_url: Option<Url>,

    /// How long new connections are taken after SIGTERM while /readyz already says no, in seconds: load balancers need
    /// that long to hear of it.
    #[arg(long, env, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub drain_delay: Duration,

    /// How long requests may take to finish after that, in seconds. With the delay and 5 s more it must fit into the
    /// time after which the supervisor kills, 30 s with Kubernetes.
    #[arg(long, env, value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    pub drain_deadline: Duration,

    /// Set by `cargo xtask dev` only: the file that says what is wrong with the code as saved. Pages then show it, and
    /// load themselves again when a newer version serves.
    #[arg(long, env, value_name = "PATH")]
    pub dev_problem: Option<PathBuf>,

    /// What is logged: error, warn, info, debug, trace, or by module as in info,sqlx=warn.
    #[arg(long, env, default_value = "info")]
    pub log_level: String,

    /// How it is logged.
    #[arg(long, env, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// What `links migrate` is told.
#[derive(Debug, Args)]
pub struct Migrate {
    /// The database to migrate.
    #[arg(long, env, hide_env_values = true)]
    pub database_url: Secret,

    /// Change nothing; exit code 3 when migrations are pending.
    #[arg(long)]
    pub check: bool,

    /// One JSON object on stdout instead of lines for people.
    #[arg(long)]
    pub json: bool,
}

/// What `links probe` is told.
#[derive(Debug, Args)]
pub struct Probe {
    /// The question.
    #[arg(value_enum)]
    pub probe: ProbeKind,

    /// Where the service answers probes.
    #[arg(long, env, default_value = "127.0.0.1:9090")]
    pub admin_listen: AdminListen,
}

/// A question to a running service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProbeKind {
    /// Does the process answer?
    Live,
    /// Has its database every migration?
    Startup,
    /// Does its database answer, and is it not stopping?
    Ready,
}

/// The longest time that can be meant: an hour.
const LONGEST_SECONDS: f64 = 3600.0;

fn seconds(text: &str) -> Result<Duration, String> {
    let number: Option<f64> = text.parse().ok();
    number
        // Not a number is in no range.
        .filter(|seconds| (0.0..=LONGEST_SECONDS).contains(seconds))
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "expected seconds from 0 to 3600, such as 5 or 0.5".to_owned())
}

fn public_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("it must start with http:// or https://".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn seconds_are_plain_numbers() {
        assert_eq!(seconds("5"), Ok(Duration::from_secs(5)));
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(seconds("0"), Ok(Duration::ZERO));
        assert_eq!(seconds("3600"), Ok(Duration::from_secs(3600)));
        for wrong in ["", "5s", "-1", "-0.001", "3600.1", "NaN", "inf", "1e300"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
