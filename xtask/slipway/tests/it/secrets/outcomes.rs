//! Doppler's program ends with 1 whatever happens. Eight outcomes are told apart, each with its mend.

use std::time::{Duration, Instant};

use super::{CONFIG, PRD_TOKEN, case, links};
use crate::case::{Case, Ran};
use crate::doppler::{Answer, Doppler};

const RUN: &str = "secrets run -- true";
const PRD: &str = "secrets run --env prd -- true";

/// The error of a run, for prd, or for dev where `code` differs from it: no defaults.
#[track_caller]
fn fails(case: &Case, line: &str, code: i32, texts: &[&str]) -> Ran {
    let ran = case.run(line).code(code);
    let ran = ran.says(texts);
    assert!(!ran.stderr.contains(PRD_TOKEN), "{}", ran.stderr);
    ran
}

#[test]
fn not_installed() {
    let case = case().without_doppler();
    case.run(RUN).code(0).says(&["2 development defaults; Doppler is not installed"]);
    fails(
        &case,
        PRD,
        5,
        &["doppler is not installed", "values of links/prd", "next", "install-cli", "doppler login"],
    );
    // Whoever gives a token wants what it opens: a job in CI that lacks the program.
    let texts = [
        "doppler is not installed",
        "why    DOPPLER_TOKEN is set",
        "next",
        "or unset DOPPLER_TOKEN",
        "--local",
    ];
    fails(&case.env("DOPPLER_TOKEN", "dp.st.dev.x"), RUN, 5, &texts);
}

#[test]
fn not_logged_in() {
    let case = case().doppler_logged_out(&links());
    case.run(RUN).code(0).says(&["2 development defaults; Doppler: not logged in"]);
    fails(&case, PRD, 6, &["not logged in", "links/prd", "next", "doppler login", "DOPPLER_TOKEN"]);
    // Somebody meant to give one: a job in CI without its secret. Defaults would hide that.
    let case = case.env("DOPPLER_TOKEN", "");
    let texts = ["not logged in", "DOPPLER_TOKEN is set, and empty", "secrets run --local -- true"];
    fails(&case, RUN, 6, &texts);
}

#[test]
fn not_set_up() {
    let api = links();
    // xtask.toml names no project.
    let case = Case::new().file("xtask.toml", CONFIG.replace("project = ", "# ")).doppler(&api);
    let ran = case.run(RUN).code(0).says(&["2 development defaults from xtask.toml\n"]);
    assert!(!ran.stderr.contains("Doppler"), "{}", ran.stderr);
    fails(&case, PRD, 2, &["names no project", "next", "project = \"links\""]);
    assert!(api.log().is_empty());
    // Or somebody is logged in at another company, which has no such project.
    let other = Doppler::start().config("shop", "dev", &[("A", "x")]).config("shop", "prd", &[("A", "x")]);
    let case = self::case().doppler_login(&other);
    case.run(RUN).code(0).says(&["2 development defaults; Doppler is not set up here"]);
    fails(
        &case,
        PRD,
        6,
        &["not set up here", "links/prd", "next", "doppler setup --project links --config prd"],
    );
}

#[test]
fn wrong_project_or_config() {
    let api = Doppler::start().config("links", "dev", &[("A", "x")]).config("shop", "dev", &[("A", "x")]);
    let case = case().doppler(&api);
    fails(&case, PRD, 6, &["does not give links/prd", "links has the configs dev", "next"]);
    let case = Case::new().file("xtask.toml", CONFIG.replace("project = \"links\"", "project = \"link\""));
    let case = case.doppler(&api);
    fails(&case, PRD, 6, &["does not give link/prd", "knows the projects links, shop", "next"]);
    // In dev too: it is in use here, and wrong.
    fails(&case, RUN, 6, &["does not give link/dev", "next", "secrets run --local -- true"]);
    // A token for one config is given that one, whatever is asked for.
    let api = links();
    let token = api.service_token("links", "dev");
    let case = self::case().doppler_token(&api, &token);
    case.run(RUN).code(0);
    fails(
        &case,
        PRD,
        6,
        &["does not give links/prd", "the token is for links/dev", "a token for links/prd in DOPPLER_TOKEN"],
    );
    // Or refused.
    let api = links().strict();
    let token = api.service_token("links", "dev");
    fails(
        &self::case().doppler_token(&api, &token),
        PRD,
        6,
        &["does not give links/prd", "requested config", "next"],
    );
}

#[test]
fn revoked() {
    let api = links();
    let case = case().doppler(&api);
    case.run(RUN).code(0);
    api.revoke(api.cli_token());
    fails(
        &case,
        PRD,
        6,
        &["does not take the token", "why", "next", "the one in DOPPLER_TOKEN", "doppler login"],
    );
    fails(&case, RUN, 6, &["does not take the token", "secrets run --local -- true"]);
    // Also with a stolen copy of what an older run has left: it has left none.
    api.answers(Answer::Hangs);
    fails(&case, PRD, 7, &["cannot be reached"]);
}

#[test]
fn no_access() {
    let api = links();
    api.forbid("links", "prd");
    let case = case().doppler(&api);
    case.run(RUN).code(0);
    fails(&case, PRD, 6, &["no access to links/prd", "why", "next", "read access to links/prd"]);
}

#[test]
fn unreachable_in_each_way_and_decided_in_time() {
    for answer in [
        Answer::Hangs,
        Answer::Resets,
        Answer::HalfBody,
        Answer::Portal,
        Answer::Html(500),
        Answer::Html(401),
        Answer::Status(500),
        Answer::Status(503),
        Answer::Status(429),
    ] {
        let api = links();
        let case = case().doppler(&api);
        api.answers(answer);
        let started = Instant::now();
        fails(&case, RUN, 7, &["Doppler cannot be reached", "why", "next", "secrets run --local -- true"]);
        // Its own retries would take 17 to 70 s.
        assert!(started.elapsed() < Duration::from_secs(10), "{answer:?}: {:?}", started.elapsed());
        fails(&case, PRD, 7, &["Doppler cannot be reached"]);
        case.run("secrets run --local -- true").code(0).says(&["2 development defaults from xtask.toml"]);
    }
    // Nobody listens.
    let case = case().doppler(&links()).env("DOPPLER_API_HOST", "http://127.0.0.1:1");
    fails(&case, RUN, 7, &["Doppler cannot be reached", "refused"]);
}

#[test]
fn names_missing() {
    let api = Doppler::start().config("links", "dev", &[("EDIT_TOKEN", "tok-dev-8f3a1c5e7b")]).config(
        "links",
        "prd",
        &[("EDIT_TOKEN", PRD_TOKEN), ("LOG_LEVEL", "")],
    );
    let case = case().doppler(&api).env("PAGER_KEY", "of-the-shell");
    // LOG_LEVEL is empty there, which is a value.
    fails(
        &case,
        PRD,
        3,
        &[
            "declared, and not in links/prd: PAGER_KEY (wakes people)",
            "doppler secrets set PAGER_KEY --silent",
        ],
    );
    // In dev a default will do.
    case.run(RUN).code(0).says(&["1 value from Doppler (links/dev), 1 default;"]);
    let api = Doppler::start().config("links", "dev", &[("EDIT_TOKEN", ""), ("LOG_LEVEL", "info")]);
    self::case().doppler(&api).run(RUN).code(0).says(&["note", "empty in links/dev: EDIT_TOKEN"]);
    let api = Doppler::start().config("links", "dev", &[("LOG_LEVEL", "info")]);
    let ran = self::case().doppler(&api).run(RUN).code(0);
    ran.says(&["note", "not in links/dev, so the default: EDIT_TOKEN"]);
}

#[test]
fn defaults_are_never_those_of_stg_or_prd() {
    let case = case().without_doppler();
    fails(&case, "secrets run --env stg --local -- true", 2, &["--local has no values for stg", "next"]);
}

#[test]
fn names_of_the_repositorys_own_choice_are_no_words_of_an_error() {
    let api = Doppler::start().config("shop", "dev", &[("A", "x")]);
    let config = CONFIG.replace("project = \"links\"", "project = \"geofence-tls\"");
    let case = Case::new().file("xtask.toml", config).doppler(&api);
    fails(&case, PRD, 6, &["does not give geofence-tls/prd", "knows the projects shop"]);
}

#[test]
fn a_value_that_no_environment_can_have_is_said() {
    let huge = "x1y2z3".repeat(30_000);
    let api = Doppler::start().config("links", "dev", &[("EDIT_TOKEN", &huge), ("LOG_LEVEL", "info")]);
    fails(&case().doppler(&api), RUN, 1, &["could not hand the values over", "next", "128 kB"]);
}

#[test]
fn a_doppler_that_is_too_old_or_broken_is_no_outcome_of_the_service() {
    for (script, code, text) in [
        ("echo 'Error: unknown flag: --only-secrets' >&2; exit 1", 5, "too old"),
        ("exit 0", 1, "gave no values"),
        ("echo 'mkdir /nonexistent/.doppler: permission denied' >&2; exit 1", 1, "a home folder"),
        // It ends, and what it leaves behind does not: nobody waits for that.
        ("while [ -e \"$0\" ]; do sleep 0.05; done & echo 'dial tcp: x' >&2; exit 1", 7, "cannot be reached"),
        ("echo slipway-values-1 9999; echo '{}'", 1, "gave no values"),
        ("echo slipway-values-1 2; echo '{}'", 1, "of which project and config"),
    ] {
        let case = case().without_doppler();
        let folder = case.folder().join("broken");
        std::fs::create_dir(&folder).unwrap();
        let program = folder.join("doppler");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
        fails(&case.env("PATH", path), RUN, code, &[text]);
    }
}
