//! A private source over HTTP: git finds the secret, and it stays with git.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::crafted::{Crafted, snapshot};
use crate::case::{CONFIG, Case, Ran};

const SECRET: &str = "hunter2-very-secret";
/// `robot:hunter2-very-secret`, as HTTP carries it.
const BASIC: &str = "cm9ib3Q6aHVudGVyMi12ZXJ5LXNlY3JldA==";

/// git's own server behind a password, on loopback.
struct Server {
    port: u16,
    ended: Arc<AtomicBool>,
    let_in: Arc<AtomicUsize>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    fn new(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (ended, let_in) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (end, count, folder) = (ended.clone(), let_in.clone(), folder.to_path_buf());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                // Who goes away in the middle has no answer.
                let _ = answer(stream, &folder, &count);
            }
        });
        Server { port, ended, let_in, thread: Some(thread) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        let _ = self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// One request, through `git http-backend`.
fn answer(mut stream: TcpStream, folder: &Path, let_in: &AtomicUsize) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let header = |name: &str| {
        headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone()).unwrap_or_default()
    };
    if header("authorization") != format!("Basic {BASIC}") {
        let refused = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"acme\"\r\n\
                       Content-Length: 0\r\nConnection: close\r\n\r\n";
        return stream.write_all(refused.as_bytes());
    }
    let_in.fetch_add(1, Ordering::Relaxed);
    let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let mut words = first.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", folder)
        .envs([("GIT_HTTP_EXPORT_ALL", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null"), ("REMOTE_USER", "robot")])
        .envs([("PATH_INFO", path), ("QUERY_STRING", query), ("REQUEST_METHOD", method)])
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child.stdin.take().unwrap().write_all(&body)?;
    let said = child.wait_with_output()?.stdout;
    let end = said.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(0);
    let head = String::from_utf8_lossy(&said[..end]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let length = said.len() - end - 4;
    write!(stream, "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&said[end + 4..])
}

/// A private source, and who would pull it; git's configuration of that user.
fn pulling(config: impl Fn(&Case, u16) -> String) -> (Case, Server) {
    let case = Case::new();
    let folder = case.folder().to_path_buf();
    let source = Crafted::new(folder.join("served/acme/slipway"));
    source.good("files = [\"workflows/\"]\n");
    let server = Server::new(&folder.join("served"));
    let git = config(&case, server.port);
    std::fs::write(folder.join("gitconfig"), git).unwrap();
    let actions = format!("[actions]\nsource = \"http://127.0.0.1:{}/acme/slipway\"\n", server.port);
    let case = case
        .file("xtask.toml", format!("{CONFIG}\n{actions}"))
        .env("SLIPWAY_CACHE", folder.join("cache").display())
        .env("GIT_CONFIG_GLOBAL", folder.join("gitconfig").display())
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TRACE", "1")
        .env("GIT_CURL_VERBOSE", "1")
        .env("no_proxy", "*");
    (case, server)
}

/// The helper has the secret in a file, so that it is in no command line of its own, either.
fn helper(case: &Case) -> String {
    let file = case.folder().join("credentials");
    std::fs::write(&file, format!("username=robot\npassword={SECRET}\n")).unwrap();
    format!("[credential]\n\thelper = \"!f() {{ cat '{}'; }}; f\"\n", file.display())
}

/// Where the secret is, or its Basic form, in all that the tool leaves and says.
fn leaks(case: &Case, ran: &Ran) -> Vec<PathBuf> {
    let has = |bytes: &[u8]| {
        [SECRET, BASIC].iter().any(|secret| bytes.windows(secret.len()).any(|part| part == secret.as_bytes()))
    };
    let mut found = Vec::new();
    for folder in [case.root(), case.folder().join("cache")] {
        let files = if folder.exists() { snapshot(&folder, &[]) } else { Default::default() };
        found.extend(files.into_iter().filter(|(_, (_, bytes))| has(bytes)).map(|(path, _)| path));
    }
    if has(ran.stdout.as_bytes()) || has(ran.stderr.as_bytes()) {
        found.push("the output".into());
    }
    found
}

/// Command lines that show the secret, looked for until told to end.
fn watch(ended: &AtomicBool) -> (usize, Vec<String>) {
    let (mut looks, mut found) = (0, Vec::new());
    while !ended.load(Ordering::Relaxed) {
        looks += 1;
        for process in std::fs::read_dir("/proc").unwrap().flatten() {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(SECRET) || line.contains(BASIC) {
                found.push(line);
            }
        }
    }
    (looks, found)
}

#[test]
fn a_private_source_is_pulled_and_its_secret_is_nowhere() {
    let (case, server) = pulling(|case, _| helper(case));
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&ended));
        for line in [
            "sync-actions -v --dry-run",
            "sync-actions -v",
            "sync-actions --check --online",
            "sync-actions status",
        ] {
            let ran = case.run(line);
            if ran.code != Some(0) {
                ended.store(true, Ordering::Relaxed);
            }
            let ran = ran.code(0);
            assert_eq!(leaks(&case, &ran), Vec::<PathBuf>::new(), "{line}");
        }
        ended.store(true, Ordering::Relaxed);
        let (looks, found) = watcher.join().unwrap();
        assert!(looks > 1 && found.is_empty(), "{looks} looks: {found:?}");
    });
    assert!(case.root().join(".github/workflows/ci.yml").is_file());
    assert!(server.let_in.load(Ordering::Relaxed) > 2);
    // Nobody is there any more: what is here can be checked all the same.
    drop(server);
    case.run("sync-actions").code(7).says(&["error: http://127.0.0.1:", "cannot be reached"]);
    case.run("sync-actions --check").code(0);
}

#[test]
fn without_a_password_or_with_a_wrong_one_access_is_denied() {
    let wrong = "[credential]\n\thelper = \"!f() { echo username=robot; echo password=wrong; }; f\"\n";
    for config in ["", wrong] {
        let (case, server) = pulling(|_, _| config.to_owned());
        let ran = case.run("sync-actions").code(6).says(&["error: http://127.0.0.1:", "lets us not in"]);
        assert!(!ran.stderr.contains("wrong"), "{}", ran.stderr);
        assert_eq!(server.let_in.load(Ordering::Relaxed), 0);
        assert!(!case.root().join(".github").exists());
    }
}

#[test]
fn a_password_in_the_users_own_insteadof_is_not_shown() {
    let rewritten = |user: &'static str, to: Option<u16>| {
        move |_: &Case, port: u16| {
            let to = to.unwrap_or(port);
            format!("[url \"http://{user}@127.0.0.1:{to}/\"]\n\tinsteadOf = \"http://127.0.0.1:{port}/\"\n")
        }
    };
    // Denied, not there, and right: then it is not in the lock or the cache, either.
    for (user, to, code) in [
        ("hunter2-very-secret:x", None, 6),
        ("robot:hunter2-very-secret", Some(9), 7),
        ("robot:hunter2-very-secret", None, 0),
    ] {
        let (case, _server) = pulling(rewritten(user, to));
        let ran = case.run("sync-actions -v").code(code);
        assert_eq!(leaks(&case, &ran), Vec::<PathBuf>::new(), "{}", ran.stderr);
    }
}
