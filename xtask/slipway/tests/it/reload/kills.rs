//! `kill -9` in the middle of each step: nothing is left, and the next `dev` needs no help.

use std::io::Write as _;
use std::net::TcpStream;

use super::{SLOW_MIGRATION, served, until_it_migrates};
use crate::case::{Case, get, nothing_left};
use crate::dev::{READY, config, url};
use crate::running::Running;

/// Brings a running `dev` into the middle of a step.
type Bring = fn(Case, &mut Running, &str) -> Case;

fn while_it_builds(case: Case, dev: &mut Running, _: &str) -> Case {
    case.edit("src/main.rs", "\"tiny\"", "\"next\"");
    dev.until("change ");
    case
}

fn while_it_migrates(case: Case, dev: &mut Running, _: &str) -> Case {
    let case = case.file("app/migrations/0002_slow.sql", SLOW_MIGRATION);
    case.edit("src/main.rs", "\"tiny\"", "\"next\"");
    dev.until("build     ✓ ");
    until_it_migrates(&case);
    // What the user would do next: nothing that this test is about.
    case.file("app/migrations/0002_slow.sql", "create table slow ()")
}

fn while_the_new_one_starts(case: Case, dev: &mut Running, _: &str) -> Case {
    case.edit("src/main.rs", "READY: bool = true", "READY: bool = false");
    dev.until("build     ✓ ").until("listening on");
    case.edit("src/main.rs", "READY: bool = false", "READY: bool = true");
    case
}

fn while_the_old_one_drains(case: Case, dev: &mut Running, url: &str) -> Case {
    let host = url.trim_start_matches("http://").replace("localhost", "127.0.0.1");
    let mut slow = TcpStream::connect(host).unwrap();
    slow.write_all(b"GET /slow HTTP/1.1\r\n\r\n").unwrap();
    // Accepted by the old one before the new one is there.
    std::thread::sleep(std::time::Duration::from_millis(100));
    case.edit("src/main.rs", "\"tiny\"", "\"next\"");
    dev.until("swap      ✓ ");
    case
}

fn while_it_shows_a_page(case: Case, dev: &mut Running, url: &str) -> Case {
    case.edit("src/main.rs", "STARTS: bool = true", "STARTS: bool = false");
    dev.until("keeps serving");
    let host = url.trim_start_matches("http://").replace("localhost", "127.0.0.1");
    TcpStream::connect(host).unwrap().write_all(b"GET /exit/7 HTTP/1.1\r\n\r\n").unwrap();
    dev.until("✗ ended with code 7");
    case.edit("src/main.rs", "STARTS: bool = false", "STARTS: bool = true");
    case
}

#[test]
fn in_the_middle_of_each_step() {
    let steps: [Bring; 5] = [
        while_it_builds,
        while_it_migrates,
        while_the_new_one_starts,
        while_the_old_one_drains,
        while_it_shows_a_page,
    ];
    for (number, bring) in steps.into_iter().enumerate() {
        let mut case = Case::with_service()
            .file("xtask.toml", config(""))
            .file("app/migrations/0001_links.sql", "create table links (slug text)");
        let (mut dev, at) = served(&case);
        let data = case.status("data").into();
        case = bring(case, &mut dev, &at);
        dev.signal("KILL");
        assert_eq!(dev.end(), 137, "step {number}");
        nothing_left(&[case.root(), data]);

        let mut dev = case.start("dev");
        dev.until(READY);
        assert_eq!(get(&url(&dev)).0, 200, "step {number}");
        assert_eq!(get(&format!("{}/problem", url(&dev))).1, "", "step {number}");
        // Of sockets and problems only those in use are there.
        let state = std::path::PathBuf::from(case.status("data")).ancestors().nth(2).unwrap().to_path_buf();
        let names = std::fs::read_dir(state).unwrap().flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let ours = names.filter(|name| name.starts_with("admin-") || name.starts_with("problem-"));
        assert_eq!(ours.count(), 2, "step {number}");
        case.run("db status").code(0).says(&["none pending"]);
        dev.signal("INT");
        assert_eq!(dev.end(), 0, "{}", dev.text);
    }
}
