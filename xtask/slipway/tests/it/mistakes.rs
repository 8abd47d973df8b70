//! What people get wrong: each line is typed in a repository with that xtask.toml, and has its code and text.

use crate::case::{CONFIG, Case};

/// Configuration (`+` appends to a right one), the command line, the exit code, texts in their order.
type Row = (&'static str, &'static str, i32, &'static [&'static str]);

const MISTAKES: &[Row] = &[
    // The command line.
    ("+", "", 2, &["Usage: slipway"]),
    ("+", "tset", 2, &["unrecognized subcommand 'tset'", "similar", "test"]),
    ("+", "dev extra", 2, &["unexpected argument 'extra'"]),
    ("+", "dev --port 1", 2, &["unexpected argument '--port'"]),
    ("+", "--colour dev", 2, &["unexpected argument '--colour'", "--color"]),
    ("+", "--color green dev", 2, &["invalid value 'green'", "auto, always, never"]),
    ("+", "--yes --no-input db reset", 2, &["cannot be used with"]),
    ("+", "test redirect", 2, &["unexpected argument 'redirect'"]),
    ("+", "db", 2, &["Usage:", "url"]),
    ("+", "db drop", 2, &["unrecognized subcommand 'drop'"]),
    ("+", "db stat", 2, &["unrecognized subcommand 'stat'", "status"]),
    ("+", "db new", 2, &["required arguments were not provided", "<NAME>"]),
    ("+", "db new ../evil", 2, &["error: `../evil` is no name for a migration", "next", "db new add_notes"]),
    ("+", "db new a;b", 2, &["error: `a;b` is no name for a migration"]),
    ("+", "db url --json", 2, &["unexpected argument '--json'"]),
    ("+", "db reset", 2, &["error: Drop the development database", "next", "--yes"]),
    ("+", "db reset --no-input", 2, &["Nobody here can answer", "--yes"]),
    ("+", "db stop now", 2, &["unexpected argument 'now'"]),
    ("+", "doctor git", 2, &["unexpected argument 'git'"]),
    ("+", "doctor --clean --json", 2, &["cannot be used with"]),
    ("+", "doctor -n", 2, &["required arguments were not provided", "--clean"]),
    ("+", "ci lnt", 2, &["invalid value 'lnt'", "lint"]),
    ("+", "image", 2, &["Usage:", "build"]),
    ("+", "image biuld", 2, &["unrecognized subcommand 'biuld'", "build"]),
    ("+", "image build v1", 2, &["unexpected argument 'v1'"]),
    ("+", "image verify latest", 2, &["a digest is sha256: and 64 digits"]),
    ("+", "image push", 2, &["error: it is not said where to push", "next", "xtask.toml [image]: push"]),
    ("+", "image push links", 2, &["error: `links` does not name an image in a registry", "why", "next"]),
    ("+", "help dbb", 2, &["error: no help for `dbb`", "next", "did you mean `db`?"]),
    ("+", "help db psqll", 2, &["error: no help for `psqll`", "did you mean `psql`?"]),
    ("+", "help dev more", 2, &["error: no help for `more`", "none below this verb"]),
    ("+", "__exec", 2, &["required"]),
    ("+", "__cluster", 2, &["required"]),
    ("+", "__exec --parent=1 --group -- true", 143, &["the parent is gone"]),
    // xtask.toml: place, text, suggestion, known keys.
    ("", "db status", 2, &["xtask.toml:1:1: missing field `service`"]),
    ("[service]\n", "db status", 2, &["xtask.toml:1:1: missing field `name`"]),
    (
        "[service]\nname = 7\n",
        "db status",
        2,
        &["xtask.toml:2:8: invalid type: integer `7`, expected a string"],
    ),
    (
        "[service]\nname = \"Links\"\n",
        "dev",
        2,
        &["xtask.toml:2:8: `Links` cannot name a package", "next", "lower-case"],
    ),
    (
        "[service]\nname = \"a-name-that-is-longer-than-a-database-can-have\"\n",
        "dev",
        2,
        &["xtask.toml:2:8: a name of 46 bytes is too long", "next", "at most 37 bytes"],
    ),
    ("[service]\nname = \"a b\"\n", "test", 2, &["xtask.toml:2:8: `a b` cannot name a package"]),
    (
        "[service]\nname = \"x\"\nprot = 1\n",
        "dev",
        2,
        &["xtask.toml:3:1: unknown key `prot` in [service]", "did you mean `port`? known keys: name, port"],
    ),
    ("[service]\nname = \"x\"\nport = 0\n", "dev", 2, &["xtask.toml:3:8: port 0", "next", "port = 8080"]),
    ("[service]\nname = \"x\"\nport = 70000\n", "dev", 2, &["xtask.toml:3:8: ", "70000"]),
    ("[service]\nname = \"x\"\nport = \"80\"\n", "dev", 2, &["xtask.toml:3:8: invalid type: string"]),
    ("[service\n", "dev", 2, &["xtask.toml:1:9: "]),
    ("+[service]\n", "dev", 2, &["xtask.toml:3:", "duplicate"]),
    (
        "+[postgres]\nversion = [\"17\"]\n",
        "db status",
        2,
        &[
            "xtask.toml:4:1: unknown key `version` in [postgres]",
            "next",
            "did you mean `versions`? known keys: versions, bin, download",
        ],
    ),
    ("+[postgres]\nversions = []\n", "dev", 2, &["xtask.toml:4:12: `versions` names no version"]),
    (
        "+[postgres]\nversions = [\"17.2\"]\n",
        "dev",
        2,
        &["xtask.toml:4:12: `17.2` is not a major version", "majors only"],
    ),
    (
        "+[postgres]\nversions = \"17\"\n",
        "dev",
        2,
        &["xtask.toml:4:12: invalid type: string \"17\", expected a sequence"],
    ),
    (
        "+[postgres]\nversions = [\"99\"]\n",
        "db url",
        5,
        &["error: no PostgreSQL here that fits", "found", "wants 99", "next"],
    ),
    (
        "+[postgres]\nbin = \"nowhere\"\n",
        "db url",
        5,
        &["error: no PostgreSQL in ", "nowhere", "next", "remove `bin`"],
    ),
    (
        "+[postgres]\ndownload = \"no\"\n",
        "dev",
        2,
        &["xtask.toml:4:12: invalid type: string", "false, or a table"],
    ),
    (
        "+[postgres.download]\nmirror = \"https://x\"\n",
        "dev",
        2,
        &["xtask.toml:4:1: unknown key `mirror` in [postgres.download]", "known keys: url, version"],
    ),
    (
        "+[postgres.download]\nurl = \"ftp://x/y\"\n",
        "db status",
        2,
        &["xtask.toml:4:7: `ftp://x/y` is no address to download from", "next", "https://"],
    ),
    ("+[postgres.download]\nurl = 7\n", "dev", 2, &["xtask.toml:4:7: invalid type: integer `7`"]),
    (
        "+[postgres.download]\nversion = \"17.9\"\n",
        "dev",
        2,
        &["xtask.toml:4:11: `17.9` is no exact version", "next", "three numbers"],
    ),
    (
        "+[postgres]\nversions = [\"16\"]\ndownload = { version = \"15.18.0\" }\n",
        "dev",
        2,
        &["xtask.toml:5:24: `versions` does not have 15", "next", "add \"15\""],
    ),
    ("+", "dev --install sytem", 2, &["invalid value 'sytem'", "system"]),
    (
        "+[zzz]\n",
        "dev",
        2,
        &["xtask.toml:3:2: unknown key `zzz`", "known keys: service, postgres, dev, secrets"],
    ),
    (
        "+[dev]\ndemo = 1\n",
        "dev",
        2,
        &["xtask.toml:4:1: unknown key `demo` in [dev]", "did you mean `demo-data`?"],
    ),
    ("+[dev.processes]\nredis = \" \"\n", "dev", 2, &["xtask.toml:4:9: the process `redis` has no command"]),
    (
        "+[secrets.names]\nEDIT_TOKEN = { abuot = \"x\" }\n",
        "dev",
        2,
        &["xtask.toml:4:16: unknown key `abuot` in [secrets.names.*]", "did you mean `about`?"],
    ),
    (
        "+[secrets.names]\nEDIT_TOKEN = { dev = \"x\" }\n",
        "dev",
        2,
        &["xtask.toml:4:14: missing field `about`"],
    ),
    (
        "+[secrets.names]\nedit = { about = \"x\" }\n",
        "dev",
        2,
        &["xtask.toml:4:8: `edit` is not the name of an environment variable", "upper-case"],
    ),
    (
        "+[secrets.names]\nDATABASE_URL = { about = \"x\", provided = true, dev = \"postgres://prd\" }\n",
        "dev",
        2,
        &["xtask.toml:4:16: DATABASE_URL is provided by this tool and cannot have a `dev` value", "next"],
    ),
    ("+\u{feff}é = 1\n", "dev", 2, &["xtask.toml:3:"]),
];

#[test]
fn every_mistake_has_its_code_and_its_text() {
    assert!(MISTAKES.len() >= 30);
    for (config, line, code, texts) in MISTAKES {
        let config =
            config.strip_prefix('+').map_or_else(|| (*config).to_owned(), |more| format!("{CONFIG}{more}"));
        let ran = Case::new().file("xtask.toml", &config).run(line).code(*code).says(texts);
        assert_eq!(ran.stdout, "", "`{line}` printed on stdout");
        assert!(!ran.stderr.contains("RUST_BACKTRACE") && !ran.stderr.contains("panicked"), "{}", ran.stderr);
        // Every one leads on: by a line of ours, or by clap's.
        let leads = ran.stderr.contains("  next ")
            || ran.stderr.contains("--help")
            || ran.stderr.contains("Options ");
        assert!(leads || line.starts_with("__"), "{}", ran.stderr);
    }
}

#[test]
fn outside_a_repository_it_says_so() {
    let case = Case::new().without("xtask.toml");
    for line in ["dev", "test", "db status", "db url", "ci fmt", "image build", "image inspect"] {
        case.run(line).code(2).says(&["error: no xtask.toml in", "next"]);
    }
    // These need none.
    case.run("help").code(0);
    case.run("doctor").code(0);
    case.run("help codes").code(0);
    case.run("--version").code(0);
}

#[test]
fn a_configuration_that_is_no_text_is_refused() {
    Case::new().file("xtask.toml", b"\xff\xfe[").run("dev").code(2).says(&["xtask.toml is not UTF-8 text"]);
}

#[test]
fn a_backtrace_is_shown_to_nobody() {
    let case = Case::new().env("RUST_BACKTRACE", 1).file("xtask.toml", "nonsense");
    let ran = case.run("dev").code(2).says(&["error: xtask.toml:1:"]);
    assert!(!ran.stderr.contains("stack backtrace"), "{}", ran.stderr);
}

#[test]
fn a_folder_of_somebody_else_is_not_used_as_state() {
    // A link in the place of the state folder: what /tmp makes possible.
    let case = Case::new();
    let elsewhere = case.root().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, case.root().join(".xtask")).unwrap();
    case.run("db url").code(1).says(&["error: ", ".xtask is not a folder of ours", "why", "next", "rm -r"]);
}

#[test]
fn demo_data_that_are_not_there_are_named() {
    let case = Case::with_service().file("xtask.toml", format!("{CONFIG}[dev]\ndemo-data = \"no.sql\"\n"));
    case.run("db reset --yes").code(2).says(&["error: no demo data at", "no.sql", "next"]);
}

#[test]
fn demo_data_with_a_mistake_are_an_error_with_its_line() {
    let case = Case::with_service()
        .file("xtask.toml", format!("{CONFIG}[dev]\ndemo-data = \"demo.sql\"\n"))
        .file("demo.sql", "create table t (i int);\nselect nonsense;\n");
    case.run("db reset --yes").code(1).says(&["error: psql failed", "demo.sql:2", "nonsense"]);
    // Nothing of it stays: the next run loads all of it.
    case.file("demo.sql", "create table t (i int);\n")
        .run("db reset --yes")
        .code(0)
        .says(&["demo data loaded"]);
}
