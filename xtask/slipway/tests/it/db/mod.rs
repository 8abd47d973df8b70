//! `db`

use std::path::Path;

use crate::case::{Case, nothing_left};

mod contents;
mod dry_run;

#[test]
fn url_starts_a_server_that_stays_and_a_second_caller_shares_it() {
    let case = Case::new();
    let url = case.run("db url").code(0).says(&["10 minutes"]).stdout;
    assert!(url.starts_with("postgres://postgres@localhost:5432/tiny?host=/tmp/slipway-"), "{url}");
    let server = "select pg_postmaster_start_time()";
    let first = case.run_words(&["db", "psql", "--", "-Atc", server]).code(0).stdout;
    let second = case.run_words(&["db", "psql", "--", "-Atc", server]).code(0).stdout;
    assert_eq!(first, second);
    case.run("db stop").code(0).says(&["stopped, data kept"]);
    case.run("db stop").code(0).says(&["was not up"]);
    nothing_left(&[case.root()]);
}

#[test]
fn eight_callers_at_once_get_one_server() {
    let case = Case::new();
    let urls: Vec<String> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8).map(|_| scope.spawn(|| case.run("db url").code(0).stdout)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert!(urls.iter().all(|url| url == &urls[0]));
    let data = case.status("data");
    let servers = crate::case::processes_in(Path::new(&data).parent().unwrap());
    let postmasters = servers.iter().filter(|line| line.contains("-D ")).count();
    assert_eq!(postmasters, 1, "{servers:#?}");
}

#[test]
fn eight_worktrees_have_eight_servers_and_no_port() {
    let cases: Vec<_> = (0..8).map(|_| Case::new()).collect();
    let urls: std::collections::HashSet<String> = std::thread::scope(|scope| {
        let callers: Vec<_> =
            cases.iter().map(|case| scope.spawn(|| case.run("db url").code(0).stdout)).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    assert_eq!(urls.len(), 8);
    for case in &cases {
        let ran = case.run_words(&["db", "psql", "--", "-Atc", "show listen_addresses"]).code(0);
        assert_eq!(ran.stdout, "\n");
    }
}

#[test]
fn a_server_that_does_not_start_shows_its_log() {
    let case = Case::new();
    case.run("db psql").code(0);
    let data = case.status("data");
    nothing_left(&[data.clone().into()]);
    let config = Path::new(&data).join("postgresql.conf");
    let right = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{right}\nnonsense = on\n")).unwrap();
    case.run("db url").code(1).says(&[
        "error: PostgreSQL did not start",
        "unrecognized configuration parameter \"nonsense\"",
        "log",
        "postgres.log",
        "next",
    ]);
    std::fs::write(&config, right).unwrap();
    case.run("db url").code(0);
}

#[test]
fn the_development_server_is_durable() {
    let case = Case::new();
    for (setting, value) in [("fsync", "on"), ("synchronous_commit", "on"), ("full_page_writes", "on")] {
        let show = format!("show {setting}");
        case.run_words(&["db", "psql", "--", "-Atc", &show]).code(0).prints(&format!("{value}\n"));
    }
}

#[test]
fn psql_passes_its_code_through_and_hears_no_stray_variables() {
    let case =
        Case::new().env("PGHOST", "192.0.2.1").env("PGDATABASE", "prd").env("PGOPTIONS", "-c nonsense=1");
    case.run_words(&["db", "psql", "--", "-Atc", "select current_database()"]).code(0).prints("tiny\n");
    case.run_words(&["db", "psql", "--", "-c", "select nonsense"]).code(1).says(&["nonsense"]);
    // stdin is empty: psql ends, nothing waits.
    case.run("db psql").code(0);
}

#[test]
fn a_stale_pid_file_with_another_programs_pid_is_no_obstacle() {
    let case = Case::new();
    case.run("db psql").code(0);
    let data = case.status("data");
    nothing_left(&[data.clone().into()]);
    let other = std::process::Command::new("sleep").arg("60").spawn();
    let mut other = other.unwrap();
    let text = format!("{}\n{data}\n1\n5432\n.\n\n1 1\nready\n", other.id());
    std::fs::write(Path::new(&data).join("postmaster.pid"), text).unwrap();
    // A reboot also leaves what the keeper wrote last, and empties /tmp.
    let cluster = Path::new(&data).parent().unwrap();
    std::fs::write(cluster.join("owner.lock"), format!("ready {} 5433\n", other.id())).unwrap();
    let state = cluster.parent().unwrap();
    for link in std::fs::read_dir("/tmp").unwrap().flatten().flat_map(|user| {
        let ours = user.file_name().to_string_lossy().starts_with("slipway-");
        std::fs::read_dir(user.path()).into_iter().filter(move |_| ours).flatten().flatten()
    }) {
        if std::fs::read_link(link.path()).is_ok_and(|to| to == state) {
            std::fs::remove_file(link.path()).unwrap();
        }
    }
    assert_eq!((case.status("running"), case.status("tcp")), ("false".to_owned(), "null".to_owned()));
    case.run_words(&["db", "psql", "--", "-Atc", "select 1"]).code(0).prints("1\n");
    assert!(other.try_wait().unwrap().is_none(), "a stranger was killed");
    other.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn data_that_a_power_cut_left_half_made_are_made_again() {
    let case = Case::new();
    case.run("db psql").code(0);
    let data = case.status("data");
    let data = Path::new(&data);
    nothing_left(&[data.into()]);
    // Once somebody was let in, the mark is gone.
    let mark = data.parent().unwrap().join("new");
    assert!(!mark.exists());
    std::fs::write(&mark, "").unwrap();
    std::fs::write(data.join("global/pg_control"), "half").unwrap();
    case.run_words(&["db", "psql", "--", "-Atc", "select 1"]).code(0).prints("1\n");
    assert!(!mark.exists());
}

#[test]
fn graphical_clients_get_a_port_of_loopback_and_a_password() {
    let case = Case::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url =
        case.run(&format!("db start --tcp {port}")).code(0).says(&["up until: cargo xtask db stop"]).stdout;
    let url = url.trim();
    let psql = |url: &str| {
        let ran = std::process::Command::new("psql").args([url, "-XAtwc", "select 1"]).output().unwrap();
        String::from_utf8(ran.stdout).unwrap() + &String::from_utf8(ran.stderr).unwrap()
    };
    assert_eq!(psql(url), "1\n");
    let (head, tail) = (url.split(':').take(2).collect::<Vec<_>>().join(":"), url.split('@').nth(1).unwrap());
    assert!(psql(&format!("{head}@{tail}")).contains("no password supplied"));
    assert!(psql(&format!("{head}:wrong@{tail}")).contains("password authentication failed"));
    // The socket's URL is what it was, and both lead to one server.
    case.run_words(&["db", "psql", "--", "-Atc", "show listen_addresses"]).code(0).prints("127.0.0.1\n");
    assert_eq!(case.status("tcp"), port.to_string());
    // The password is shown once, and nowhere kept.
    let secret = url.split(':').nth(2).unwrap().split('@').next().unwrap();
    let again = case.run(&format!("db start --tcp {port}")).code(0).says(&["--new-password"]).stdout;
    assert!(!again.contains(secret), "{again}");
    let data = case.status("data");
    let log = std::fs::read_to_string(Path::new(&data).parent().unwrap().join("postgres.log")).unwrap();
    assert!(!log.contains(secret));
    let other = case.run(&format!("db start --tcp {port} --new-password")).code(0).stdout;
    assert!(psql(url).contains("password authentication failed"));
    assert_eq!(psql(other.trim()), "1\n");
    case.run("db stop").code(0);
    case.run("db start").code(0);
    case.run_words(&["db", "psql", "--", "-Atc", "show listen_addresses"]).code(0).prints("\n");
    case.run("db stop").code(0);
}

#[test]
fn upgrade_server_prints_commands_and_does_nothing() {
    let case = Case::new();
    case.run("db upgrade-server").code(1).says(&["error: there are no data yet", "next"]);
    case.run("db psql").code(0);
    let major = case.run_words(&["db", "psql", "--", "-Atc", "show server_version"]).code(0).stdout;
    let major = major.split('.').next().unwrap();
    case.run(&format!("db upgrade-server {major}")).code(0).says(&["already"]);
    let commands = case.run("db upgrade-server 99").code(0).says(&["nothing was changed"]).stdout;
    let mut rest = commands.as_str();
    for part in
        ["db dump tiny-from-", "db stop --force", "mv ", "versions = [\"99\"]", "db restore --yes tiny-from-"]
    {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("no {part} in {commands}")).1;
    }
    assert!(Path::new(&case.status("data")).is_dir());
    // Pasted, they move the data; here to a new cluster of the same major.
    case.run_words(&["db", "psql", "--", "-qc", "create table moved as select 7 as i"]).code(0);
    for line in commands.lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("cargo xtask ") {
            Some(line) => drop(case.run(line).code(0)),
            None => assert!(std::process::Command::new("sh").args(["-c", line]).status().unwrap().success()),
        }
    }
    case.run_words(&["db", "psql", "--", "-Atc", "select i from moved"]).code(0).prints("7\n");
    assert!(Path::new(&format!("{}-{major}", case.status("data"))).is_dir());
}

#[test]
fn stop_leaves_a_server_alone_that_is_in_use() {
    let case = Case::new();
    let mut session = case.start_words(&["db", "psql", "--", "-c", "select 1", "-c", "select pg_sleep(60)"]);
    session.until("1 row");
    case.run("db stop").code(1).says(&["error: the server is in use", "next", "--force"]);
    case.run("db stop --force").code(0).says(&["stopped"]);
    assert_ne!(session.end(), 0);
}

#[test]
fn data_of_a_major_that_is_gone_are_kept_and_explained() {
    let case = Case::new();
    case.run("db psql").code(0);
    let data = case.status("data");
    nothing_left(&[data.clone().into()]);
    std::fs::write(Path::new(&data).join("PG_VERSION"), "9\n").unwrap();
    case.run("db url").code(5).says(&[
        "error: the development data is of PostgreSQL 9",
        "why",
        "next",
        "install PostgreSQL 9",
    ]);
}
