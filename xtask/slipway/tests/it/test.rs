//! `test`

use std::path::Path;

use crate::case::{CONFIG, Case, nothing_left};

const TESTS: &str = r#"
#[test] fn gets_a_template() {
    let url = std::env::var("TEST_TEMPLATE_URL").unwrap();
    assert!(url.contains("/tiny_template?host="), "{url}");
    println!("template at {url}");
}
#[test] fn gets_the_defaults() {
    assert_eq!(std::env::var("EDIT_TOKEN").unwrap(), "dev-only");
    assert_eq!(std::env::var("LOG_LEVEL").unwrap(), "info");
    assert!(std::env::var("DATABASE_URL").is_err());
}
#[test] #[ignore] fn later() {}
"#;

const NAMES: &str = "[secrets.names]\n\
    DATABASE_URL = { about = \"the database\", provided = true }\n\
    EDIT_TOKEN = { about = \"who may edit\", dev = \"dev-only\" }\n\
    LOG_LEVEL = { about = \"filter\", dev = \"info\", masked = false }\n";

fn case(tests: &str) -> Case {
    Case::with_service()
        .file("xtask.toml", format!("{CONFIG}{NAMES}"))
        .file("tests/one.rs", tests)
        .env("DATABASE_URL", "postgres://prd.example/links")
        .env("EDIT_TOKEN", "a-real-secret")
        .env("LOG_LEVEL", "debug")
}

#[test]
fn migrations_are_applied_once_until_one_changes() {
    // A file that no other run had: templates are shared by all cases.
    let nobody_had = format!("-- {} {:?}", std::process::id(), std::time::SystemTime::now());
    let case = case(TESTS).file("app/migrations/0001_one.sql", &nobody_had);
    case.run("test").code(0).says(&["✓ template", "1 migration applied"]);
    let second = case.run("test").code(0);
    assert!(!second.stderr.contains("✓ template"), "{}", second.stderr);
    let case = case.file("app/migrations/0002_two.sql", &nobody_had);
    case.run("test").code(0).says(&["✓ template", "2 migrations applied"]);
}

#[test]
fn each_test_is_handed_a_database_of_its_own_that_is_ready() {
    let case = case(
        r#"
fn ask() -> String {
    let url = std::env::var("TEST_TEMPLATE_URL").unwrap();
    let host = url.split("host=").nth(1).unwrap();
    let psql = |database: &str, sql: &str| {
        let ran = std::process::Command::new("psql")
            .args(["-h", host, "-U", "postgres", "-d", database, "-XAtc", sql]).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8(ran.stdout).unwrap().trim().to_owned()
    };
    let mut name = String::new();
    while name.is_empty() {
        name = psql("postgres", "select test_database()");
    }
    psql(&name, "create table mine (i int)");
    name
}
#[test] fn one() { ask(); }
#[test] fn many_at_once() {
    let mut names: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..20).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|name| name.join().unwrap()).collect()
    });
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 20);
}
"#,
    );
    case.run("test").code(0).says(&["2 passed, 0 failed"]);
}

/// PATH without nextest: the tool then runs cargo test.
fn without_nextest() -> String {
    let path = std::env::var("PATH").unwrap();
    let lacks = |folder: &&str| !Path::new(folder).join("cargo-nextest").exists();
    path.split(':').filter(lacks).collect::<Vec<_>>().join(":")
}

#[test]
fn tests_run_on_a_server_of_their_own_with_the_defaults_and_end_in_a_total() {
    let case = case(TESTS);
    let ran = case.run("test").code(0).says(&["✓ postgres", "of this run alone", "✓ test"]);
    assert_eq!(ran.stderr.trim_end().lines().last(), Some("2 passed, 0 failed, 1 skipped"));
    // The development server has nothing to do with it.
    case.run("db status").code(0).says(&["no cluster yet"]);
    nothing_left(&[case.root()]);
}

#[test]
fn without_nextest_cargo_test_runs_them_with_a_total_over_all_binaries() {
    let case = case(TESTS)
        .file("tests/two.rs", "#[test] fn fails() { panic!(\"on purpose\") }")
        .env("PATH", without_nextest());
    let ran = case.run("test").code(1).says(&["on purpose", "✗ test", "3 tests with cargo test"]);
    assert_eq!(ran.stderr.trim_end().lines().last(), Some("2 passed, 1 failed, 1 skipped"));
}

#[test]
fn arguments_go_to_the_runner() {
    let case = case(TESTS);
    let ran = case.run("test -- gets_a_template").code(0);
    assert!(ran.stderr.contains("1 passed, 0 failed"), "{}", ran.stderr);
}

#[test]
fn tests_that_do_not_compile_are_an_error() {
    let case = case("#[test] fn x() { oops }");
    case.run("test").code(1).says(&["cannot find value `oops`", "0 passed, 0 failed", "error: cargo "]);
}

#[test]
fn the_tests_server_is_fast_and_not_durable() {
    let tests = r#"
#[test] fn show() {
    let url = std::env::var("TEST_TEMPLATE_URL").unwrap();
    let host = url.split("host=").nth(1).unwrap();
    for (setting, value) in [("fsync", "off"), ("synchronous_commit", "off"), ("listen_addresses", "")] {
        let show = std::process::Command::new("psql")
            .args(["-h", host, "-U", "postgres", "-d", "postgres", "-XAtc", &format!("show {setting}")])
            .output().unwrap();
        assert_eq!(String::from_utf8(show.stdout).unwrap().trim(), value, "{setting}");
    }
}
"#;
    case(tests).run("test").code(0).says(&["1 passed, 0 failed"]);
}

#[test]
fn interrupted_tests_leave_nothing() {
    let case = case(
        "#[test] fn slow() { println!(\"sleeping\"); std::thread::sleep(std::time::Duration::from_secs(600)) }",
    );
    for (signal, code) in [("INT", 130), ("TERM", 143), ("KILL", 137)] {
        let mut tests = case.start("test -- --no-capture");
        tests.until("sleeping");
        let server =
            tests.text.split("of this run alone, in ").nth(1).unwrap().split_whitespace().next().unwrap();
        let folder = std::path::PathBuf::from(server);
        assert!(folder.is_dir());
        tests.signal(signal);
        assert_eq!(tests.end(), code, "{signal}: {}", tests.text);
        nothing_left(&[case.root(), folder.clone()]);
        // The keeper removes it; that takes it a moment after its last user.
        let gone = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            !folder.exists()
        });
        assert!(gone, "{} is still there", folder.display());
    }
}
