//! No verb asks where nobody can answer: with stdin closed and without a terminal each ends, or runs.

use crate::case::Case;

#[test]
fn every_verb_ends_or_runs_without_input() {
    let case = Case::with_service().file("tests/one.rs", "#[test]\nfn one() {}\n");
    // Every verb of the overview and of `db`; `dev` runs, the others end.
    let ends = [
        ("help", 0),
        ("help codes", 0),
        ("--version", 0),
        ("--help", 0),
        ("test", 0),
        ("db url", 0),
        ("db psql", 0),
        ("db status", 0),
        ("db migrate", 0),
        ("db migrate -n", 0),
        ("db new one", 0),
        ("db reset", 2),
        ("db reset --yes", 0),
        ("db reset -n", 0),
        ("db dump one.dump", 0),
        ("db restore one.dump", 2),
        ("db restore -n one.dump", 0),
        ("db start", 0),
        ("db upgrade-server", 0),
        ("db stop", 0),
        ("image inspect", 1),
        ("image build", 0),
        ("image inspect", 0),
        ("image push", 2),
        ("secrets run -- cat", 0),
        ("secrets check", 2),
        ("secrets scan", 0),
        ("ci fmt", 1),
        ("doctor", 0),
        ("doctor --json", 0),
        ("doctor --clean -n", 0),
    ];
    for (line, code) in ends {
        let ran = case.run(line);
        assert_eq!(ran.code, Some(code), "`{line}` said:\n{}{}", ran.stdout, ran.stderr);
    }
    let overview = case.run("--help").stdout;
    for verb in ["dev", "test", "db", "secrets", "image", "ci", "doctor", "help"] {
        assert!(overview.contains(&format!(" {verb} ")), "{overview}");
        assert!(verb == "dev" || ends.iter().any(|(line, _)| line.starts_with(verb)), "{verb} was not tried");
    }
    let mut dev = case.start("dev");
    dev.until("ctrl-c stops");
    dev.signal("INT");
    assert_eq!(dev.end(), 0);
}
