//! A registry for tests: Debian's docker-registry on loopback, behind a proxy that counts and cuts.

mod proxy;
mod stub;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use proxy::Proxy;
pub use stub::{stub_registry, stub_registry_after_ping};

/// A registry with nothing in it. Dropped, its process has ended and its folder is gone.
pub struct Registry {
    server: Child,
    proxy: Proxy,
    folder: tempfile::TempDir,
}

impl Registry {
    /// Starts one that anybody may push to. None, and a line on stderr, where that program is not installed.
    pub fn start() -> Option<Self> {
        Registry::start_with(None)
    }

    /// Starts one that wants this user and password.
    pub fn with_password(user: &str, password: &str) -> Option<Self> {
        let Some(hash) = bcrypt(password) else {
            eprintln!("skipped: no perl here whose crypt knows bcrypt (apt-get install perl-base)");
            return None;
        };
        Registry::start_with(Some(format!("{user}:{hash}\n")))
    }

    fn start_with(users: Option<String>) -> Option<Self> {
        if !is_installed("docker-registry") {
            eprintln!("skipped: no docker-registry here (apt-get install docker-registry)");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("slipway-registry-").tempdir().unwrap();
        if let Some(users) = &users {
            std::fs::write(folder.path().join("htpasswd"), users).unwrap();
        }
        // Between the search for a free port and its use somebody else may take it.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let address = format!("127.0.0.1:{port}");
            let mut server = serve(folder.path(), &address, users.is_some());
            if answers(&mut server, &address) {
                return Some(Registry { server, proxy: Proxy::new(address), folder });
            }
            let _ = server.kill();
            let _ = server.wait();
        }
        panic!("docker-registry does not start: {}", log(folder.path()));
    }

    /// Its `host:port`, for image references. It speaks HTTP only.
    pub fn address(&self) -> String {
        self.proxy.address().to_owned()
    }

    /// The bytes of blobs that were sent to it since the last call.
    pub fn uploaded_bytes(&self) -> u64 {
        self.proxy.take_sent()
    }

    /// Cuts a connection, once, before more than `bytes` of blobs have come from now on.
    pub fn break_after(&self, bytes: u64) {
        self.proxy.cut_after(bytes);
    }

    /// Holds a connection, once, before more than `bytes` of blobs have come: a push that does not go on.
    pub fn hold_after(&self, bytes: u64) {
        self.proxy.hold_after(bytes);
    }

    /// Whether it does.
    pub fn is_held(&self) -> bool {
        self.proxy.is_held()
    }

    /// What the registry has written down.
    pub fn log(&self) -> String {
        log(self.folder.path())
    }

    /// Stops the registry; its address then accepts connections and ends them at once.
    pub fn stop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

/// Whether a program is on PATH.
pub fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

fn serve(folder: &Path, address: &str, users: bool) -> Child {
    let path = folder.display();
    let mut config = format!(
        "version: 0.1\nlog: {{ level: info }}\nstorage:\n  filesystem: {{ rootdirectory: {path}/data }}\n\
         http: {{ addr: {address}, relativeurls: true }}\n"
    );
    if users {
        config += &format!("auth:\n  htpasswd: {{ realm: test, path: {path}/htpasswd }}\n");
    }
    std::fs::write(folder.join("config.yml"), config).unwrap();
    let log = std::fs::File::create(folder.join("log")).unwrap();
    // REGISTRY_… in the environment would be settings.
    Command::new("docker-registry")
        .args(["serve", "config.yml"])
        .current_dir(folder)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Waits until the server answers, or has ended.
fn answers(server: &mut Child, address: &str) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline && server.try_wait().unwrap().is_none() {
        if ask(address).is_ok_and(|answer| answer.starts_with("HTTP/1.1 200") || answer.contains(" 401 ")) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

fn ask(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET /v2/ HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// A hash as the registry wants it, from libcrypt, which perl calls; the cheapest, because it guards nothing.
fn bcrypt(password: &str) -> Option<String> {
    let script = "print crypt(join('', <STDIN>), '$2y$04$abcdefghijklmnopqrstuu')";
    let mut perl = Command::new("perl")
        .args(["-e", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    perl.stdin.take()?.write_all(password.as_bytes()).ok()?;
    let hash = String::from_utf8(perl.wait_with_output().ok()?.stdout).ok()?;
    hash.starts_with("$2y$").then_some(hash)
}

mod tests {
    use super::*;
    use sha2::{Digest as _, Sha256};

    /// Writes a blob of a layout, and gives its descriptor.
    fn blob(folder: &Path, kind: &str, bytes: &[u8]) -> serde_json::Value {
        let sum: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
        std::fs::write(folder.join("blobs/sha256").join(&sum), bytes).unwrap();
        let media = format!("application/vnd.oci.image.{kind}");
        serde_json::json!({ "mediaType": media, "digest": format!("sha256:{sum}"), "size": bytes.len() })
    }

    /// An OCI layout with one layer of `size` bytes. Gives the manifest's digest, and the bytes of its blobs.
    fn layout(folder: &Path, size: usize) -> (String, u64) {
        let layer: Vec<u8> = (0..size).map(|index| (index * index % 251) as u8).collect();
        let layer = blob(folder, "layer.v1.tar", &layer);
        let config = serde_json::json!({
            "architecture": "amd64",
            "os": "linux",
            "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
        });
        let config = blob(folder, "config.v1+json", config.to_string().as_bytes());
        let bytes = config["size"].as_u64().unwrap() + size as u64;
        let media = "application/vnd.oci.image.manifest.v1+json";
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": media, "config": config, "layers": [layer]
        });
        let manifest = blob(folder, "manifest.v1+json", manifest.to_string().as_bytes());
        let digest = manifest["digest"].as_str().unwrap().to_owned();
        let index = serde_json::json!({ "schemaVersion": 2, "manifests": [manifest] });
        std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
        std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        (digest, bytes)
    }

    /// Pushes a layout with skopeo; gives the digest that it says, or its error.
    fn push(layout: &Path, address: &str, user: Option<&str>) -> Result<String, String> {
        let said = layout.join("digest");
        let mut command = Command::new("skopeo");
        command.args(["--insecure-policy", "copy", "--preserve-digests", "--dest-tls-verify=false"]);
        command.arg(format!("--digestfile={}", said.display()));
        match user {
            Some(user) => command.arg(format!("--dest-creds={user}")),
            None => command.arg("--dest-no-creds"),
        };
        command.arg(format!("oci:{}", layout.display())).arg(format!("docker://{address}/tiny:1"));
        let output = command.output().unwrap();
        match output.status.success() {
            true => Ok(std::fs::read_to_string(said).unwrap().trim().to_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn has_skopeo() -> bool {
        let found = is_installed("skopeo");
        if !found {
            eprintln!("skipped: no skopeo here (apt-get install skopeo)");
        }
        found
    }

    #[test]
    fn a_push_counts_its_blobs_and_the_second_one_none() {
        let Some(registry) = Registry::start().filter(|_| has_skopeo()) else { return };
        let folder = tempfile::tempdir().unwrap();
        let (digest, bytes) = layout(folder.path(), 300_000);
        assert_eq!(push(folder.path(), &registry.address(), None).unwrap(), digest);
        assert_eq!(registry.uploaded_bytes(), bytes, "{}", registry.log());
        assert_eq!(push(folder.path(), &registry.address(), None).unwrap(), digest);
        assert_eq!(registry.uploaded_bytes(), 0, "{}", registry.log());

        let (pid, data) = (registry.server.id(), registry.folder.path().to_path_buf());
        assert!(data.join("data").is_dir());
        drop(registry);
        assert!(!data.exists());
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_push_that_is_cut_fails_and_the_next_one_succeeds() {
        let Some(registry) = Registry::start().filter(|_| has_skopeo()) else { return };
        let folder = tempfile::tempdir().unwrap();
        let (digest, bytes) = layout(folder.path(), 300_000);
        registry.break_after(100_000);
        let error = push(folder.path(), &registry.address(), None).unwrap_err();
        assert!(error.contains("blob"), "{error}");
        let before = registry.uploaded_bytes();
        assert!(before <= 100_000, "{before}");
        assert_eq!(push(folder.path(), &registry.address(), None).unwrap(), digest);
        assert!(registry.uploaded_bytes() <= bytes);
    }

    #[test]
    fn a_password_is_asked_for() {
        let Some(registry) = Registry::with_password("ann", "s3cret pass").filter(|_| has_skopeo()) else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let (digest, _) = layout(folder.path(), 1_000);
        assert!(push(folder.path(), &registry.address(), None).is_err());
        assert!(push(folder.path(), &registry.address(), Some("ann:wrong")).is_err());
        assert_eq!(push(folder.path(), &registry.address(), Some("ann:s3cret pass")).unwrap(), digest);
    }

    #[test]
    fn a_stub_says_what_it_is_told() {
        if !has_skopeo() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        layout(folder.path(), 1_000);
        for (stub, says) in [
            (stub_registry(401), "nauthorized"),
            (stub_registry(403), "403 (Forbidden)"),
            (stub_registry(500), "500 (Internal Server Error)"),
            (stub_registry_after_ping(401), "nauthorized"),
            (stub_registry_after_ping(403), "403 (Forbidden)"),
            (stub_registry_after_ping(500), "500"),
        ] {
            let error = push(folder.path(), &stub.address(), None).unwrap_err();
            assert!(error.contains(says), "{says}: {error}");
            assert_eq!(stub.log().first().map(String::as_str), Some("GET /v2/"));
        }
    }
}
