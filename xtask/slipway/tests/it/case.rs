//! One test's repository: `Case::new().file("xtask.toml", …).run("db status").code(0)`.

use std::fmt::Display;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::running::Running;

/// The smallest configuration that is right.
pub const CONFIG: &str = "[service]\nname = \"tiny\"\n";

/// A folder with an xtask.toml, and a home of its own. Dropped, it stops what it started and is gone.
pub struct Case {
    folder: tempfile::TempDir,
    /// The repository's, in `folder`.
    root: PathBuf,
    env: Vec<(String, String)>,
    below: PathBuf,
    /// The program, behind what changes the account.
    program: Vec<PathBuf>,
}

impl Case {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("slipway-").tempdir().unwrap();
        std::fs::create_dir(folder.path().join("repo")).unwrap();
        let program = vec![env!("CARGO_BIN_EXE_slipway").into()];
        let root = "repo".into();
        let case = Case { folder, root, env: Vec::new(), below: PathBuf::new(), program };
        case.file("xtask.toml", CONFIG)
    }

    /// A case with a service to build: tests/fixture, which needs no crates and a second.
    pub fn with_service() -> Self {
        Case::new().service()
    }

    /// Writes the service of tests/fixture.
    pub fn service(self) -> Self {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture");
        let read = |name: &str| std::fs::read_to_string(fixture.join(name)).unwrap();
        self.file("Cargo.toml", read("manifest.toml"))
            // Else cargo writes one, which is a change for whoever watches.
            .file("Cargo.lock", read("lock.toml"))
            .file("src/main.rs", read("tiny.rs"))
    }

    /// Everything of this case is below.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join(&self.root)
    }

    /// Puts the repository deeper; the first call of a builder.
    pub fn nested(mut self, path: &str) -> Self {
        self.root = self.root.join(path);
        self.file("xtask.toml", CONFIG)
    }

    /// Writes a file below the root.
    pub fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    /// Saves a file below the root with `from` replaced, as an editor would.
    #[track_caller]
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let path = self.root().join(path);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{} has no {from:?}", path.display());
        std::fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Removes a file below the root.
    pub fn without(self, path: &str) -> Self {
        std::fs::remove_file(self.root().join(path)).unwrap();
        self
    }

    /// Sets a variable for every run.
    pub fn env(mut self, name: &str, value: impl Display) -> Self {
        self.env.push((name.to_owned(), value.to_string()));
        self
    }

    /// Types the commands in a folder below the root.
    pub fn below(mut self, folder: &str) -> Self {
        std::fs::create_dir_all(self.root().join(folder)).unwrap();
        self.below = folder.into();
        self
    }

    /// Runs as an ordinary user, also where the tests run as root. The last call of a builder: what is written
    /// later is root's.
    pub fn ordinary_user(self) -> Self {
        match std::fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0) {
            true => self.user(65534),
            false => self,
        }
    }

    /// Runs as this user, who need not have a name; only root may ask. The last call but for [`Case::wrap`].
    pub fn user(mut self, uid: u32) -> Self {
        // The account may not be able to reach where cargo has put it.
        let program = self.folder.path().join("slipway");
        std::fs::copy(env!("CARGO_BIN_EXE_slipway"), &program).unwrap();
        let owner = format!("{uid}:{uid}");
        let owned = Command::new("chown").args(["-R", &owner]).arg(self.folder.path()).status().unwrap();
        assert!(owned.success());
        let change = ["setpriv", &format!("--reuid={uid}"), &format!("--regid={uid}"), "--clear-groups"];
        self.program = change.iter().map(PathBuf::from).chain([program]).collect();
        let own = [("XDG_CACHE_HOME", self.folder.path().join("cache")), ("HOME", self.folder.path().into())];
        let own = own.map(|(name, path)| (name.to_owned(), path.display().to_string()));
        self.env.splice(0..0, own);
        self
    }

    /// Runs the program through another one, which is given first.
    pub fn wrap(mut self, words: &[&str]) -> Self {
        self.program.splice(0..0, words.iter().map(PathBuf::from));
        self
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program[0]);
        command
            .args(&self.program[1..])
            .args(words)
            .current_dir(self.root().join(&self.below))
            .stdin(Stdio::null());
        // What the runner of these tests was given must not reach the case.
        for name in [
            "CI",
            "GITHUB_ACTIONS",
            "GITHUB_STEP_SUMMARY",
            "NO_COLOR",
            "CLICOLOR_FORCE",
            "DATABASE_URL",
            "DRAIN_DELAY",
            "EDIT_TOKEN",
            "LOG_FORMAT",
            "LOG_LEVEL",
            "DOPPLER_TOKEN",
            "DOPPLER_PROJECT",
            "DOPPLER_CONFIG",
            "DOPPLER_CONFIG_DIR",
            "DOPPLER_ENVIRONMENT",
            "DOPPLER_API_HOST",
        ] {
            command.env_remove(name);
        }
        // Template clusters are shared by all cases, and survive the run as every cache does.
        let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
        command.env("XDG_CACHE_HOME", cache).env("CARGO_NET_OFFLINE", "true");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs a command line, split at white space, to its end.
    pub fn run(&self, line: &str) -> Ran {
        self.run_words(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs a command line given word by word.
    pub fn run_words(&self, words: &[&str]) -> Ran {
        let output = self.command(words).output().unwrap();
        Ran {
            line: words.join(" "),
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Starts a command line that does not end by itself, in a process group of its own.
    pub fn start(&self, line: &str) -> Running {
        self.start_words(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Starts a command line as the program that has the terminal `stdin`.
    pub fn start_in(&self, stdin: impl Into<Stdio>, words: &[&str]) -> Running {
        let plain = self.command(words);
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait"]).arg(plain.get_program()).args(plain.get_args());
        for (name, value) in plain.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.current_dir(self.root()).stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::new(command.spawn().unwrap())
    }

    /// [`Case::start`] of a command line given word by word.
    pub fn start_words(&self, words: &[&str]) -> Running {
        let mut command = self.command(words);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
        Running::new(child)
    }

    /// What `db status --json` says under a key.
    pub fn status(&self, key: &str) -> String {
        let ran = self.run("db status --json");
        let ran = ran.code(0);
        let found: Option<String> = ran
            .stdout
            .split(&format!("\"{key}\":"))
            .nth(1)
            .map(|rest| rest.split([',', '}']).next().unwrap().trim_matches('"').to_owned());
        found.unwrap_or_else(|| panic!("no {key} in {}", ran.stdout))
    }
}

impl Drop for Case {
    fn drop(&mut self) {
        // A broken configuration has no state either.
        let ran = self.run("db status --json");
        let Some(data) = ran.stdout.split("\"data\":\"").nth(1).and_then(|rest| rest.split('"').next())
        else {
            return;
        };
        self.run("db stop --force");
        // <state>/cluster/data; root's state is outside the repository.
        let state = Path::new(data).parent().and_then(Path::parent).unwrap().to_path_buf();
        // The short path to it, whoever's it is.
        let users = std::fs::read_dir("/tmp").unwrap().flatten().map(|entry| entry.path());
        let users = users.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("slipway-"));
        for link in users.flat_map(|user| std::fs::read_dir(user).into_iter().flatten().flatten()) {
            if std::fs::read_link(link.path()).is_ok_and(|to| to == state) {
                let _ = std::fs::remove_file(link.path());
            }
        }
        if !state.starts_with(self.root()) {
            let _ = std::fs::remove_dir_all(&state);
        }
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ran {
    pub line: String,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "`{}` said:\n{}{}", self.line, self.stdout, self.stderr);
        self
    }

    /// stderr has these texts, in this order.
    #[track_caller]
    pub fn says(self, texts: &[&str]) -> Self {
        let mut rest = self.stderr.as_str();
        for text in texts {
            let Some((_, after)) = rest.split_once(text) else {
                panic!("`{}` does not say {text:?} there:\n{}", self.line, self.stderr)
            };
            rest = after;
        }
        self
    }

    /// stdout has this line.
    #[track_caller]
    pub fn prints_line(self, line: &str) -> Self {
        assert!(self.stdout.lines().any(|found| found == line), "stdout of `{}`: {}", self.line, self.stdout);
        self
    }

    /// stdout is exactly this.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert_eq!(self.stdout, text, "stdout of `{}`", self.line);
        self
    }
}

/// Processes whose environment or command line names `folder`: what a case could leave behind.
pub fn processes_in(folder: &Path) -> Vec<String> {
    let folder = folder.canonicalize().unwrap();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let proc = entry.path();
        let Some(pid) = proc.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()) else {
            continue;
        };
        let command = std::fs::read(proc.join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let cwd = std::fs::read_link(proc.join("cwd")).unwrap_or_default();
        // A zombie has neither.
        if pid != std::process::id()
            && (cwd.starts_with(&folder) || command.contains(folder.to_str().unwrap()))
        {
            found.push(format!("{pid} {command}"));
        }
    }
    found
}

/// Waits until no process is left in any of `folders`.
#[track_caller]
pub fn nothing_left(folders: &[PathBuf]) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let left: Vec<String> =
            folders.iter().filter(|folder| folder.exists()).flat_map(|folder| processes_in(folder)).collect();
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left behind: {left:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A GET on loopback: status and body.
pub fn get(url: &str) -> (u16, String) {
    use std::io::Write as _;
    let (host, path) =
        url.trim_start_matches("http://").split_once('/').unwrap_or((url.trim_start_matches("http://"), ""));
    let mut stream = std::net::TcpStream::connect(host.replace("localhost", "127.0.0.1")).unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status =
        text.get(9..12).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no HTTP: {text}"));
    (status, text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}
