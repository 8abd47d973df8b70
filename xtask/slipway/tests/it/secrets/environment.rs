//! Who gets what: the program, Doppler's program, Doppler's service, and everybody who reads /proc.

use std::collections::BTreeSet;

use super::{DEV_TOKEN, PRD_TOKEN, case, links};
use crate::case::Case;

/// What `env` prints, by name.
fn names(printed: &str) -> BTreeSet<String> {
    printed.lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect()
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What must not reach a program, whoever has it.
fn crowded(case: Case) -> Case {
    #[rustfmt::skip]
    let hostile = [
        "AWS_SECRET_ACCESS_KEY", "BASH_ENV", "DATABASE_URL", "DOPPLER_CONFIG", "DOPPLER_PROJECT", "GITHUB_TOKEN",
        "LD_DEBUG_OUTPUT", "NODE_OPTIONS", "PGPASSWORD", "SSH_AUTH_SOCK", "UNDECLARED", "XDG_RUNTIME_DIR",
    ];
    hostile.iter().fold(case, |case, name| case.env(name, "of-the-shell"))
}

/// What may.
#[rustfmt::skip]
const KEPT: &[&str] = &[
    "ALL_PROXY", "CARGO_HOME", "CLICOLOR", "COLORTERM", "COLUMNS", "FORCE_COLOR", "HOME", "HTTPS_PROXY", "HTTP_PROXY",
    "LANG", "LANGUAGE", "LINES", "LOGNAME", "NO_PROXY", "PATH", "RUSTUP_HOME", "RUST_BACKTRACE", "SHELL",
    "SSL_CERT_DIR", "SSL_CERT_FILE", "TERM", "TMPDIR", "TZ", "USER", "all_proxy", "http_proxy", "https_proxy", "no_proxy",
];

#[test]
fn a_program_gets_what_is_declared_and_a_short_list() {
    let api = links();
    let of_case = ["HTTPS_PROXY", "LC_TIME", "TERM", "TZ"];
    let case = of_case.iter().fold(crowded(case().doppler(&api)), |case, name| case.env(name, "C"));
    let case = case.env("EDIT_TOKEN", "shell").env("NO_PROXY", "127.0.0.1");
    let runners = std::env::vars().map(|(name, _)| name);
    let runners = runners.filter(|name| KEPT.contains(&name.as_str()) || name.starts_with("LC_"));
    let of_builder = ["CARGO_HOME", "NO_PROXY", "RUSTUP_HOME"];
    let kept: BTreeSet<String> = &runners.collect() | &set(&[&of_case[..], &of_builder].concat());
    let local = case.run_words(&["secrets", "run", "--local", "--", "env"]).code(0);
    assert_eq!(names(&local.stdout), &kept | &set(&["EDIT_TOKEN", "LOG_LEVEL"]));
    // Beside us, where its output is masked, it is the same: the first was in our place.
    let prd = case.run_words(&["secrets", "run", "--env", "prd", "--", "cat", "/proc/self/environ"]).code(0);
    let found = names(&prd.stdout.replace('\0', "\n"));
    assert_eq!(found, &kept | &set(&["EDIT_TOKEN", "LOG_LEVEL", "PAGER_KEY"]));
}

#[test]
fn a_path_that_is_no_text_stays_and_a_name_that_is_none_goes() {
    // The odd bytes are made by the shell: a test's own words are text.
    let script = "PATH=$PATH:/$(printf '\\377') exec env \"$(printf 'A\\377B')=xyzzy\" \"$@\"";
    let case = case().wrap(&["bash", "-c", script, "bash"]);
    let ran = case.run_words(&["secrets", "run", "--local", "--", "cat", "-v", "/proc/self/environ"]).code(0);
    assert!(ran.stdout.contains(":/M-^?") && !ran.stdout.contains("xyzzy"), "{}", ran.stdout);
}

#[test]
fn the_service_is_asked_for_declared_names_only() {
    let api = links();
    let case = crowded(case().doppler(&api));
    case.run("secrets run -- true").code(0).says(&["2 values from Doppler (links/dev)"]);
    // What tells which config the values are of.
    let asked = set(&["EDIT_TOKEN", "LOG_LEVEL", "DOPPLER_PROJECT", "DOPPLER_CONFIG"]);
    assert_eq!(api.names_asked(), asked);
    case.run("secrets run --env prd -- true").code(0).says(&["3 values from Doppler (links/prd)"]);
    assert_eq!(api.names_asked(), &asked | &set(&["PAGER_KEY"]));
    assert!(!api.values_asked());
}

#[test]
fn values_are_the_environments_own() {
    let api = links();
    let case = case().doppler(&api).env("LOG_LEVEL", "of-the-shell").env("EDIT_TOKEN", "of-the-shell");
    let echo = |env: &str| {
        let script = "test $EDIT_TOKEN = $1 && echo $LOG_LEVEL";
        let token = if env == "dev" { DEV_TOKEN } else { PRD_TOKEN };
        case.run_words(&["secrets", "run", "--env", env, "--", "sh", "-c", script, "sh", token])
            .code(0)
            .stdout
    };
    // In dev alone a name that is not masked can be set from the shell.
    assert_eq!(echo("dev"), "of-the-shell\n");
    assert_eq!(echo("prd"), "warn\n");
}

/// Every call of a run, and of all that it starts, which could carry a value.
fn traced(case: Case, words: &[&str]) -> Option<(Case, String)> {
    if which::which("strace").is_err() {
        eprintln!("skipped: strace is not installed");
        return None;
    }
    let log = case.folder().join("trace");
    let calls = "trace=execve,write,writev,pwrite64,pwritev,sendto,sendmsg,memfd_create,openat,creat";
    let wrap = ["strace", "-f", "-qq", "-s", "65536", "-e", calls, "-o", log.to_str().unwrap()];
    let case = case.wrap(&wrap);
    case.run_words(words).code(0);
    let trace = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(log).unwrap();
    Some((case, trace))
}

#[test]
fn no_file_and_no_argument_ever_has_a_value() {
    let api = links();
    // Beside the program, and, where nothing is to be masked, in its place.
    let plain = super::CONFIG.replace("about = \"w", "masked = false, about = \"w");
    for config in [super::CONFIG, &plain] {
        let case = case().file("xtask.toml", config).doppler(&api).env("EDIT_TOKEN", "");
        let words = ["secrets", "run", "--env", "prd", "--", "sh", "-c", "exit 0"];
        let Some((case, trace)) = traced(case, &words) else { return };
        assert!(trace.contains("execve") && trace.contains("__env"), "{trace}");
        // The environment of a program is no argument; strace abbreviates it to its size.
        for line in trace.lines().filter(|line| line.contains("execve(")) {
            assert!(!line.contains(PRD_TOKEN) && !line.contains(api.cli_token()), "{line}");
        }
        // Doppler's program asks with its token and is told the values, which our verb hands on: once, to a pipe.
        let carrying: Vec<&str> = trace.lines().filter(|line| line.contains(PRD_TOKEN)).collect();
        assert!(
            carrying.len() == 1 && carrying[0].contains("write(1, \"{\\\"DOPPLER_CONFIG"),
            "{carrying:?}"
        );
        for line in trace.lines().filter(|line| line.contains(api.cli_token())) {
            assert!(line.to_lowercase().contains("authorization: bearer"), "{line}");
        }
        // And nothing that was left behind has one.
        for entry in walkdir::WalkDir::new(case.folder()).into_iter().flatten() {
            if entry.file_type().is_file() {
                let text = std::fs::read(entry.path()).unwrap();
                let found = text.windows(PRD_TOKEN.len()).any(|window| window == PRD_TOKEN.as_bytes());
                assert!(!found, "{}", entry.path().display());
            }
        }
    }
}

#[test]
fn verbose_shows_the_names_and_no_value() {
    let api = links();
    let ran = case().doppler(&api).run("-v secrets run --env prd -- true").code(0);
    let ran = ran.says(&["--only-secrets", "EDIT_TOKEN", "EDIT_TOKEN=***", "PAGER_KEY=***", "true"]);
    for value in [PRD_TOKEN, "pager-77ee88ff", api.cli_token()] {
        assert!(!ran.stderr.contains(value) && !ran.stdout.contains(value), "{}", ran.stderr);
    }
}
