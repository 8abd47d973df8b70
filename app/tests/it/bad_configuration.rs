//! Wrong command lines and environments: each ends with a code and a text, before anything is served.

use crate::service::BINARY;
use std::os::fd::OwnedFd;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const URL: (&str, &str) = ("DATABASE_URL", "postgres://postgres@localhost/links?host=/nonexistent");

/// Far longer than a refusal takes, the probe's own two seconds included.
const PATIENCE: Duration = Duration::from_secs(30);

struct Bad {
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    code: i32,
    text: &'static str,
}

const fn bad(
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    code: i32,
    text: &'static str,
) -> Bad {
    Bad { arguments, environment, code, text }
}

const SERVE: &[&str] = &["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];

const TABLE: &[Bad] = &[
    bad(&[], &[], 2, "Usage: links <COMMAND>"),
    bad(&["server"], &[], 2, "unrecognized subcommand 'server'"),
    bad(&["serve"], &[], 2, "--database-url <DATABASE_URL>"),
    bad(&["serve", "--port", "1"], &[URL], 2, "unexpected argument '--port'"),
    bad(SERVE, &[("DATABASE_URL", "")], 2, "DATABASE_URL is not a PostgreSQL URL"),
    bad(SERVE, &[("DATABASE_URL", "mysql://u:hunter2@db/links")], 2, "it must start with postgres://"),
    bad(
        SERVE,
        &[("DATABASE_URL", "postgres://u:hunter2@db:port/links")],
        2,
        "not a PostgreSQL URL: invalid port",
    ),
    bad(SERVE, &[("DATABASE_URL", "postgres://u:hunter2@db/links?sslmode=x")], 2, "is not understood"),
    bad(SERVE, &[URL, ("EDIT_TOKEN", "")], 2, "EDIT_TOKEN is empty"),
    bad(SERVE, &[URL, ("LOG_LEVEL", "loud")], 2, "LOG_LEVEL is not a tracing filter: `loud`"),
    bad(SERVE, &[URL, ("LOG_FORMAT", "xml")], 2, "[possible values: text, plain, json]"),
    bad(SERVE, &[URL, ("DATABASE_MAX_CONNECTIONS", "0")], 2, "0 is not in 1..=1000"),
    bad(SERVE, &[URL, ("DATABASE_MAX_CONNECTIONS", "many")], 2, "invalid digit"),
    bad(SERVE, &[URL, ("DRAIN_DELAY", "-1")], 2, "expected seconds from 0 to 3600, such as 5 or 0.5"),
    bad(SERVE, &[URL, ("DRAIN_DELAY", "5s")], 2, "'5s' for '--drain-delay <SECONDS>'"),
    bad(SERVE, &[URL, ("DRAIN_DEADLINE", "NaN")], 2, "'NaN' for '--drain-deadline <SECONDS>'"),
    bad(SERVE, &[URL, ("DRAIN_DEADLINE", "3600.5")], 2, "expected seconds from 0 to 3600"),
    bad(SERVE, &[URL, ("DEV_PROBLEM", "")], 2, "--dev-problem <PATH>"),
    bad(SERVE, &[URL, ("PUBLIC_URL", "go.example.com")], 2, "relative URL without a base"),
    bad(SERVE, &[URL, ("PUBLIC_URL", "ftp://go.example.com")], 2, "it must start with http:// or https://"),
    bad(&["serve"], &[URL, ("LISTEN", "8080")], 2, "expected host:port, such as 127.0.0.1:8080"),
    bad(&["serve"], &[URL, ("LISTEN", "127.0.0.1:70000")], 2, "expected host:port"),
    bad(&["serve"], &[URL, ("LISTEN", "fd:0")], 2, "standard input is not a listening TCP socket"),
    bad(&["serve"], &[URL, ("LISTEN", "192.0.2.1:80")], 1, "cannot listen on 192.0.2.1:80: "),
    bad(
        &["serve"],
        &[URL, ("LISTEN", "0.0.0.0:0")],
        2,
        "can be reached from other machines, and EDIT_TOKEN is not",
    ),
    bad(&["serve"], &[URL, ("LISTEN", "[::]:0")], 2, "next  set EDIT_TOKEN, or listen on 127.0.0.1"),
    bad(
        &["serve", "--listen", "127.0.0.1:0"],
        &[URL, ("ADMIN_LISTEN", "unix:")],
        2,
        "a path must follow `unix:`",
    ),
    bad(
        &["serve", "--listen", "127.0.0.1:0"],
        &[URL, ("ADMIN_LISTEN", "unix:/dev/null")],
        1,
        "cannot listen on unix:/dev/null: the path is not a socket",
    ),
    bad(&["migrate", "--dry-run"], &[URL], 2, "unexpected argument '--dry-run'"),
    bad(&["migrate"], &[URL], 1, "the database could not be read"),
    bad(&["migrate", "--check"], &[URL], 1, "the database could not be read"),
    bad(&["migrate"], &[("DATABASE_URL", "hunter2")], 2, "DATABASE_URL is not a PostgreSQL URL"),
    bad(&["probe"], &[], 2, "<PROBE>"),
    bad(&["probe", "started"], &[], 2, "[possible values: live, startup, ready]"),
    bad(&["probe", "live"], &[("ADMIN_LISTEN", "unix:/nonexistent/admin")], 1, "no answer on /livez"),
    bad(&["probe", "ready", "--admin-listen", "nowhere"], &[], 2, "expected host:port"),
];

/// How the binary ends. One that takes the configuration would serve for ever: it is killed, and its code is missed.
fn end(arguments: &[&str], environment: &[(&str, &str)], stdin: Stdio) -> Output {
    let mut child = Command::new(BINARY)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(stdin)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

#[test]
fn each_ends_with_its_code_and_text() {
    for Bad { arguments, environment, code, text } in TABLE {
        let output = end(arguments, environment, Stdio::null());
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(*code), "{arguments:?} {environment:?}: {error}");
        assert!(error.contains(text), "{arguments:?} {environment:?}: {error}");
        assert!(!error.contains("hunter2"), "a secret is shown: {error}");
        assert!(!error.contains("panicked"), "{error}");
    }
}

#[test]
fn a_socket_that_does_not_listen_is_refused() {
    let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let output = end(&["serve", "--listen", "fd:0"], &[URL], OwnedFd::from(datagrams).into());
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("not a listening TCP socket"));
}
