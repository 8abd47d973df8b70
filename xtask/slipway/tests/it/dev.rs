//! `dev`

use std::net::TcpListener;

use crate::case::{CONFIG, Case, get, nothing_left};
use crate::running::Running;

pub const READY: &str = "ctrl-c stops";

/// A configuration of its own port, so that tests do not meet.
pub fn config(more: &str) -> String {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    format!("{CONFIG}port = {free}\n{more}")
}

pub fn url(dev: &Running) -> String {
    dev.after("  open ")
}

#[test]
fn from_nothing_to_a_url_and_back_to_nothing() {
    let case = Case::with_service().file("xtask.toml", config(""));
    let mut dev = case.start("dev");
    dev.until(READY);
    for said in ["first run", "✓ postgres", "✓ build", "✓ secrets", "✓ migrations", "✓ ready", "open"]
    {
        assert!(dev.text.contains(said), "{said}: {}", dev.text);
    }
    assert_eq!(get(&url(&dev)), (200, "tiny".to_owned()));
    let data = case.status("data").into();
    dev.signal("INT");
    assert_eq!(dev.end(), 0, "{}", dev.text);
    assert!(dev.text.contains("postgres stopped, data kept"), "{}", dev.text);
    nothing_left(&[case.root(), data]);
    // The second time it is short.
    let mut dev = case.start("dev");
    dev.until(READY);
    assert!(!dev.text.contains("first run") && dev.text.contains("tiny · postgres "), "{}", dev.text);
    assert!(!dev.text.contains("✓ build"), "{}", dev.text);
    dev.signal("TERM");
    assert_eq!(dev.end(), 0);
}

#[test]
fn the_service_gets_what_is_declared_and_not_what_the_shell_has() {
    let names = "[secrets.names]\n\
        DATABASE_URL = { about = \"the database\", provided = true }\n\
        EDIT_TOKEN = { about = \"who may edit\", dev = \"dev-only\" }\n\
        LOG_LEVEL = { about = \"filter\", dev = \"info\", masked = false }\n";
    let case = Case::with_service()
        .file("xtask.toml", config(names))
        .env("DATABASE_URL", "postgres://prd.example/links")
        .env("EDIT_TOKEN", "a-real-secret")
        .env("LOG_LEVEL", "debug");
    let mut dev = case.start("-v dev");
    dev.until(READY);
    let value = |name: &str| get(&format!("{}/env/{name}", url(&dev))).1;
    assert!(value("DATABASE_URL").contains("/tiny?host=/tmp/slipway-"), "{}", value("DATABASE_URL"));
    assert_eq!(value("EDIT_TOKEN"), "dev-only");
    assert_eq!(value("LOG_LEVEL"), "debug");
    for name in ["CARGO_PKG_NAME", "LD_LIBRARY_PATH", "PGHOST"] {
        assert_eq!(value(name), "(unset)", "{name}");
    }
    // -v prints commands to paste, without values that are masked.
    assert!(dev.text.contains("EDIT_TOKEN=***") && !dev.text.contains("dev-only"), "{}", dev.text);
}

#[test]
fn a_port_in_use_is_passed_over_and_its_holder_named() {
    let taken = config("");
    let (one, two) =
        (Case::with_service().file("xtask.toml", &taken), Case::with_service().file("xtask.toml", &taken));
    let (mut first, mut second) = (one.start("dev"), two.start("dev"));
    first.until(READY);
    second.until(READY);
    assert_ne!(url(&first), url(&second));
    let (lucky, other) = match first.text.contains("is held by") {
        false => (&one, &second),
        true => (&two, &first),
    };
    let root = lucky.root().canonicalize().unwrap();
    assert!(other.text.contains(&format!("is held by `dev` in {}", root.display())), "{}", other.text);
    assert_eq!(get(&url(&first)).0, 200);
    assert_eq!(get(&url(&second)).0, 200);
    // Two worktrees, two servers.
    assert_ne!(one.status("url"), two.status("url"));
}

#[test]
fn a_port_of_a_stranger_is_passed_over() {
    let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = stranger.local_addr().unwrap().port();
    let case = Case::with_service().file("xtask.toml", format!("{CONFIG}port = {port}\n"));
    let mut dev = case.start("dev");
    dev.until(READY);
    assert!(dev.text.contains(&format!("{port} is held by another program")), "{}", dev.text);
}

#[test]
fn processes_run_beside_the_service_and_end_with_it() {
    // A shell with a child of its own, which no parent-death signal reaches.
    let processes = "[dev.processes]\nclock = \"sh -c 'echo tick; sleep 1000; true'; true\"\nbrief = \"echo once; exit 4\"\n";
    let case = Case::with_service().file("xtask.toml", config(processes));
    let mut dev = case.start("dev");
    dev.until(READY).until("clock     tick").until("brief     once").until("ended with code 4");
    dev.signal("INT");
    assert_eq!(dev.end(), 0, "{}", dev.text);
    nothing_left(&[case.root()]);
}

/// What is declared and not masked can be set from the shell.
const SLOW: &str = "[secrets.names]\nTINY_IS_SLOW = { about = \"\", masked = false }\n";

#[test]
fn a_service_that_never_gets_ready_is_heard_and_can_be_stopped() {
    let case = Case::with_service().file("xtask.toml", config(SLOW)).env("TINY_IS_SLOW", 1);
    let mut dev = case.start("dev");
    dev.until("listening on 127.0.0.1");
    // Who opens the page in the meantime is told as well.
    dev.until("not ready after 10.").until("save a file to try again");
    let (status, text) = get(&url(&dev));
    assert!(status == 503 && text.contains("/readyz answers 503"), "{text}");
    dev.signal("INT");
    assert_eq!(dev.end(), 0, "{}", dev.text);
    assert!(!dev.text.contains(READY), "{}", dev.text);
    nothing_left(&[case.root()]);
}

#[test]
fn dev_and_psql_share_a_server_and_the_last_one_stops_it() {
    let case = Case::with_service().file("xtask.toml", config(""));
    let mut dev = case.start("dev");
    dev.until(READY);
    let mut session = case.start_words(&["db", "psql", "--", "-c", "select 1", "-c", "select pg_sleep(60)"]);
    session.until("1 row");
    let data: std::path::PathBuf = case.status("data").into();
    dev.signal("INT");
    assert_eq!(dev.end(), 0);
    assert!(dev.text.contains("stays up for its other users"), "{}", dev.text);
    assert_eq!(case.status("running"), "true");
    session.signal("KILL");
    session.end();
    nothing_left(&[data]);
}

#[test]
fn a_server_that_is_killed_under_dev_runs_again_and_one_that_is_stopped_does_not() {
    let case = Case::with_service().file("xtask.toml", config(""));
    let mut dev = case.start("dev");
    dev.until(READY);
    let data = case.status("data");
    for word in ["__cluster", "-D "] {
        let cluster = std::path::Path::new(&data).parent().unwrap();
        let processes = crate::case::processes_in(cluster);
        let line = processes.iter().find(|line| line.contains(word)).unwrap();
        let pid = line.split(' ').next().unwrap();
        assert!(std::process::Command::new("kill").args(["-KILL", pid]).status().unwrap().success());
        dev.text.clear();
        dev.until("was killed, and runs again");
        assert_eq!(case.status("running"), "true");
    }
    case.run("db stop --force").code(0);
    dev.until("was stopped: cargo xtask db start");
    assert_eq!(case.status("running"), "false");
    dev.signal("INT");
    assert_eq!(dev.end(), 0, "{}", dev.text);
    nothing_left(&[case.root(), data.into()]);
}

/// The figure is twenty kills; a tenth of it here, see DESIGN.md on SLIPWAY_SOAK.
#[test]
fn a_killed_dev_leaves_nothing_at_any_moment() {
    let whole = std::env::var("SLIPWAY_SOAK").is_ok();
    let case =
        Case::with_service().file("xtask.toml", config("[dev.processes]\nclock = \"sleep 1000; true\"\n"));
    let mut folders = vec![case.root()];
    for round in 0..if whole { 20 } else { 4 } {
        let mut dev = case.start("dev");
        // At its start, in the build, when ready: a moment that differs by the round.
        match round % 4 {
            0 => {
                dev.until(READY);
            }
            1 => std::thread::sleep(std::time::Duration::from_millis(round * 17)),
            2 => std::thread::sleep(std::time::Duration::from_millis(100 + round * 23)),
            _ => std::thread::sleep(std::time::Duration::from_millis(300 + round * 31)),
        }
        dev.signal("KILL");
        assert_eq!(dev.end(), 137);
        if round == 0 {
            folders.push(case.status("data").into());
        }
        nothing_left(&folders);
    }
    let mut dev = case.start("dev");
    dev.until(READY);
    assert_eq!(get(&url(&dev)).0, 200);
}
