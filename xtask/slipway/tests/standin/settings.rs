//! Token, project, config and host: flag, else environment, else the scope's in .doppler.yaml.

use std::collections::BTreeMap;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::args::Args;
use crate::http::{self, Reply};
use crate::json::Json;
use crate::{Failure, Result, UNREADABLE};

pub struct Settings {
    pub token: String,
    pub project: String,
    pub config: String,
    api_host: String,
    timeout: Option<Duration>,
    attempts: u32,
    /// Where the fallback files are, whatever --config-dir says.
    pub home: PathBuf,
    /// What the file has for the scope.
    pub scoped: BTreeMap<String, String>,
}

pub fn required(name: &str, value: &str) -> Result<()> {
    match value.trim() {
        "" => Err(Failure::new("", format!("you must provide a {name}"))),
        _ => Ok(()),
    }
}

impl Settings {
    pub fn read(args: &Args) -> Result<Self> {
        let variable = |name: &str| match args.on("no-read-env") {
            true => None,
            false => std::env::var(name).ok().filter(|value| !value.is_empty()),
        };
        // For all commands, also `--version`.
        let home = std::env::var("HOME").ok().filter(|home| !home.is_empty());
        let home =
            home.ok_or_else(|| Failure::new("Unable to determine home directory", "$HOME is not defined"))?;
        let home = Path::new(&home).join(".doppler");
        if !home.exists() {
            std::fs::DirBuilder::new().mode(0o700).create(&home).map_err(|error| {
                let message = format!("Unable to create config directory {}", home.display());
                Failure::new(&message, format!("mkdir {}: {}", home.display(), of_go(&error)))
            })?;
        }
        let from_env = variable("DOPPLER_CONFIG_DIR").filter(|_| args.get("config-dir").is_none());
        if from_env.is_some() {
            eprintln!("Using DOPPLER_CONFIG_DIR from the environment. To disable this, use --no-read-env.");
        }
        let folder = args.get("config-dir").map(str::to_owned).or(from_env);
        let file = folder.map_or(home.clone(), PathBuf::from).join(".doppler.yaml");
        let scoped = scope(&file, args.get("scope").unwrap_or("."))?;
        let value = |flag: &str, variables: &[&str], key: &str| {
            let flag = args.get(flag).map(str::to_owned);
            let from_env = || variables.iter().find_map(|name| variable(name));
            flag.or_else(from_env).or_else(|| scoped.get(key).cloned()).unwrap_or_default()
        };
        let mut api_host = value("api-host", &["DOPPLER_API_HOST"], "api-host");
        if api_host.is_empty() {
            "https://api.doppler.com".clone_into(&mut api_host);
        }
        Ok(Settings {
            token: value("token", &["DOPPLER_TOKEN"], "token"),
            project: value("project", &["ENCLAVE_PROJECT", "DOPPLER_PROJECT"], "enclave.project"),
            config: value("config", &["ENCLAVE_CONFIG", "DOPPLER_CONFIG"], "enclave.config"),
            api_host,
            timeout: args.timeout()?,
            attempts: args.attempts()?,
            home,
            scoped,
        })
    }

    pub fn place(&self) -> [(&'static str, String); 2] {
        [("project", self.project.clone()), ("config", self.config.clone())]
    }

    pub fn get(&self, path: &str, query: &[(&str, String)], etag: &str, message: &str) -> Result<Reply> {
        required("token", &self.token)?;
        let url = http::url(&self.api_host, path, query);
        http::get(&url, &self.token, etag, self.timeout, self.attempts)
            .map_err(|failure| Failure { message: message.to_owned(), ..failure })
    }

    pub fn ask(&self, path: &str, query: &[(&str, String)], message: &str) -> Result<Json> {
        let reply = self.get(path, query, "", message)?;
        Json::parse(&reply.body).map_err(|error| Failure::new(UNREADABLE, error))
    }
}

/// What Go's errors say.
pub fn of_go(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// The options of the longest scope that the folder is in, each by itself. Written by `doppler setup` and `login`:
/// `scoped:`, a line a scope, its options below; more of YAML is not read.
fn scope(file: &Path, scope: &str) -> Result<BTreeMap<String, String>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(_) => {
            let fresh = "scoped: {}\n";
            let created = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
            let written = created.and_then(|mut file| std::io::Write::write_all(&mut file, fresh.as_bytes()));
            // Another one may have made it meanwhile.
            match written {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    let error = format!("open {}: {}", file.display(), of_go(&error));
                    return Err(Failure::new("", error));
                }
                _ => std::fs::read_to_string(file).unwrap_or_default(),
            }
        }
    };
    let folder = std::path::absolute(scope).map_err(|error| Failure::new("", error))?;
    let mut found = BTreeMap::<String, (usize, String)>::new();
    let (mut section, mut matching) = (String::new(), None);
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
        let indent = line.len() - line.trim_start().len();
        // A colon ends the key; URLs and tokens have others.
        let (key, value) = line.trim().split_once(": ").unwrap_or((line.trim().trim_end_matches(':'), ""));
        let (key, value) = (key.trim_matches('"'), value.trim().trim_matches('"'));
        match indent {
            0 => key.clone_into(&mut section),
            _ if section != "scoped" => {}
            // A scope has no value of its own.
            _ if value.is_empty() => {
                let scope = if key == "*" { "/" } else { key };
                matching = folder.starts_with(scope).then_some(scope.len());
            }
            _ => {
                if let Some(length) = matching
                    && found.get(key).is_none_or(|(other, _)| *other < length)
                {
                    found.insert(key.to_owned(), (length, value.to_owned()));
                }
            }
        }
    }
    Ok(found.into_iter().map(|(key, (_, value))| (key, value)).collect())
}
