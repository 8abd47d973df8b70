//! `dev` after a save: built, migrated, started on the same socket, swapped in.

mod keys;
mod kills;
mod load;
mod migrations;
mod refusals;

use std::time::{Duration, Instant};

use crate::case::{Case, get, nothing_left};
use crate::dev::{READY, config, url};
use crate::running::Running;

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

/// A migration in the middle of which something can happen.
const SLOW_MIGRATION: &str = "create table slow (); select pg_sleep(30)";

/// Waits until [`SLOW_MIGRATION`] sleeps.
#[track_caller]
fn until_it_migrates(case: &Case) {
    let asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    let started = Instant::now();
    while case.run_words(&["db", "psql", "--", "-XqAtc", asleep]).stdout.trim() != "1" {
        assert!(started.elapsed() < Duration::from_secs(60), "it never migrated");
        std::thread::sleep(Duration::from_millis(10));
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
    let case = Case::with_service().file("xtask.toml", config("")).file(".gitignore", "*.log\ntarget\n");
    let made = std::process::Command::new("git").arg("init").arg("-q").arg(case.root()).status();
    assert!(made.unwrap().success());
    let mut dev = ready(&case);
    let case = case.file("src/noise.log", "1").file("src/.main.rs.swp", "1").file("src/main.rs~", "1");
    std::fs::create_dir(case.root().join("src/deep")).unwrap();
    std::fs::write(case.root().join("src/4913"), "").unwrap();
    std::fs::remove_file(case.root().join("src/4913")).unwrap();
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
    dev.until("watching src: save a file");
    let case = case.file("notes/a.md", "changed").file("notes/b.md", "new");
    std::thread::sleep(Duration::from_millis(300));
    case.edit("src/main.rs", "\"tiny\"", "\"other\"");
    dev.until("swap      ✓ ");
    assert!(!dev.text.contains("notes"), "{}", dev.text);
}

#[test]
fn a_change_of_xtask_toml_reaches_the_next_generation() {
    let names = "[secrets.names]\nGREETING = { about = \"what to say\", dev = \"hello\", masked = false }\n";
    let case = Case::with_service().file("xtask.toml", config(names));
    let (mut dev, url) = served(&case);
    case.edit("xtask.toml", "dev = \"hello\"", "dev = \"welcome\"");
    dev.until("swap      ✓ ");
    answers(&format!("{url}/env/GREETING"), "welcome");
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
    dev.until("takes effect with the next `cargo xtask dev`: [postgres]").until("swap      ✓ ");
}

#[test]
fn what_xtask_toml_lacks_stays_said_while_the_code_is_mended() {
    let case = Case::with_service().file("xtask.toml", config(""));
    let (mut dev, url) = served(&case);
    case.edit("xtask.toml", "[service]", "[sevrice]");
    dev.until("did you mean `service`");
    case.edit("src/main.rs", "\"tiny\"", "\"second\"");
    dev.until("swap      ✓ ");
    answers(&url, "second");
    assert!(get(&format!("{url}/problem")).1.contains("sevrice"));
    case.edit("xtask.toml", "[sevrice]", "[service]");
    dev.text.clear();
    dev.until("swap      ✓ ");
    answers(&format!("{url}/problem"), "");
}

#[test]
fn two_in_one_folder_do_not_take_each_others_word() {
    let case = Case::with_service().file("xtask.toml", config(""));
    let ((mut one, first), (mut two, second)) = (served(&case), served(&case));
    case.edit("src/main.rs", "const READY: bool = true;", "const READY: bool = \"one\";");
    one.until("keeps serving");
    two.until("keeps serving");
    two.signal("INT");
    assert_eq!(two.end(), 0, "{}", two.text);
    assert!(get(&format!("{first}/problem")).1.contains("error[E0308]"));
    assert_ne!(first, second);
    case.edit("src/main.rs", "const READY: bool = \"one\";", "const READY: bool = true;");
    one.until("swap      ✓ ");
    one.signal("INT");
    assert_eq!(one.end(), 0, "{}", one.text);
    assert!(one.text.contains("postgres stopped"), "{}", one.text);
}

#[test]
fn ctrl_c_in_the_middle_of_a_build_or_a_migration_ends_all() {
    let case = Case::with_service().file("xtask.toml", config(""));
    let (mut dev, _) = served(&case);
    let data = case.status("data").into();
    case.edit("src/main.rs", "\"tiny\"", "\"second\"");
    dev.until("change ");
    dev.signal("INT");
    assert_eq!(dev.end(), 0, "{}", dev.text);
    let case = case.file("app/migrations/0001_slow.sql", SLOW_MIGRATION);
    let mut dev = case.start("dev");
    until_it_migrates(&case);
    dev.signal("INT");
    assert_eq!(dev.end(), 0, "{}", dev.text);
    nothing_left(&[case.root(), data]);
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
