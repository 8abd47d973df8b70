//! `dev` after a save: built, migrated, started on the same socket, swapped in.

mod keys;
mod kills;
mod load;
mod migrations;
mod refusals;

use std::time::{Duration, Instant};

use crate::case::{Case, Running, get};
use crate::dev::{READY, config, url};

/// `dev` on a case, ready.
fn ready(case: &Case) -> Running {
    let mut dev = case.start("dev");
    dev.until(READY);
    dev.text.clear();
    dev
}

/// `dev` with its URL.
fn served(case: &Case) -> (Running, String) {
    let mut dev = case.start("dev");
    dev.until(READY);
    let url = url(&dev);
    dev.text.clear();
    (dev, url)
}

/// Waits until `url` answers so: at the moment of a swap the old generation may still take a connection.
#[track_caller]
fn answers(url: &str, text: &str) {
    let started = Instant::now();
    loop {
        let found = get(url);
        if found == (200, text.to_owned()) {
            return;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{url} answers {found:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The texts come in this order.
#[track_caller]
fn in_order(said: &str, texts: &[&str]) {
    let mut rest = said;
    for text in texts {
        let Some((_, after)) = rest.split_once(text) else { panic!("no {text:?} there:\n{said}") };
        rest = after;
    }
}

#[test]
fn a_save_is_built_and_swapped_in() {
    let case = Case::with_service().file("xtask.toml", config(""));
    let (mut dev, url) = served(&case);
    for (from, to) in [("tiny\"", "second\""), ("second\"", "third\"")] {
        case.edit("src/main.rs", &format!("TEXT: &str = \"{from}"), &format!("TEXT: &str = \"{to}"));
        dev.until("swap      ✓ ");
        in_order(&dev.text, &["change    src/main.rs", "build     ✓ ", "swap      ✓ "]);
        answers(&url, to.trim_end_matches('"'));
        dev.text.clear();
    }
    dev.signal("INT");
    assert_eq!(dev.end(), 0, "{}", dev.text);
    assert!(dev.text.contains("drained"), "{}", dev.text);
}

#[test]
fn what_git_ignores_and_editors_leave_is_no_change_and_a_new_file_in_a_new_folder_is() {
    let case =
        Case::with_service().file("xtask.toml", config("")).file(".gitignore", "*.log\ntarget\nCargo.lock\n");
    let made = std::process::Command::new("git").arg("init").arg("-q").arg(case.root()).status();
    assert!(made.unwrap().success());
    let mut dev = ready(&case);
    let case = case.file("noise.log", "1").file("src/.main.rs.swp", "1").file("src/main.rs~", "1");
    std::fs::create_dir(case.root().join("src/deep")).unwrap();
    std::fs::write(case.root().join("4913"), "").unwrap();
    std::fs::remove_file(case.root().join("4913")).unwrap();
    // Long enough for a look in between.
    std::thread::sleep(Duration::from_millis(300));
    let _case = case.file("src/deep/new.rs", "fn new() {}\n");
    dev.until("nothing that the service is made of has changed");
    in_order(&dev.text, &["change    src/deep/new.rs\n", "build     ✓ "]);
    assert_eq!(dev.text.matches("change ").count(), 1, "{}", dev.text);
}

#[test]
fn only_what_xtask_toml_names_is_watched() {
    let case =
        Case::with_service().file("xtask.toml", config("[dev]\nwatch = [\"src\"]\n")).file("notes/a.md", "");
    let mut dev = case.start("dev");
    dev.until("src is rebuilt on save");
    let case = case.file("notes/a.md", "changed").file("notes/b.md", "new");
    std::thread::sleep(Duration::from_millis(300));
    case.edit("src/main.rs", "\"tiny\"", "\"other\"");
    dev.until("swap      ✓ ");
    assert!(!dev.text.contains("notes"), "{}", dev.text);
}

#[test]
fn a_change_of_xtask_toml_reaches_the_next_generation() {
    let names = "[secrets.names]\nLOG_LEVEL = { about = \"filter\", dev = \"info\", masked = false }\n";
    let case = Case::with_service().file("xtask.toml", config(names));
    let (mut dev, url) = served(&case);
    case.edit("xtask.toml", "dev = \"info\"", "dev = \"debug\"");
    dev.until("swap      ✓ ");
    answers(&format!("{url}/env/LOG_LEVEL"), "debug");
    dev.text.clear();
    case.edit("xtask.toml", "about", "abuot");
    dev.until("did you mean `about`");
    in_order(&dev.text, &["xtask.toml ✗ xtask.toml:", "unknown key `abuot`", "did you mean `about`"]);
    assert_eq!(get(&url).0, 200);
    case.edit("xtask.toml", "abuot", "about");
    dev.until("swap      ✓ ");
    dev.text.clear();
    case.edit(
        "xtask.toml",
        "[service]",
        "[postgres]\nversions = [\"15\", \"16\", \"17\", \"18\", \"19\"]\n[service]",
    );
    dev.until("takes effect with the next `cargo xtask dev`").until("swap      ✓ ");
}

#[test]
fn a_save_in_the_middle_of_a_build_is_in_the_next_one() {
    let case = Case::with_service().file("xtask.toml", config(""));
    let (mut dev, url) = served(&case);
    for number in 0..5 {
        let (from, to) = if number == 0 {
            ("tiny".to_owned(), "v0".to_owned())
        } else {
            (format!("v{}", number - 1), format!("v{number}"))
        };
        case.edit("src/main.rs", &format!("\"{from}\""), &format!("\"{to}\""));
        std::thread::sleep(Duration::from_millis(120));
    }
    answers(&url, "v4");
    dev.until("swap      ✓ ");
}
