//! A service that is not there, or not itself; and what the CLI makes of it without `--no-fallback`.

use std::time::{Duration, Instant};

use crate::doppler::as_real::{Cli, RUN};
use crate::doppler::{Answer, Doppler, is_real};

const PLACE: &str = "-p links -c dev";

fn links() -> Doppler {
    Doppler::start().config("links", "dev", &[("EDIT_TOKEN", "hunter2-dev")])
}

/// How often the service was asked. Who did not wait for an answer may be done before the service has seen it.
fn asked(api: &Doppler, expected: usize) -> usize {
    let deadline = Instant::now() + Duration::from_secs(5);
    while api.log().len() < expected && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    api.log().len()
}

#[test]
fn every_outage_is_told_by_its_text() {
    let late = "context deadline exceeded";
    let page = "invalid character '<' looking for beginning of value";
    for (answer, text) in [
        (Answer::Hangs, late),
        (Answer::Portal, page),
        (Answer::Html(502), "Request failed with HTTP 502"),
        (Answer::Html(429), "Request failed with HTTP 429"),
        (Answer::Html(401), "Request failed with HTTP 401"),
        (Answer::Status(500), "The stand-in says so"),
        (Answer::Status(401), "The stand-in says so"),
        (Answer::Resets, "connection reset by peer"),
        (Answer::HalfBody, "unexpected EOF"),
    ] {
        let api = links();
        api.answers(answer);
        let cli = Cli::new(&api);
        let short =
            format!("--attempts 1 --timeout {}", if answer == Answer::Hangs { "300ms" } else { "10s" });
        for line in [
            format!("run --no-fallback {short} {PLACE} -- true"),
            format!("secrets --only-names --json {short} {PLACE}"),
            format!("me --json {short}"),
        ] {
            let ran = cli.run(&line).code(1).prints("");
            assert!(ran.stderr.contains(text), "{answer:?}, {line}: {}", ran.stderr);
        }
        assert_eq!(asked(&api, 3), 3, "{answer:?}");
        assert_eq!(cli.fallbacks(), 0);
        api.answers(Answer::Well);
        cli.run(&format!("{RUN} {PLACE} -- true")).code(0);
    }
}

#[test]
fn a_service_that_is_not_there_cannot_be_found_by_name_either() {
    let cli = Cli::new(&links()).env("DOPPLER_API_HOST", "http://slipway-test.invalid");
    let ran = cli.run(&format!("{RUN} {PLACE} -- true")).code(1);
    assert!(ran.stderr.contains("dial tcp") && ran.stderr.contains("lookup"), "{}", ran.stderr);
}

/// Who forgets `--attempts 1` waits.
#[test]
fn what_may_pass_is_tried_again() {
    let tries = |answer, flags: &str, expected| {
        let api = links();
        api.answers(answer);
        Cli::new(&api).run(&format!("run --no-fallback {flags} {PLACE} -- true")).code(1);
        asked(&api, expected)
    };
    assert_eq!(tries(Answer::Html(503), "--attempts 2", 2), 2);
    assert_eq!(tries(Answer::Status(429), "--attempts=2", 2), 2);
    assert_eq!(tries(Answer::Hangs, "--attempts 2 --timeout 100ms", 2), 2);
    // JSON says that it is meant.
    assert_eq!(tries(Answer::Status(500), "", 1), 1);
    assert_eq!(tries(Answer::Status(403), "", 1), 1);
    assert_eq!(tries(Answer::Resets, "", 1), 1);
}

/// The reason for which the tool always says `--no-fallback`.
#[test]
fn a_revoked_token_still_runs_from_the_fallback_file_while_the_service_is_away() {
    let api = links();
    let token = api.service_token("links", "dev");
    let cli = Cli::new(&api).env("DOPPLER_TOKEN", &token);
    let run = "run --attempts 1 --timeout 3s -- echo $EDIT_TOKEN";
    cli.run(run).code(0).prints("hunter2-dev\n");
    assert_eq!(cli.fallbacks(), 1);
    // Nothing has changed: 304, and the values of the file.
    cli.run(run).code(0).prints("hunter2-dev\n");
    api.revoke(&token);
    api.answers(Answer::Html(502));
    let ran = cli.run(run).code(0).prints("hunter2-dev\n");
    ran.says(&[
        "Unable to fetch secrets from the Doppler API\n",
        "502",
        "Reading secrets from fallback file",
    ]);
    cli.run("run --offline -- echo $EDIT_TOKEN").code(0).prints("hunter2-dev\n");
    cli.run(&format!("{RUN} -- true")).code(1).says(&["Unable to download secrets", "502"]);
    // Once the service itself has said no, the file goes.
    api.answers(Answer::Well);
    cli.run(run).code(1).says(&["Unable to download secrets\n", "Doppler Error: Invalid Service token"]);
    assert_eq!(cli.fallbacks(), 0);
    cli.run("run --offline -- true").code(1).says(&["The fallback file does not exist"]);
}

#[test]
fn a_sign_in_page_takes_the_place_of_the_fallback() {
    let api = links();
    let cli = Cli::new(&api);
    let run = format!("run --attempts 1 {PLACE}");
    cli.run(&format!("{run} -- true")).code(0);
    api.answers(Answer::Portal);
    cli.run(&format!("{run} -- true")).code(1).says(&["invalid character '<'"]);
    cli.run(&format!("{run} --offline -- true")).code(1).says(&["invalid character '<'"]);
}

/// A flag of the real one that the stand-in lacks is an error, never silently nothing.
#[test]
fn the_stand_in_knows_what_it_is_not() {
    if is_real() {
        eprintln!("skipped: the real doppler is installed");
        return;
    }
    let cli = Cli::new(&links());
    for (line, text) in [
        ("run --mount x -- true", "unknown flag: --mount (not part of the stand-in)"),
        ("run --nonsense -- true", "unknown flag: --nonsense"),
        ("me --no-fallback", "unknown flag: --no-fallback"),
        ("--no-fallback run -- true", "unknown flag: --no-fallback"),
        ("me --timeout 3", "missing unit in duration"),
        ("secrets set A=b", "not part of the stand-in"),
    ] {
        cli.run(line).code(1).says(&["Doppler Error: ", text]);
    }
}
