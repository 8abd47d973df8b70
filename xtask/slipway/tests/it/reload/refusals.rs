//! What does not build, start or get ready changes nothing, and is shown.

use super::{answers, in_order, served};
use crate::case::{Case, get, nothing_left};
use crate::dev::{READY, config, url};

const BROKEN: (&str, &str) = ("const READY: bool = true;", "const READY: bool = \"one\";");

#[test]
fn what_does_not_build_is_shown_as_rustc_shows_it_while_the_old_version_serves() {
    let case = Case::with_service().file("xtask.toml", config(""));
    let (mut dev, url) = served(&case);
    case.edit("src/main.rs", BROKEN.0, BROKEN.1);
    dev.until("--> src/main.rs:");
    in_order(&dev.text, &["build     ✗ 1 error; the build of ", "error[E0308]", "--> src/main.rs:"]);
    assert_eq!(get(&url), (200, "tiny".to_owned()));
    let problem = get(&format!("{url}/problem")).1;
    assert!(problem.contains("error[E0308]") && !problem.contains('\x1b'), "{problem}");
    case.edit("src/main.rs", BROKEN.1, BROKEN.0);
    dev.until("swap      ✓ ");
    assert_eq!(get(&format!("{url}/problem")).1, "");
}

#[test]
fn a_first_build_that_fails_is_answered_by_a_page_until_it_is_mended() {
    let case = Case::with_service().file("xtask.toml", config(""));
    case.edit("src/main.rs", BROKEN.0, BROKEN.1);
    let mut dev = case.start("dev");
    dev.until("save a file to try again");
    in_order(&dev.text, &["build     ✗ 1 error", "error[E0308]", "open "]);
    let (status, text) = get(&url(&dev));
    assert!(
        status == 503 && text.starts_with("tiny: 1 error") && text.contains("--> src/main.rs:"),
        "{text}"
    );
    case.edit("src/main.rs", BROKEN.1, BROKEN.0);
    dev.until(READY);
    assert_eq!(get(&url(&dev)), (200, "tiny".to_owned()));
    dev.signal("INT");
    assert_eq!(dev.end(), 0);
    nothing_left(&[case.root()]);
}

#[test]
fn ctrl_c_ends_it_also_while_nothing_runs() {
    let case = Case::with_service().file("xtask.toml", config("")).file("src/main.rs", "fn main() { oops }");
    let mut dev = case.start("dev");
    dev.until("save a file to try again");
    dev.signal("INT");
    assert_eq!(dev.end(), 0, "{}", dev.text);
    assert!(dev.text.contains("service     did not run"), "{}", dev.text);
    nothing_left(&[case.root()]);
}

#[test]
fn one_that_does_not_start_or_get_ready_changes_nothing() {
    let case = Case::with_service().file("xtask.toml", config(""));
    let (mut dev, url) = served(&case);
    case.edit("src/main.rs", "STARTS: bool = true", "STARTS: bool = false");
    dev.until("keeps serving");
    in_order(
        &dev.text,
        &["build     ✓ ", "cannot start, said on purpose", "tiny      ✗ ended with code 9; the build of"],
    );
    assert!(get(&format!("{url}/problem")).1.contains("cannot start, said on purpose"));
    dev.text.clear();
    case.edit("src/main.rs", "STARTS: bool = false", "STARTS: bool = true");
    case.edit("src/main.rs", "READY: bool = true", "READY: bool = false");
    dev.until("build     ✓ ").until("listening on");
    assert_eq!(get(&url), (200, "tiny".to_owned()));
    case.edit("src/main.rs", "READY: bool = false", "READY: bool = true");
    case.edit("src/main.rs", "\"tiny\"", "\"mended\"");
    dev.until("swap      ✓ ");
    answers(&url, "mended");
}

#[test]
fn a_service_that_ends_is_answered_for_until_the_next_save() {
    let case = Case::with_service().file("xtask.toml", config(""));
    let (mut dev, url) = served(&case);
    let host = url.trim_start_matches("http://").replace("localhost", "127.0.0.1");
    use std::io::Write as _;
    std::net::TcpStream::connect(host).unwrap().write_all(b"GET /exit/7 HTTP/1.1\r\n\r\n").unwrap();
    dev.until("tiny      ✗ ended with code 7").until("save a file: it is started again");
    // The page of the tool follows at once; until then a connection waits.
    let (status, text) = get(&url);
    assert!(status == 503 && text.contains("ended with code 7"), "{text}");
    case.edit("src/main.rs", "\"tiny\"", "\"again\"");
    dev.until("swap      ✓ ");
    assert_eq!(get(&url), (200, "again".to_owned()));
}

#[test]
fn one_that_ends_before_it_is_ready_is_shown_with_its_last_words() {
    let fails = "[secrets.names]\nTINY_FAILS = { about = \"\", masked = false }\n";
    let case = Case::with_service().file("xtask.toml", config(fails)).env("TINY_FAILS", 1);
    let mut dev = case.start("dev");
    dev.until("save a file to try again");
    in_order(&dev.text, &["cannot start, said on purpose", "tiny      ✗ ended with code 9"]);
    assert!(get(&url(&dev)).1.contains("cannot start, said on purpose"));
}

#[test]
fn demo_data_with_a_mistake_are_mended_by_a_save() {
    let case = Case::with_service()
        .file("xtask.toml", config("[dev]\ndemo-data = \"demo.sql\"\n"))
        .file("demo.sql", "create table t (i int);\nselect nonsense;\n");
    let mut dev = case.start("dev");
    dev.until("save a file to try again");
    in_order(&dev.text, &["migrate   ✗ psql failed", "demo.sql:2", "nonsense"]);
    let _case = case.file("demo.sql", "create table t (i int);\n");
    dev.until("demo data loaded").until(READY);
}
