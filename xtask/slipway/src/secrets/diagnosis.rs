//! Why Doppler gave nothing. Its program ends with 1 whatever happens, so the cause is found by asking it more: who am
//! I, which projects and configs are there. The server's words decide only what those answers leave open.

use std::time::Instant;

use anyhow::Result;
use serde_json::Value;

use super::doppler::{Doppler, Outcome, waits};
use crate::failure::{Code, Failure};
use crate::output::strip_color;
use crate::process::{Captured, Launcher};

/// What Go's network code and Doppler's program say when nobody, or somebody else, has answered. In lower case.
const NETWORK: &[&str] = &[
    "dial tcp",
    "no such host",
    "deadline exceeded",
    "i/o timeout",
    "client.timeout",
    "connection refused",
    "connection reset",
    "broken pipe",
    "unexpected eof",
    ": eof",
    "tls: ",
    "x509: ",
    "invalid character",
    "unexpected end of json",
    "cannot unmarshal",
    "request failed with http",
    "network is unreachable",
    "no route to host",
    "proxyconnect",
    "too many requests",
    "rate limit exceeded",
    "malformed http",
    // A server's own words for a fault of its own.
    "unavailable",
    "internal server error",
    "bad gateway",
    "gateway time",
];
/// What it says when it has the values and cannot hand them to our hidden verb.
const START: &[&str] = &["fork/exec", "argument list too long"];
/// That it cannot keep what it keeps in a home.
const HOME: &[&str] = &["/.doppler: ", "$home is not defined", "config directory"];
/// That it cannot read what it has kept: `pkg/configuration/config.go` and `keyring.go` of its source.
const KEPT: &[&str] = &["user config file", "system keyring", "support keyring"];
/// What a server says that does not take a token.
const TOKEN: &[&str] = &[
    "token",
    "credential",
    "revoked",
    "expired",
    "log in",
    "login",
    "unauthorized",
    "authentication failed",
    "invalid auth",
];
/// That takes it, and not for this.
const ACCESS: &[&str] =
    &["access", "permission", "forbidden", "not allowed", "unauthorized", "not authorized"];
/// That has no such thing.
const SCOPE: &[&str] =
    &["not found", "could not find", "does not exist", "requested config", "requested project"];

fn has(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    words.iter().any(|word| text.contains(word))
}

/// Nothing was answered in time.
pub fn silent() -> Outcome {
    Outcome::Unreachable("no answer within 3 s".to_owned())
}

/// Why a command failed that said `stderr`; told by `deadline`.
///
/// # Errors
/// It is no outcome of Doppler's.
pub fn diagnose(
    doppler: &Doppler,
    launcher: &Launcher<'_>,
    stderr: &str,
    deadline: Instant,
) -> Result<Outcome> {
    if stderr.contains("must provide a token") {
        return Ok(Outcome::NotLoggedIn);
    }
    let why = line(stderr);
    if has(stderr, HOME) {
        return Err(Failure::new(Code::Failed, "doppler needs a home folder that it can write to")
            .why(why)
            .next("HOME=/a/folder before the command")
            .into());
    }
    if has(stderr, KEPT) {
        return Err(Failure::new(Code::Failed, "doppler cannot read what it has kept of your login")
            .why(why)
            .next("doppler login      in CI: a service token in DOPPLER_TOKEN")
            .into());
    }
    // Names of the repository's own choice say nothing.
    let names = [doppler.project.as_str(), &doppler.config];
    let is_name = |word: &&str| names.contains(&word.trim_matches(['\'', '"', '`', '.', ',']));
    let words: Vec<&str> = why.split_whitespace().filter(|word| !is_name(word)).collect();
    let words = words.join(" ");
    if has(&words, NETWORK) {
        return Ok(Outcome::Unreachable(why));
    }
    if has(&words, START) {
        return Err(Failure::new(Code::Failed, "doppler could not hand the values over")
            .why(why)
            .next("a value may have 128 kB, and no zero byte; all of them about 2 MB")
            .into());
    }
    let folder = doppler.folder.display().to_string();
    let questions = [
        vec!["me", "--json"],
        vec!["configs", "--json", "--project", &doppler.project],
        vec!["projects", "--json"],
        vec!["configure", "get", "project", "--json", "--scope", &folder],
    ];
    let ask = |verb: &Vec<&str>| Doppler::start(launcher, doppler.command(launcher, verb), None);
    // All at once: together they may take no longer than one.
    let asked: Vec<Captured> = questions.iter().map(ask).collect::<Result<_>>()?;
    let answer = |child: Captured| match child.within(deadline, || waits(launcher)) {
        Ok(Some(said)) if said.code == 0 => serde_json::from_str(&said.stdout).map_err(|_| String::new()),
        Ok(Some(said)) => Err(said.stderr),
        _ => Err(LATE.to_owned()),
    };
    let answers: Vec<std::result::Result<Value, String>> = asked.into_iter().map(answer).collect();
    let [me, configs, projects, scope] = answers.as_slice() else { return Ok(silent()) };
    Ok(judge(doppler, (why, &words), [me, configs, projects, scope]))
}

/// What is put for an answer that did not come in time.
const LATE: &str = "deadline exceeded";

type Asked<'a> = &'a std::result::Result<Value, String>;

/// The cause, from the answers to the four questions; `why` is what the command said, `words` the same without names.
fn judge(
    doppler: &Doppler,
    (why, words): (String, &str),
    [me, configs, projects, scope]: [Asked<'_>; 4],
) -> Outcome {
    if let Err(said) = me {
        return match said.as_str() {
            // The first answer was no fault of a network: it has to do.
            LATE if has(words, SCOPE) => Outcome::WrongScope { why, is_tokens: true },
            LATE if has(words, ACCESS) => Outcome::NoAccess(why),
            LATE if has(words, TOKEN) => Outcome::Revoked(why),
            _ if !has(said, NETWORK) && has(said, TOKEN) => Outcome::Revoked(line(said)),
            _ => Outcome::Unreachable(line(said)),
        };
    }
    let (project, config) = (&doppler.project, &doppler.config);
    // It is there, but: the server's words decide between its refusal and its failure.
    let refused = |why| match has(words, ACCESS) {
        true => Outcome::NoAccess(why),
        false => Outcome::Unreachable(why),
    };
    let known = |list: Asked<'_>| list.as_ref().ok().map(names);
    let (why, is_tokens) = match (known(configs), known(projects)) {
        (Some(configs), _) if configs.contains(config) => return refused(why),
        (Some(configs), _) => (format!("{project} has the configs {}", configs.join(", ")), false),
        (None, Some(projects)) if projects.contains(project) => return refused(why),
        (None, Some(projects)) if !projects.is_empty() => {
            (format!("this login knows the projects {}", projects.join(", ")), false)
        }
        (None, Some(_)) => ("this login knows no project".to_owned(), false),
        // It may not list them: a token for one config.
        (None, None) if has(words, SCOPE) => (why, true),
        (None, None) => return refused(why),
    };
    let project = |answer: &Value| Some(!answer.as_object()?.values().next()?.as_str()?.is_empty());
    let is_set_up = doppler.has_token || scope.as_ref().ok().and_then(project).unwrap_or(false);
    // Somebody's login at another company knows nothing of this repository, and need not.
    match is_set_up || known(configs).is_some() {
        true => Outcome::WrongScope { why, is_tokens },
        false => Outcome::NotSetUp,
    }
}

/// The names in a list of projects or configs.
fn names(list: &Value) -> Vec<String> {
    let name = |one: &Value| Some(one.get("name").or_else(|| one.get("id"))?.as_str()?.to_owned());
    list.as_array().map(|list| list.iter().filter_map(name).collect()).unwrap_or_default()
}

/// The last line of what was said, without what only decorates it.
pub fn line(said: &str) -> String {
    let said = serde_json::from_str::<Value>(said.trim())
        .ok()
        .and_then(|json| Some(json.get("error")?.as_str()?.to_owned()))
        .unwrap_or_else(|| said.to_owned());
    let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it does not say why");
    let last = strip_color(last);
    let last = last.strip_prefix("Doppler Error: ").unwrap_or(&last);
    // Go says first what it asked for, at length: `Get "https://…": dial tcp …`.
    let last =
        last.split_once("\": ").filter(|(asked, _)| asked.contains("://")).map_or(last, |(_, rest)| rest);
    last.chars().filter(|c| !c.is_control()).take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn doppler(project: &str, has_token: bool) -> Doppler {
        let (project, config, folder) = (project.to_owned(), "prd".to_owned(), "/links".into());
        Doppler { program: "doppler".into(), project, config, folder, has_token }
    }

    /// The outcome's name, where `configs` and `projects` are listed, or may not be.
    fn outcome(
        why: &str,
        configs: Option<&[&str]>,
        projects: Option<&[&str]>,
        has_token: bool,
    ) -> &'static str {
        let list = |names: Option<&[&str]>| match names {
            Some(names) => Ok(names.iter().map(|name| json!({ "name": name })).collect()),
            None => Err("You do not have access to this".to_owned()),
        };
        let (me, scope) = (Ok(json!({ "type": "cli" })), Ok(json!({ "enclave.project": "" })));
        let answers = [&me, &list(configs), &list(projects), &scope];
        judge(&doppler("links", has_token), (why.to_owned(), why), answers).name()
    }

    #[test]
    fn what_is_there_decides_before_words_do() {
        let (here, other): (&[&str], &[&str]) = (&["dev", "prd"], &["dev"]);
        for (why, configs, projects, is) in [
            ("You do not have access to it", Some(here), None, "no access"),
            ("Internal server error", Some(here), None, "unreachable"),
            ("You do not have access to it", Some(other), None, "wrong project or config"),
            ("You do not have access to it", None, Some(&["links"][..]), "no access"),
            ("Could not find it", None, Some(&["shop"][..]), "wrong project or config"),
            (
                "This token does not have access to requested config 'prd'",
                None,
                None,
                "wrong project or config",
            ),
            ("This token does not have access", None, None, "no access"),
            ("Something went wrong", None, None, "unreachable"),
        ] {
            assert_eq!(outcome(why, configs, projects, true), is, "{why} {configs:?} {projects:?}");
        }
        // A login at another company, and nobody who has set this up.
        assert_eq!(outcome("Could not find it", None, Some(&["shop"]), false), "not set up");
        assert_eq!(outcome("Could not find it", Some(other), None, false), "wrong project or config");
    }

    #[test]
    fn a_token_is_refused_by_words_and_a_server_that_fails_is_none() {
        let refused = Err::<Value, _>("Doppler Error: Invalid Service token".to_owned());
        let failed = Err::<Value, _>("{\"error\":\"Internal server error\"}".to_owned());
        let down = Err::<Value, _>("{\"error\":\"Authentication service is unavailable\"}".to_owned());
        let late = Err::<Value, _>(LATE.to_owned());
        let nothing = Err(String::new());
        for (me, is) in [
            (&refused, Outcome::Revoked("Invalid Service token".to_owned())),
            (&failed, Outcome::Unreachable("Internal server error".to_owned())),
            (&down, Outcome::Unreachable("Authentication service is unavailable".to_owned())),
            (&late, Outcome::Unreachable(LATE.to_owned())),
        ] {
            let answers = [me, &nothing, &nothing, &nothing];
            assert_eq!(judge(&doppler("links", true), ("why".to_owned(), "why"), answers), is);
        }
        // Where nothing more comes in time, what came has to do.
        for (why, is) in [
            ("Invalid Service token", "revoked"),
            ("This token does not have access to requested config 'prd'", "wrong project or config"),
            ("You do not have access", "no access"),
        ] {
            let answers = [&late, &nothing, &nothing, &nothing];
            assert_eq!(judge(&doppler("links", true), (why.to_owned(), why), answers).name(), is);
        }
    }

    #[test]
    fn the_last_line_says_why_without_what_was_asked() {
        let said = "Unable to download secrets\nDoppler Error: Get \"https://x.example/v3?secrets=A\": dial tcp: no\n\n";
        assert_eq!(line(said), "dial tcp: no");
        assert_eq!(line(""), "it does not say why");
    }
}
