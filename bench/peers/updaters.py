"""The tools of bench/sync, which says there what is measured: how each sets up a service, updates and checks it, and
what must be there afterwards."""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import workflows

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
XTASK = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "xtask/xtask"
VENV = ROOT / "target/bench/sync-venv"
STEPS = UPDATE, NOTHING, CHECK = "update", "nothing", "check"
CHECKS, PATIENCE = 5, 600
WHERE = pathlib.Path(".github/workflows")
# Times a command where it runs: what it costs to be there is not part of it.
STOPWATCH = """import json, subprocess, sys, time
for _ in range(int(sys.argv[1])):
    started = time.monotonic()
    ran = subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(json.dumps([(time.monotonic() - started) * 1000, ran.returncode, ran.stdout.decode()]))"""


def offline():
    """What runs a command without a network, if this account may: it must be found without PATH."""
    for words in ["-rn", "-n"]:
        unshare = [shutil.which("unshare"), words]
        if unshare[0] and subprocess.run([*unshare, "true"], capture_output=True).returncode == 0:
            return unshare
    return []


OFFLINE = offline()


class Failed(Exception):
    pass


def run(env, cwd, *command, code=0):
    """Milliseconds, and what was said. It must end with this code, and all that it started ends with us."""
    started = time.monotonic()
    child = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, start_new_session=True)
    try:
        said, _ = child.communicate(timeout=PATIENCE)
    except BaseException as why:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if isinstance(why, subprocess.TimeoutExpired):
            raise Failed(f"no end within {PATIENCE} s") from None
        raise
    took, said = (time.monotonic() - started) * 1000, said.decode(errors="replace")
    if child.returncode != code:
        raise Failed(f"`{' '.join(map(str, command))}` ended with {child.returncode}: {' '.join(said.split())[-300:]}")
    return took, said.strip()


def write(folder, files):
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


class Tool:
    """One tool at one size: its template repository, and a service that has v1.0.0 and edits."""

    below, source_files = WHERE, {}

    def __init__(self, work, env, count):
        self.work, self.env, self.count, self.round = work, env, count, None
        self.source, self.service, self.url = work / "source", work / "service", f"file://{work}/source"
        self.old, self.new, self.rename, self.edits = workflows.versions(count)
        for folder in [self.source, self.service]:
            folder.mkdir(parents=True)
            self.git(folder, "init", "--quiet", "--initial-branch=main")
        self.publish(self.old, "v1.0.0")
        self.create()
        self.commit(self.service, "set up")
        for name in self.edits:
            path = self.service / WHERE / name
            path.write_text(workflows.edited(path.read_text()))
        self.commit(self.service, "our edits")
        self.git(self.service, "gc", "--quiet")
        self.publish(self.new, "v2.0.0")
        self.wanted = {name: workflows.edited(text) if name in self.edits else text for name, text in self.new.items()}

    def git(self, folder, *words):
        return run(self.env, folder, "git", *words)[1]

    def commit(self, folder, message):
        self.git(folder, "add", "--all")
        self.git(folder, "commit", "--quiet", "--message", message)

    def publish(self, files, tag):
        shutil.rmtree(self.source / self.below, ignore_errors=True)
        write(self.source, self.source_files)
        write(self.source / self.below, files)
        self.commit(self.source, tag)
        self.git(self.source, "tag", tag)
        self.published = self.git(self.source, "rev-parse", "HEAD")

    def prepare(self, number):
        self.round = self.work / f"round-{number}"
        subprocess.run(["cp", "-a", self.service, self.round], check=True)
        self.git(self.round, "status")
        os.sync()

    def steps(self):
        """Runs each step; gives its name, the milliseconds, and what was wrong."""
        took, _ = run(self.at(UPDATE), self.round, *self.PULL)
        yield UPDATE, [took], self.differs()
        self.commit(self.round, "v2.0.0")
        took, _ = run(self.at(NOTHING), self.round, *self.PULL)
        left = self.git(self.round, "status", "--porcelain").split("\n")[0]
        yield NOTHING, [took], self.differs() or left and f"git sees a change: {left}"
        took, said = self.check()
        yield CHECK, took, self.missed(said)

    def at(self, _step):
        return self.env

    def check(self):
        took, said = run(self.env, self.round, *self.LOOK, code=self.DRIFTED)
        return [took], said

    def differs(self):
        here = {path.name: path.read_text() for path in (self.round / WHERE).iterdir()}
        names = sorted(name for name in here | self.wanted if here.get(name) != self.wanted.get(name))
        if names:
            return f"{len(names)} files are not as they must be: {', '.join(names[:3])} …"
        return None if self.recorded() else "v2.0.0 is not recorded"

    def missed(self, said):
        names = [name for name in self.edits if name not in said]
        return f"does not name {len(names)} of {len(self.edits)} edited files" if names else None


class Copier(Tool):
    below, source_files = pathlib.Path("template") / WHERE, {
        "copier.yml": "_subdirectory: template\n",
        "template/{{ _copier_conf.answers_file }}.jinja": "{{ _copier_answers|to_nice_yaml -}}\n",
    }
    PULL, LOOK, DRIFTED = ["copier", "update", "--defaults"], ["copier", "check-update"], 0
    LABELS = dict(zip(STEPS, ["copier update", "copier update", "copier check-update (versions only)"]))

    def create(self):
        run(self.env, self.work, "copier", "copy", "--defaults", f"git+{self.url}", self.service)

    def recorded(self):
        return "_commit: v2.0.0\n" in (self.round / ".copier-answers.yml").read_text()

    def missed(self, said):
        return None if "up-to-date" in said else "does not say up-to-date"


class Cruft(Tool):
    below, source_files = "{{cookiecutter.name}}" / WHERE, {
        "cookiecutter.json": json.dumps({"name": "service", "_copy_without_render": ["*.yml"]}),
    }
    PULL, LOOK, DRIFTED = ["cruft", "update", "-y"], ["cruft", "diff", "--exit-code"], 1
    LABELS = dict(zip(STEPS, ["cruft update -y", "cruft update -y", "cruft diff --exit-code"]))

    def create(self):
        create = ["cruft", "create", self.url, "--no-input", "--overwrite-if-exists", "--output-dir", self.work]
        run(self.env, self.work, *create)

    def recorded(self):
        return json.loads((self.round / ".cruft.json").read_text())["commit"] == self.published


class Ours(Tool):
    below = "workflows"
    PULL, DRIFTED = [XTASK, "sync-actions"], 3
    LABELS = dict(zip(STEPS, ["ours, no cache", "ours, no cache", "ours, --check"]))

    def publish(self, files, tag):
        manifest = 'files = ["workflows/"]\n'
        if tag == "v2.0.0":
            before, after = self.rename
            manifest += f'\n[renames]\n"workflows/{before}" = "workflows/{after}"\n'
        self.source_files = {"templates.toml": manifest}
        super().publish(files, tag)

    def create(self):
        self.env = self.env | {"SLIPWAY_CACHE": str(self.work / "cache")}
        config = f'[service]\nname = "links"\n\n[actions]\nsource = "{self.url}"\nversion = "*"\n'
        write(self.service, {"xtask.toml": config, ".gitignore": "/.xtask\n/target\n"})
        run(self.env, self.service, *self.PULL, "--to", "1.0.0")

    def at(self, step):
        return self.env | {"SLIPWAY_CACHE": f"{self.round}.{step}"}

    def check(self):
        words = [*OFFLINE, sys.executable, "-ISc", STOPWATCH, str(CHECKS), XTASK, "sync-actions", "--check"]
        _, said = run(self.at(CHECK) | {"PATH": str(self.work)}, self.round, *words)
        took, codes, told = zip(*map(json.loads, said.splitlines()))
        if set(codes) != {self.DRIFTED}:
            raise Failed(f"`xtask sync-actions --check` ended with {codes}: {' '.join(told[0].split())[-300:]}")
        return took, told[0]

    def recorded(self):
        lock = (self.round / ".github/sync-actions.lock").read_text()
        return '\nversion = "2.0.0"\n' in lock and f'\ncommit = "{self.published}"\n' in lock


class Cached(Ours):
    LABELS = dict(zip(STEPS, ["ours, cached", "ours, cached", "ours, --check"]))

    def prepare(self, number):
        super().prepare(number)
        if (self.work / "cache").exists():
            subprocess.run(["cp", "-a", self.work / "cache", f"{self.round}.cache"], check=True)
            os.sync()

    def at(self, _step):
        return super().at("cache")
