//! The binary, started as `cargo xtask dev` starts it: the bound socket on stdin, probes on a Unix socket.

use crate::database::Database;
use reqwest::{Client, Method, RequestBuilder, redirect};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_links");
/// The edit token of every service under test.
pub(crate) const TOKEN: &str = "a-token-for-tests";
/// A server that is not there: no socket lies in this folder.
pub(crate) const NOBODY: &str = "postgres://postgres@localhost/links?host=/nonexistent";
/// Far longer than anything takes: only a hang meets it.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Service {
    child: Child,
    client: Client,
    /// `127.0.0.1:port`
    pub(crate) host: String,
    folder: TempDir,
}

impl Service {
    /// Starts a service and waits until it is ready.
    pub(crate) async fn start(database: &Database) -> Self {
        let mut service = Self::spawn(&database.url(), &[("EDIT_TOKEN", TOKEN)]);
        service.wait_for("/readyz", 200).await;
        service
    }

    /// Starts a service with this environment and nothing else. It accepts nothing before it is ready.
    pub(crate) fn spawn(database_url: &str, environment: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::spawn_on(&listener, database_url, environment)
    }

    /// The same, on a socket that the test keeps, so that other generations can serve on it too.
    pub(crate) fn spawn_on(listener: &TcpListener, database_url: &str, environment: &[(&str, &str)]) -> Self {
        let host = listener.local_addr().unwrap().to_string();
        let stdin = Stdio::from(OwnedFd::from(listener.try_clone().unwrap()));
        Self::run("fd:0", stdin, host, database_url, environment)
    }

    /// The same, with an address of its own: it accepts from the start.
    pub(crate) async fn spawn_alone(database_url: &str, environment: &[(&str, &str)]) -> Self {
        let mut service = Self::run("127.0.0.1:0", Stdio::null(), String::new(), database_url, environment);
        service.wait_for("/livez", 200).await;
        service.wait_for_log("listening on ").await;
        let log = service.log();
        let host = log.split("listening on ").nth(1).and_then(|rest| rest.split_whitespace().next());
        service.host = host.unwrap().to_owned();
        service
    }

    fn run(
        listen: &str,
        stdin: Stdio,
        host: String,
        database_url: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = Command::new(BINARY)
            .args(["serve", "--listen", listen])
            .env_clear()
            .env("DATABASE_URL", database_url)
            .env("ADMIN_LISTEN", format!("unix:{}", folder.path().join("admin").display()))
            .env("DRAIN_DELAY", "0")
            .envs(environment.iter().copied())
            .stdin(stdin)
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let client = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { child, client, host, folder }
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.request("GET", path)
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, format!("http://{}{path}", self.host))
    }

    /// Makes or changes a link.
    pub(crate) fn put(&self, slug: &str, target: &str) -> RequestBuilder {
        let body = serde_json::json!({ "target": target });
        self.request("PUT", &format!("/api/v1/links/{slug}")).bearer_auth(TOKEN).json(&body)
    }

    /// What `probe` says, asked on the admin socket.
    pub(crate) fn admin(&self, path: &str) -> Option<u16> {
        self.admin_text(path).map(|(status, _)| status)
    }

    /// The same, with the text.
    pub(crate) fn admin_text(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = UnixStream::connect(self.admin_socket()).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    pub(crate) fn admin_socket(&self) -> PathBuf {
        self.folder.path().join("admin")
    }

    /// Waits until the admin path answers so.
    pub(crate) async fn wait_for(&mut self, path: &str, status: u16) {
        let waiting = timeout(PATIENCE, async {
            while self.admin(path) != Some(status) {
                if let Some(status) = self.child.try_wait().unwrap() {
                    panic!("the service ended with {status}: {}", self.log());
                }
                sleep(Duration::from_millis(5)).await;
            }
        });
        let outcome = waiting.await;
        assert!(outcome.is_ok(), "{path} never was {status}: {}", self.log());
    }

    /// Waits until the log has this text.
    pub(crate) async fn wait_for_log(&self, text: &str) {
        let waiting = timeout(PATIENCE, async {
            while !self.log().contains(text) {
                sleep(Duration::from_millis(5)).await;
            }
        });
        let outcome = waiting.await;
        assert!(outcome.is_ok(), "`{text}` never was in the log: {}", self.log());
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let waiting = timeout(PATIENCE, async {
            loop {
                match self.child.try_wait().unwrap() {
                    Some(status) => return status,
                    None => sleep(Duration::from_millis(5)).await,
                }
            }
        });
        let outcome = waiting.await;
        outcome.unwrap_or_else(|_| panic!("the service did not end: {}", self.log()))
    }

    /// Waits until the link has so many clicks: they are written each second.
    pub(crate) async fn wait_for_clicks(&self, slug: &str, clicks: u64) {
        let path = format!("/api/v1/links/{slug}");
        let waiting = timeout(PATIENCE, async {
            loop {
                let link: serde_json::Value = self.get(&path).send().await.unwrap().json().await.unwrap();
                if link["clicks"] == clicks {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        });
        waiting.await.unwrap_or_else(|_| panic!("{slug} never had {clicks} clicks"));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
