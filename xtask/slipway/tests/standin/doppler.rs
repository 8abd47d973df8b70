//! A stand-in for the Doppler CLI 3.76, for tests and bench/secrets on machines without it: the commands that the tool
//! uses, with the real one's flags, precedence, texts on stderr, waiting and exit codes as they were measured.
//! HTTP on loopback only, no TLS: it cannot reach anything else. Compiled by `rustc` alone (tests/it/compiled.rs).
//!
//! `doppler __api FILE PORTFILE` is the service (api.rs) with the configs of a file, until stdin ends.

mod api;
mod args;
mod http;
mod json;
mod run;
mod settings;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use args::Args;
use json::{Json, list, quote};
use settings::Settings;

/// Why it ends with 1. The real one has no other code.
pub struct Failure {
    /// What it could not do; not shown with --json.
    pub message: String,
    pub error: String,
    /// The service's, if it answered.
    pub status: u16,
}

impl Failure {
    pub fn new(message: &str, error: impl ToString) -> Self {
        Failure { message: message.to_owned(), error: error.to_string(), status: 0 }
    }
}

pub type Result<T> = std::result::Result<T, Failure>;

const UNREADABLE: &str = "Unable to parse API response";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "__api") {
        return match serve(&words[1], &words[2]) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    // The real one too knows the flag before it has read the others.
    let json =
        words.iter().take_while(|word| *word != "--").any(|word| word == "--json" || word == "--json=true");
    match Args::parse(words).and_then(command) {
        Ok(code) => ExitCode::from(code),
        Err(failure) if json => {
            eprintln!("{{\"error\":{}}}", quote(&failure.error));
            ExitCode::FAILURE
        }
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("{}", failure.message);
            }
            eprintln!("Doppler Error: {}", failure.error);
            ExitCode::FAILURE
        }
    }
}

fn command(args: Args) -> Result<u8> {
    if args.on("version") {
        println!("v3.76.1 (stand-in)");
        return Ok(0);
    }
    let settings = Settings::read(&args)?;
    let words: Vec<&str> = args.words.iter().map(String::as_str).collect();
    match words[..] {
        ["run", ..] => return run::run(&args, &settings),
        ["configure", "get", ..] => configure_get(&args, &settings)?,
        ["me"] => {
            let me = settings.ask("/v3/me", &[], "Unable to fetch actor")?;
            match args.on("json") {
                true => println!("{me}"),
                false => println!("{}", me.get("name").and_then(Json::text).unwrap_or_default()),
            }
        }
        ["secrets"] if args.on("only-names") => names(&args, &settings)?,
        // Prints every value, as the real one: what the tool must never use. The service's log shows it.
        ["secrets"] => {
            let found =
                settings.ask("/v3/configs/config/secrets", &settings.place(), "Unable to fetch secrets")?;
            println!("{}", found.get("secrets").unwrap_or(&found));
        }
        ["projects"] => listing(&args, settings.ask("/v3/projects", &[], "Unable to fetch projects")?),
        ["configs"] => {
            let [project, _] = settings.place();
            settings::required("project", &project.1)?;
            listing(&args, settings.ask("/v3/configs", &[project], "Unable to fetch configs")?);
        }
        _ => return Err(Failure::new("", format!("unknown command {words:?}: not part of the stand-in"))),
    }
    Ok(0)
}

fn names(args: &Args, settings: &Settings) -> Result<()> {
    let found = settings.ask(
        "/v3/configs/config/secrets/names",
        &settings.place(),
        "Unable to fetch secret names",
    )?;
    let names = found.get("names").map(Json::items).unwrap_or_default();
    let mut names: Vec<&str> = names.iter().filter_map(Json::text).collect();
    names.sort_unstable();
    match args.on("json") {
        true => println!("{{{}}}", list(names.iter().map(|name| format!("{}:{{}}", quote(name))))),
        false => println!("{}", names.join("\n")),
    }
    Ok(())
}

/// The one list in an answer.
fn listing(args: &Args, found: Json) {
    let items = found.entries().iter().map(|(_, value)| value.items()).find(|items| !items.is_empty());
    let items = items.unwrap_or_default();
    match args.on("json") {
        true => println!("[{}]", list(items)),
        false => items.iter().filter_map(|item| item.get("name")?.text()).for_each(|name| println!("{name}")),
    }
}

/// What the file says for the scope, whatever the environment says.
fn configure_get(args: &Args, settings: &Settings) -> Result<()> {
    let mut found = BTreeMap::new();
    for name in &args.words[2..] {
        let key = match name.as_str() {
            "project" | "config" => format!("enclave.{name}"),
            "enclave.project" | "enclave.config" | "token" | "api-host" => name.clone(),
            odd => return Err(Failure::new("", format!("invalid option {odd}"))),
        };
        let value = settings.scoped.get(&key).cloned().unwrap_or_default();
        found.insert(key, value);
    }
    match args.on("json") {
        true => {
            let pairs = found.iter().map(|(name, value)| format!("{}:{}", quote(name), quote(value)));
            println!("{{{}}}", list(pairs));
        }
        false => found.values().for_each(|value| println!("{value}")),
    }
    Ok(())
}

/// Lines of the file: `token TOKEN`, a CLI's; `token TOKEN PROJECT CONFIG`, a service's; `PROJECT CONFIG NAME VALUE`.
fn serve(file: &str, port_file: &str) -> std::io::Result<()> {
    let mut service = api::Service::default();
    for line in std::fs::read_to_string(file)?.lines() {
        match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
            ["token", token] => drop(service.tokens.insert(token.to_owned(), None)),
            ["token", token, project, config] => {
                service.tokens.insert(token.to_owned(), Some(api::place(project, config)));
            }
            [project, config, name, value] => {
                service.add(project, config, [(name.to_owned(), value.to_owned())])
            }
            _ => {}
        }
    }
    let url = api::serve(Arc::new(Mutex::new(service)))?;
    let staged = format!("{port_file}.new");
    std::fs::write(&staged, url)?;
    std::fs::rename(staged, port_file)?;
    std::io::stdin().read_to_end(&mut Vec::new()).map(drop)
}
