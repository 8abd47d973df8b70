//! Doppler: the CLI that people have, or the stand-in for it (tests/standin), and always a stand-in for the service.
//! `let api = Doppler::start().config("links", "dev", &[("EDIT_TOKEN", "x")]); Case::new().doppler(&api).run(…)`

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use crate::compiled::{compiled, sha};

#[path = "../standin/api.rs"]
mod api;
mod as_real;
mod cases;
#[path = "../standin/json.rs"]
#[allow(dead_code, reason = "the service only writes it")]
mod json;
mod login;
mod outages;

pub use api::Answer;

/// A folder with a `doppler`, and nothing else, to put on PATH.
pub fn program() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| installed().unwrap_or_else(|| compiled("standin/doppler.rs", "doppler"))).clone()
}

/// Whether it is the real one.
pub fn is_real() -> bool {
    std::fs::symlink_metadata(program().join("doppler")).unwrap().is_symlink()
}

/// By itself: its folder has more.
fn installed() -> Option<PathBuf> {
    let found = which::which("doppler").ok()?;
    let folder =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("doppler-{}", &sha(found.to_str()?)[..16]));
    std::fs::create_dir_all(&folder).unwrap();
    // Already there, or made by another run meanwhile: the same.
    let _ = std::os::unix::fs::symlink(found, folder.join("doppler"));
    Some(folder)
}

/// What was asked of the service.
#[derive(Debug)]
pub struct Request {
    pub path: String,
    pub query: BTreeMap<String, String>,
    /// SHA-256 of the token; empty if there was none.
    pub token_sha: String,
}

/// A service of its own, on loopback; it ends with the test process.
pub struct Doppler {
    service: Arc<Mutex<api::Service>>,
    url: String,
    token: String,
}

impl Doppler {
    /// Without configs, and with one CLI token that sees them all.
    pub fn start() -> Self {
        let service = Arc::<Mutex<api::Service>>::default();
        let url = api::serve(service.clone()).unwrap();
        // What was issued before the values were, so that no test finds one in the other.
        let token = format!("dp.ct.{}", &sha(&url)[..40]);
        let doppler = Doppler { service, url, token: token.clone() };
        doppler.token(&token, None)
    }

    /// Adds a config, or more to one, with the three secrets that every config has.
    pub fn config(self, project: &str, config: &str, secrets: &[(&str, &str)]) -> Self {
        let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        api::lock(&self.service).add(project, config, secrets);
        self
    }

    /// Accepts a token: a CLI's, or that of a service for one config.
    pub fn token(self, token: &str, of: Option<(&str, &str)>) -> Self {
        let of = of.map(|(project, config)| api::place(project, config));
        api::lock(&self.service).tokens.insert(token.to_owned(), of);
        self
    }

    /// A new token for one config only. It gets that config whatever else is asked for.
    pub fn service_token(&self, project: &str, config: &str) -> String {
        let mut service = api::lock(&self.service);
        let number = service.tokens.len();
        let token = format!("dp.st.{config}.{}", &sha(&format!("{} {number}", self.url))[..40]);
        service.tokens.insert(token.clone(), Some(api::place(project, config)));
        token
    }

    /// Refuses service tokens that ask for another config than their own, with 400, as users of the real service
    /// have also seen it do.
    pub fn strict(self) -> Self {
        api::lock(&self.service).strict = true;
        self
    }

    pub fn revoke(&self, token: &str) {
        api::lock(&self.service).tokens.remove(token).expect("a token that was good");
    }

    /// The config is there, and nobody may see it.
    pub fn forbid(&self, project: &str, config: &str) {
        api::lock(&self.service).forbidden.insert(api::place(project, config));
    }

    /// From now on.
    pub fn answers(&self, answer: Answer) {
        api::lock(&self.service).answer = Some(answer);
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// The CLI's own.
    pub fn cli_token(&self) -> &str {
        &self.token
    }

    pub fn log(&self) -> Vec<Request> {
        let log = api::lock(&self.service).log.clone();
        let hashed = |token: &str| if token.is_empty() { String::new() } else { sha(token) };
        log.into_iter()
            .map(|asked| Request { token_sha: hashed(&asked.token), path: asked.path, query: asked.query })
            .collect()
    }

    /// All names whose values were asked for one by one.
    pub fn names_asked(&self) -> BTreeSet<String> {
        let lists = self.log().into_iter().filter_map(|request| request.query.get("secrets").cloned());
        lists.flat_map(|list| list.split(',').map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// Whether somebody asked for every value of a config.
    pub fn values_asked(&self) -> bool {
        self.log().iter().any(|request| {
            let values = ["/v3/configs/config/secrets", "/v3/configs/config/secrets/download"];
            values.contains(&request.path.as_str()) && !request.query.contains_key("secrets")
        })
    }
}
