//! Reloads under load: no request is lost. A tenth of the figure on the small service; all of it, on the
//! service of this repository, with SLIPWAY_SOAK=1.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::served;
use crate::case::{CONFIG, Case};
use crate::dev::config;

/// Clients that open a connection for each request, and clients that keep theirs.
const NEW: usize = 8;
const KEPT: usize = 2;

/// What became of requests.
#[derive(Debug, Default)]
struct Counts {
    answered: AtomicUsize,
    refused: AtomicUsize,
    /// Cut before the whole answer was there.
    reset: AtomicUsize,
    failed: AtomicUsize,
}

impl Counts {
    fn of(&self) -> [usize; 4] {
        [&self.answered, &self.refused, &self.reset, &self.failed].map(|count| count.load(Ordering::SeqCst))
    }

    fn count(&self, outcome: Result<u16, ErrorKind>) {
        let counter = match outcome {
            Ok(500..) => &self.failed,
            Ok(_) => &self.answered,
            Err(ErrorKind::ConnectionRefused) => &self.refused,
            Err(_) => &self.reset,
        };
        counter.fetch_add(1, Ordering::SeqCst);
    }
}

/// One request on `stream`: its status, once the whole answer is there, and whether the connection stays open.
fn ask(stream: &mut TcpStream, path: &str, kept: bool) -> Result<(u16, bool), ErrorKind> {
    let connection = if kept { "keep-alive" } else { "close" };
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: {connection}\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|error| error.kind())?;
    let mut text = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        if let Some((head, body)) = split(&text) {
            let field = |name: &str| {
                let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
                line.map(|line| line[name.len()..].trim().to_owned())
            };
            if field("content-length:").is_some_and(|length| length.parse() == Ok(body)) {
                let stays = kept && field("connection:").is_none_or(|value| value != "close");
                return Ok((head[9..12].parse().unwrap(), stays));
            }
        }
        match stream.read(&mut piece) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof),
            Ok(count) => text.extend_from_slice(&piece[..count]),
            Err(error) => return Err(error.kind()),
        }
    }
}

/// The head of an answer, and how long the body is so far.
fn split(text: &[u8]) -> Option<(String, usize)> {
    let end = text.windows(4).position(|end| end == b"\r\n\r\n")?;
    Some((String::from_utf8_lossy(&text[..end]).into_owned(), text.len() - end - 4))
}

fn connect(host: &str) -> Result<TcpStream, ErrorKind> {
    let stream = TcpStream::connect(host).map_err(|error| error.kind())?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    Ok(stream)
}

fn client(host: &str, path: &str, kept: bool, stop: &AtomicBool, counts: &Counts) {
    let mut open = None;
    while !stop.load(Ordering::Relaxed) {
        let stream = open.take().map_or_else(|| connect(host), Ok);
        let outcome = stream.and_then(|mut stream| {
            let (status, stays) = ask(&mut stream, path, kept)?;
            open = stays.then_some(stream);
            Ok(status)
        });
        counts.count(outcome);
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// A copy of this repository, built below the test folder, where the next run finds what this one has built.
fn links() -> Case {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let names =
        Command::new("git").args(["ls-files", "-co", "--exclude-standard"]).current_dir(root).output();
    let names = String::from_utf8(names.unwrap().stdout).unwrap();
    let mut case =
        Case::new().env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("links").display());
    for name in names.lines().filter(|name| root.join(name).is_file()) {
        case = case.file(name, std::fs::read(root.join(name)).unwrap());
    }
    // A line for each request would be most of what this test reads.
    let case = case.env("LOG_LEVEL", "warn");
    let port = config("").replace(CONFIG, "").trim().to_owned();
    case.edit("xtask.toml", "port = 8080", &port);
    case
}

#[test]
fn reloads_lose_no_request() {
    let whole = std::env::var("SLIPWAY_SOAK").is_ok();
    let (case, file, path) = match whole {
        true => (links(), "app/src/links/assets.rs", "/api/v1/links"),
        false => (Case::with_service().file("xtask.toml", config("")), "src/main.rs", "/"),
    };
    // An item that each round gives another value, and each fifth round first a wrong one.
    let text = std::fs::read_to_string(case.root().join(file)).unwrap();
    let case =
        case.file(file, format!("{text}\npub const ROUND: u32 = 0;\n#[used]\nstatic SHOWN: u32 = ROUND;\n"));
    let (mut dev, url) = served(&case);
    let host = url.trim_start_matches("http://").replace("localhost", "127.0.0.1");
    let (stop, new, kept) = (AtomicBool::new(false), Counts::default(), Counts::default());
    let rounds = if whole { 100 } else { 10 };
    std::thread::scope(|scope| {
        let (host, stop, new, kept) = (&host, &stop, &new, &kept);
        (0..NEW).for_each(|_| drop(scope.spawn(move || client(host, path, false, stop, new))));
        (0..KEPT).for_each(|_| drop(scope.spawn(move || client(host, path, true, stop, kept))));
        // Also when a round fails: the clients would go on for ever.
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..rounds {
                let (old, next) = (format!("ROUND: u32 = {round};"), format!("ROUND: u32 = {};", round + 1));
                if round % 5 == 4 {
                    case.edit(file, &old, "ROUND: u32 = \"\";");
                    dev.until("✗ 1 error; the build of");
                    case.edit(file, "ROUND: u32 = \"\";", &next);
                } else {
                    case.edit(file, &old, &next);
                }
                dev.until("swap      ✓ ");
                dev.text.clear();
            }
        }));
        stop.store(true, Ordering::Relaxed);
        played.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    println!("{rounds} reloads; answered, refused, reset, 5xx: new {:?}, kept {:?}", new.of(), kept.of());
    let [answered, lost @ ..] = new.of();
    assert_eq!(lost, [0, 0, 0], "of {answered} requests on new connections");
    assert!(answered > rounds * NEW, "only {answered} requests");
    dev.signal("INT");
    assert_eq!(dev.end(), 0, "{}", dev.text);
}
