"""The measuring half of bench/postgres, which says there what is measured, and prepares all this needs: it runs as
an ordinary account, in a folder that has the tool, the peers and a home, and is removed at the end."""

import atexit
import collections
import contextlib
import functools
import importlib.metadata
import os
import pathlib
import pwd
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import pgserver
import psycopg
from testing import postgresql

DEV, ALONE, TEST, POOL = "ours, dev", "ours, dev: `db url` alone", "ours, test", "ours, test: test_database()"
PG_CTL, PGSERVER, TESTING = "initdb, pg_ctl -w", "pgserver", "testing.postgresql"
CACHED, EMBEDDED = "testing.postgresql, cached", "postgresql_embedded"
PEERS = [PG_CTL, PGSERVER, TESTING, CACHED, EMBEDDED]
STEPS = ["start", "join", "restart", "stop", "database"]
# At least so many times as fast as the best peer, or at most so many milliseconds.
GOALS = [("start", DEV, 4, None), ("start", TEST, 4, None), ("join", ALONE, None, 10), ("restart", DEV, None, 60),
         ("stop", DEV, None, 20), ("database", POOL, None, 25), ("database", TEST, None, 25)]
HERE = pathlib.Path(__file__).resolve().parent
TMP = HERE / "tmp"
TIMES = collections.defaultdict(list)
FACTS = {"none ready": 0}
CONFIG = '[service]\nname = "tiny"\n'
SCHEMA = "".join(f"""
    create table t{n} (id bigint generated always as identity primary key, name text not null unique,
        other bigint references t{max(n - 1, 1)}, created_at timestamptz not null default now());
    create index on t{n} (created_at);""" for n in range(1, 13))
MIGRATE = """let url = std::env::var("DATABASE_URL").unwrap();
    let psql = std::process::Command::new("psql").args([&url, "-Xqc", include_str!("../schema.sql")]).status();
    assert!(psql.unwrap().success());"""
SLEEPER = """#[test] fn sleeps() {
    std::fs::write("url.new", std::env::var("TEST_TEMPLATE_URL").unwrap()).unwrap();
    std::fs::rename("url.new", "url").unwrap();
    std::thread::sleep(std::time::Duration::from_secs(600));
}"""
JOINER = """import pgserver, psycopg, sys, time
started = time.perf_counter()
with psycopg.connect(pgserver.get_server(sys.argv[1]).get_uri()) as connection:
    connection.execute("select 1")
print((time.perf_counter() - started) * 1000)"""


@contextlib.contextmanager
def timed(row, *steps):
    started = time.perf_counter()
    yield
    for step in steps:
        TIMES[row, step].append((time.perf_counter() - started) * 1000)


@contextlib.contextmanager
def folder():
    # Removed with everything else at the end: ext4 passes over inodes that were freed a moment ago, one by one,
    # so that whoever comes after a removal pays for it.
    yield pathlib.Path(tempfile.mkdtemp(dir=TMP))


def run(*command, cwd=TMP):
    ran = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if ran.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {ran.returncode}: {ran.stderr.strip()}")
    return ran.stdout.strip()


def connect(url):
    return psycopg.connect(url, autocommit=True)


def select_1(url):
    with connect(url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def ours_dev():
    with folder() as root:
        (root / "xtask.toml").write_text(CONFIG)
        url = functools.partial(run, HERE / "xtask", "db", "url", cwd=root)
        stop = functools.partial(run, HERE / "xtask", "db", "stop", "--force", cwd=root)
        with timed(DEV, "start"):
            select_1(url())
        with timed(ALONE, "join"):
            url()
        with timed(DEV, "join"):
            select_1(url())
        with timed(DEV, "stop"):
            stop()
        with timed(DEV, "restart"):
            select_1(url())
        stop()
        FACTS["version"], programs = (root / ".xtask/cluster/server").read_text().splitlines()
        FACTS["bin"] = pathlib.Path(programs)


@functools.cache
def fixture():
    """The service of the tool's own tests, whose `migrate` makes the tables, and one test, which sleeps."""
    root, service = TMP / "fixture", (HERE / "fixture/tiny.rs").read_text()
    does_nothing = 'assert!(std::env::var("DATABASE_URL").is_ok());'
    assert service.count(does_nothing) == 1, "tests/fixture/tiny.rs has changed"
    for path, text in [("xtask.toml", CONFIG), ("Cargo.toml", (HERE / "fixture/manifest.toml").read_text()),
                       ("src/main.rs", service.replace(does_nothing, MIGRATE)), ("schema.sql", SCHEMA),
                       ("tests/sleeper.rs", SLEEPER)]:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def ours_test():
    told = fixture() / "url"
    told.unlink(missing_ok=True)
    with timed(TEST, "start"):
        tool = subprocess.Popen([HERE / "xtask", "test"], cwd=fixture(), stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        with open(TMP / "tests", "a") as tests:  # the names of their folders in memory, for who clears away
            print(tool.pid, file=tests)
        said = []
        while not said or "✓ postgres" not in said[-1]:
            said.append(tool.stderr.readline())
            assert said[-1], "xtask test ended: " + "".join(said)
        data = pathlib.Path(said[-1].split(" in ")[1].split()[0]) / "data"
        select_1(f"postgres://postgres@localhost:5432/postgres?host={data}")
    FACTS["disk of test"] = disk(data)
    try:
        while not told.exists():  # what it says until then fits into the pipe
            assert tool.poll() is None, "xtask test ended: " + tool.stderr.read()
            time.sleep(0.01)
        test_databases(told.read_text())
    finally:
        tool.send_signal(signal.SIGINT)
        tool.communicate()
        while data.parent.exists():
            time.sleep(0.01)


def test_databases(template):
    postgres = template.replace("tiny_template", "postgres")
    with timed(TEST, "database"):
        with connect(postgres) as connection:
            connection.execute("create database copied template tiny_template strategy file_copy")
        select_1(template.replace("tiny_template", "copied"))
    while True:
        started = time.perf_counter()
        with connect(postgres) as connection:
            try:
                name = connection.execute("select test_database()").fetchone()[0]
            except psycopg.errors.UndefinedFunction:
                return
            if name is not None:
                select_1(template.replace("tiny_template", name))
                TIMES[POOL, "database"].append((time.perf_counter() - started) * 1000)
                return
        FACTS["none ready"] += 1
        time.sleep(0.1)


def peer_pg_ctl():
    with folder() as root:
        def pg_ctl(*words):
            return run(FACTS["bin"] / "pg_ctl", "-D", root / "data", *words)
        start = ["-w", "-l", root / "log", "-o", f"-k {root} -c listen_addresses=", "start"]
        url = f"postgres://postgres@localhost:5432/postgres?host={root}"
        with timed(PG_CTL, "start"):
            run(FACTS["bin"] / "initdb", "-D", root / "data", "-U", "postgres")
            pg_ctl(*start)
            select_1(url)
        with timed(PG_CTL, "join"):
            pg_ctl("status")
            select_1(url)
        with timed(PG_CTL, "stop"):
            pg_ctl("-w", "-m", "fast", "stop")
        with timed(PG_CTL, "restart"):
            pg_ctl(*start)
            select_1(url)
        with timed(PG_CTL, "database"):
            with connect(url) as connection:
                connection.execute("create database own")
            with connect(url.replace("/postgres?", "/own?")) as connection:
                connection.execute(SCHEMA)
                assert connection.execute("select 1").fetchone() == (1,)
        pg_ctl("-w", "-m", "fast", "stop")


def peer_pgserver():
    with folder() as root:
        with timed(PGSERVER, "start"):
            server = pgserver.get_server(root / "data")
            select_1(server.get_uri())
        TIMES[PGSERVER, "join"].append(float(run(sys.executable, "-c", JOINER, root / "data")))
        with timed(PGSERVER, "stop"):
            server.cleanup()
        atexit.unregister(server._cleanup)
        with timed(PGSERVER, "restart"):
            server = pgserver.get_server(root / "data")
            select_1(server.get_uri())
        server.cleanup()
        atexit.unregister(server._cleanup)


def programs():
    return {name: str(FACTS["bin"] / name) for name in ["initdb", "postgres"]}


def peer_testing():
    with timed(TESTING, "start"):
        server = postgresql.Postgresql(**programs())
        select_1(server.url())
    with timed(TESTING, "stop"):
        server.stop()


@functools.cache
def factory():
    def tables(server):
        with connect(server.url()) as connection:
            connection.execute(SCHEMA)
    made = postgresql.PostgresqlFactory(cache_initialized_db=True, on_initialized=tables, **programs())
    atexit.register(made.clear_cache)
    return made


def peer_cached():
    new = factory()
    with timed(CACHED, "start", "database"):  # a cluster with the tables, of one test alone: it is both
        server = new()
        select_1(server.url())
    with timed(CACHED, "stop"):
        server.stop()


@functools.cache
def rust():
    return subprocess.Popen([HERE / "peer", FACTS["bin"].parent, TMP / "sockets"], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def peer_embedded():
    def tell(word):
        rust().stdin.write(f"{word}\n")
        rust().stdin.flush()
        return hear()

    def hear():
        line = rust().stdout.readline().strip()
        assert line, rust().stderr.read().strip()
        return line
    with timed(EMBEDDED, "start"):
        select_1(tell("start"))
    with timed(EMBEDDED, "stop"):
        assert tell("stop") == "stopped"
    assert hear() == "removed"


TOOLS = {DEV: ours_dev, TEST: ours_test, PG_CTL: peer_pg_ctl, PGSERVER: peer_pgserver, TESTING: peer_testing,
         CACHED: peer_cached, EMBEDDED: peer_embedded}


def measure(rounds):
    def late(*_):
        raise TimeoutError("not done in 180 s")
    signal.signal(signal.SIGALRM, late)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # clear() does the rest
    load, failed, tools = os.getloadavg()[0], {}, list(TOOLS)
    for number in range(rounds + 1):
        if sys.stderr.isatty():
            print(f"\rround {number} of {rounds} ", end="", file=sys.stderr, flush=True)
        # In another order each time; what one has written is on the disk before the next one starts.
        for tool in tools[number % len(tools):] + tools[:number % len(tools)]:
            os.sync()
            signal.alarm(180)
            try:
                if tool not in failed:
                    TOOLS[tool]()
            except Exception as error:
                if tool not in PEERS:
                    raise
                failed[tool] = f"{type(error).__name__}: {error}"
            signal.alarm(0)
        if number == 0:
            TIMES.clear()
            FACTS["none ready"] = 0
    report(rounds, load, failed)
    return 1 if failed else 0


def disk(path):
    return run("df", "--output=fstype", path).splitlines()[-1]


def report(rounds, load, failed):
    python = {name: f"{name} {importlib.metadata.version(name)}" for name in ["pgserver", "psycopg", TESTING]}
    bundled = run(pgserver._commands.POSTGRES_BIN_PATH / "postgres", "--version").split()[-1]
    embedded = re.search('postgresql_embedded = .*"=(.*?)"', (HERE / "Cargo.toml").read_text())[1]
    account = pwd.getpwuid(os.getuid()).pw_name
    print(f"\rPostgreSQL {FACTS['version']}; {python['pgserver']} with PostgreSQL {bundled}, {python[TESTING]},\n"
          f"{EMBEDDED} {embedded}, {python['psycopg']}; {os.cpu_count()} cores, load {load:.1f} before, "
          f"{os.getloadavg()[0]:.1f} after; {rounds} rounds,\n"
          f"as {account}; data on {disk(TMP)}, of `xtask test` on {FACTS['disk of test']}\n")
    heads = [f"{number} {step}" for number, step in enumerate(STEPS, 1)]
    print(f"{'ms, median / min':<30}" + "".join(f"{head:<15}" for head in heads).rstrip())
    for row in [DEV, ALONE, TEST, POOL, *PEERS]:
        cells = [TIMES[row, step] for step in STEPS]
        cells = [f"{statistics.median(cell):.0f} / {min(cell):.0f}" if cell else "–" for cell in cells]
        if row == POOL and not TIMES[POOL, "database"]:
            cells = ["n/a: this tool has no such function"]
        if row in failed:
            cells = ["failed: " + failed[row].splitlines()[0][:70]]
        print(f"{row:<30}" + "".join(f"{cell:<15}" for cell in cells).rstrip())
    print(f"\n{'medians (minima)':<40}{'best peer':<30}{'peer / ours':<16}goal")
    for step, row, times, limit in GOALS:
        ours, peers = TIMES[row, step], [peer for peer in PEERS if peer not in failed and TIMES[peer, step]]
        if not ours or not peers:
            print(f"{step:<10}{row:<30}n/a")
            continue
        median, best = statistics.median(ours), min(peers, key=lambda peer: statistics.median(TIMES[peer, step]))
        ratio = statistics.median(TIMES[best, step]) / median
        minima = min(min(TIMES[peer, step]) for peer in peers) / min(ours)
        met = ratio >= times if times else median <= limit
        goal = f"at least {times}" if times else f"at most {limit} ms"
        ratio, goal = f"{ratio:.1f} ({minima:.1f})", f"{goal}: {'met' if met else 'missed'}"
        print(f"{step:<10}{row:<30}{best:<30}{ratio:<16}{goal}")
    if FACTS["none ready"]:
        print(f"\ntest_database() had none ready {FACTS['none ready']} times, which are not in its figures.")
    for tool, reason in failed.items():
        print(f"\n{tool} failed: {reason}")


sys.exit(measure(int(sys.argv[1])))
