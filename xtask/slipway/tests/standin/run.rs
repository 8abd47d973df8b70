//! `doppler run`: the secrets, by the service or the fallback file, and the child that gets them.

use std::collections::BTreeMap;
use std::io::{ErrorKind, IsTerminal as _, Read as _};
use std::os::fd::IntoRawFd as _;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use crate::args::Args;
use crate::json::Json;
use crate::settings::Settings;
use crate::{Failure, Result, UNREADABLE, api, settings};

/// Each use of the fallback file derives a key: PBKDF2, 500,000 rounds. Measured: 644 ms a start with it, 13 without.
const KEY: Duration = Duration::from_millis(600);

/// These would change how the child starts: the real one warns, and sets them all the same.
const DANGEROUS: &[&str] = &["PROMPT_COMMAND", "LD_PRELOAD", "LD_LIBRARY_PATH", "HOSTNAME", "NODE_OPTIONS"];

/// The service's, never set.
const RESERVED: &[&str] = &["PATH", "PS1", "HOME"];

pub fn run(args: &Args, settings: &Settings) -> Result<u8> {
    let command = &args.words[1..];
    if command.is_empty() {
        return Err(Failure::new("", "requires at least 1 arg(s), received 0"));
    }
    settings::required("token", &settings.token)?;
    let only: Vec<&str> =
        args.get("only-secrets").map(|names| names.split(',').collect()).unwrap_or_default();
    let body = fetch(args, settings, &only)?;
    let secrets = parsed(&body).map_err(|error| Failure::new(UNREADABLE, error))?;
    let missing: Vec<&str> = only.iter().copied().filter(|name| !secrets.contains_key(*name)).collect();
    if !missing.is_empty() {
        let names = missing.join("\n- ");
        let error = format!(
            "the following secrets you are trying to include do not exist in your config:\n- {names}"
        );
        if !args.on("no-exit-on-missing-only-secrets") {
            return Err(Failure::new("", error));
        }
        eprintln!("Warning: {error}");
    }
    let dangerous: Vec<&str> = DANGEROUS.iter().copied().filter(|name| secrets.contains_key(*name)).collect();
    if !dangerous.is_empty() {
        let names = dangerous.join("\n- ");
        eprintln!(
            "Warning: your config contains the following potentially dangerous secret names:\n- {names}"
        );
    }
    child(args, command, secrets)
}

fn parsed(body: &str) -> std::result::Result<BTreeMap<String, String>, String> {
    let found = Json::parse(body)?;
    let pairs = found
        .entries()
        .iter()
        .map(|(name, value)| (name.clone(), value.text().unwrap_or_default().to_owned()));
    Ok(pairs.collect())
}

/// The answer's body.
fn fetch(args: &Args, settings: &Settings, only: &[&str]) -> Result<String> {
    let fallback = (!args.on("no-fallback")).then(|| Fallback::new(args, settings, only));
    let cached = fallback.as_ref().filter(|_| !args.on("no-cache"));
    if args.on("fallback-only") || args.on("offline") {
        let conflict = || Failure::new("", "Conflict: unable to specify --no-fallback with --fallback-only");
        return fallback.ok_or_else(conflict)?.read();
    }
    let mut query = settings.place().to_vec();
    query.extend([("format", "json".to_owned()), ("include_dynamic_secrets", "true".to_owned())]);
    if !only.is_empty() {
        query.push(("secrets", only.join(",")));
    }
    let etag = cached.map(Fallback::etag).unwrap_or_default();
    let path = "/v3/configs/config/secrets/download";
    let reply = match (settings.get(path, &query, &etag, "Unable to download secrets"), &fallback) {
        (Ok(reply), _) => reply,
        // The service said no: what it said earlier does not count any more.
        (Err(failure), Some(fallback)) if [401, 403, 404].contains(&failure.status) => {
            fallback.remove();
            return Err(failure);
        }
        // Everything else, also 400, counts as an outage.
        (Err(failure), Some(fallback)) => {
            eprintln!("Unable to fetch secrets from the Doppler API\nDoppler Error: {}", failure.error);
            return fallback.read();
        }
        (Err(failure), None) => return Err(failure),
    };
    match (reply.status, &fallback) {
        (304, Some(fallback)) => return fallback.load(),
        // Stored before anybody has looked whether it is JSON.
        (_, Some(fallback)) if !args.on("fallback-readonly") => fallback.write(&reply.body, &reply.etag)?,
        _ => {}
    }
    Ok(reply.body)
}

/// What the service said last, for this token, project and config. The real one encrypts it; here it is turned into
/// hex, so that no value is found in it either.
struct Fallback {
    file: PathBuf,
    metadata: PathBuf,
}

impl Fallback {
    fn new(args: &Args, settings: &Settings, only: &[&str]) -> Self {
        let folder = settings.home.join("fallback");
        // The real one takes SHA-256.
        let key = |extra: &str| {
            let whole = (&settings.token, &settings.project, &settings.config, only, extra);
            format!("{:016x}", api::hash(whole)).repeat(4)
        };
        let own = folder.join(format!(".secrets-{}.json", key("json")));
        let file = args.get("fallback").map_or(own, PathBuf::from);
        Fallback { file, metadata: folder.join(format!(".metadata-{}.json", key(""))) }
    }

    fn etag(&self) -> String {
        let known = self.file.exists().then(|| std::fs::read_to_string(&self.metadata).ok()).flatten();
        known.unwrap_or_default()
    }

    fn remove(&self) {
        let _ = std::fs::remove_file(&self.file);
        let _ = std::fs::remove_file(&self.metadata);
    }

    fn read(&self) -> Result<String> {
        eprintln!("Reading secrets from fallback file");
        self.load()
    }

    fn load(&self) -> Result<String> {
        let hex = std::fs::read_to_string(&self.file)
            .map_err(|_| Failure::new("", "The fallback file does not exist"))?;
        std::thread::sleep(KEY);
        let byte =
            |at: usize| u8::from_str_radix(hex.get(at..at + 2).unwrap_or_default(), 16).unwrap_or_default();
        let bytes: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn write(&self, body: &str, etag: &str) -> Result<()> {
        std::thread::sleep(KEY);
        let hex: String = body.bytes().map(|byte| format!("{byte:02x}")).collect();
        let failed = |error| Failure::new("Unable to write to fallback file", settings::of_go(&error));
        put(&self.file, &hex).map_err(failed)?;
        if !etag.is_empty() {
            put(&self.metadata, etag).map_err(failed)?;
        }
        Ok(())
    }
}

fn put(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.exists()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let staged = file.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&staged, text)?;
    std::fs::set_permissions(&staged, std::fs::Permissions::from_mode(0o400))?;
    std::fs::rename(staged, file)
}

/// Everything that this process has, the token with it, and over it the secrets.
fn child(args: &Args, command: &[String], secrets: BTreeMap<String, String>) -> Result<u8> {
    let forward = match args.get("forward-signals") {
        Some(given) => given == "true",
        None => !std::io::stdout().is_terminal(),
    };
    let signals = caught();
    let secrets = secrets.into_iter().filter(|(name, _)| !RESERVED.contains(&name.as_str()));
    let mut child = Command::new(&command[0]).args(&command[1..]).envs(secrets).spawn().map_err(|error| {
        let name = &command[0];
        let error = match error.kind() {
            ErrorKind::NotFound if !name.contains('/') => {
                format!("exec: {name:?}: executable file not found in $PATH")
            }
            _ => format!("fork/exec {name}: {}", settings::of_go(&error)),
        };
        Failure::new("", error)
    })?;
    let pid = child.id() as i32;
    if let (Some(mut signals), true) = (signals, forward) {
        std::thread::spawn(move || {
            let mut signal = [0];
            while signals.read_exact(&mut signal).is_ok() {
                unsafe { kill(pid, signal[0].into()) };
            }
        });
    }
    let status = child.wait().map_err(|error| Failure::new("", error))?;
    // -1 for a death by signal.
    Ok(status.code().map_or(255, |code| code as u8))
}

unsafe extern "C" {
    fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
    fn write(fd: i32, bytes: *const u8, count: usize) -> isize;
    fn kill(pid: i32, number: i32) -> i32;
}

static PIPE: AtomicI32 = AtomicI32::new(-1);

extern "C" fn note(number: i32) {
    unsafe { write(PIPE.load(Ordering::Relaxed), &(number as u8), 1) };
}

/// HUP, INT, QUIT, USR1, USR2 and TERM do nothing to this process any more: without a terminal they are passed on,
/// with one they are lost, unless the terminal itself sent them to the child too.
fn caught() -> Option<std::io::PipeReader> {
    let (reader, writer) = std::io::pipe().ok()?;
    PIPE.store(writer.into_raw_fd(), Ordering::Relaxed);
    for number in [1, 2, 3, 10, 12, 15] {
        unsafe { signal(number, note) };
    }
    Some(reader)
}
