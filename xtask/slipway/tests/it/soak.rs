//! Kills at random moments, while rows are committed: nothing that was committed is lost, nothing is left that the
//! next run needs help with. A tenth of the figures, all of them with SLIPWAY_SOAK=1.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::case::{CONFIG, Case, nothing_left, processes_in};

#[derive(Clone, Copy, PartialEq)]
enum Victim {
    Dev,
    Keeper,
    Postmaster,
}

/// Numbers that differ from run to run; the first one is shown, to repeat a run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Commits one row after the other as long as a server answers, and remembers which were acknowledged.
fn write(url: &str, ended: &AtomicBool, acknowledged: &Mutex<Vec<u64>>) {
    let mut next = acknowledged.lock().unwrap().last().map_or(0, |last| last + 1_000_000);
    while !ended.load(Ordering::Relaxed) {
        let insert = format!("insert into rows values ({next})");
        let psql = Command::new("psql")
            .args([url, "-Xqc", &insert])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if psql.unwrap().success() {
            acknowledged.lock().unwrap().push(next);
        }
        next += 1;
    }
}

/// Ends the writer, also when the test fails: its scope would wait for it for ever.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Ends one process of the cluster in `data`, if there is one at this moment, and waits until it is dead: `kill` only
/// asks for that. Gives whether there was one.
fn kill(data: &Path, victim: Victim) -> bool {
    let word = if victim == Victim::Keeper { "__cluster" } else { "-D " };
    let processes = processes_in(data.parent().unwrap());
    let found = processes.iter().find(|line| line.contains(word));
    if let Some(line) = found {
        let pid = line.split(' ').next().unwrap();
        let _ = Command::new("kill").args(["-KILL", pid]).stderr(Stdio::null()).status();
        let lives = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.starts_with(" Z"))
        };
        while lives() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    found.is_some()
}

/// The names in a folder.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

#[test]
fn committed_rows_survive_every_kill() {
    let (devs, others) = if std::env::var("SLIPWAY_SOAK").is_ok() { (100, 20) } else { (10, 2) };
    let mut victims = vec![Victim::Dev; devs];
    for index in 0..others {
        victims.insert(index * devs / others, Victim::Keeper);
        victims.insert(index * devs / others, Victim::Postmaster);
    }
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {seed}");
    let mut random = Random(seed.into());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let case = Case::with_service().file("xtask.toml", format!("{CONFIG}port = {port}\n"));
    case.run_words(&["db", "psql", "--", "-qc", "create table rows (i bigint)"]).code(0);
    let url = case.run("db url").code(0).stdout.trim().to_owned();
    case.run("db stop --force").code(0);
    let data = PathBuf::from(case.status("data"));
    let cluster = data.parent().unwrap();
    let usual = names(cluster);
    let acknowledged = Mutex::new(Vec::new());
    for victim in victims {
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| write(&url, &ended, &acknowledged));
            let _end = End(&ended);
            let mut dev = case.start("dev");
            if victim != Victim::Dev {
                dev.until("ctrl-c stops");
            }
            std::thread::sleep(Duration::from_millis(random.below(700)));
            match victim {
                Victim::Dev => dev.signal("KILL"),
                other => {
                    assert!(kill(&data, other), "there was nobody to kill");
                    // Whoever comes next gets a server again, while `dev` still runs.
                    case.run_words(&["db", "psql", "--", "-Atc", "select 1"]).code(0).prints("1\n");
                    dev.signal("INT");
                }
            }
            dev.end();
        });
        nothing_left(&[case.root(), data.clone()]);
    }
    let ran = case.run_words(&["db", "psql", "--", "-Atc", "select i from rows"]).code(0);
    let there: std::collections::HashSet<u64> =
        ran.stdout.lines().map(|line| line.parse().unwrap()).collect();
    let acknowledged = acknowledged.into_inner().unwrap();
    let lost: Vec<_> = acknowledged.iter().filter(|row| !there.contains(row)).collect();
    let left: Vec<_> = names(cluster).difference(&usual).cloned().collect();
    assert!(left.iter().all(|name| name == "demo-data.lock" || name == "grace"), "left: {left:?}");
    println!("{} rows acknowledged, {} there", acknowledged.len(), there.len());
    assert!(acknowledged.len() > devs && lost.is_empty(), "lost: {lost:?}");
}
