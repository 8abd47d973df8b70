//! A web server on loopback that misbehaves as it is told.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What becomes of the body.
#[derive(Clone, Copy, PartialEq)]
pub enum Manners {
    Good,
    /// The connection is closed after so many bytes, so many times.
    Cut(usize, usize),
    /// After so many bytes nothing more comes.
    Stall(usize),
    /// Half of it is sent, as if that were all.
    Half,
}

pub struct Web {
    address: String,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    files: BTreeMap<String, Vec<u8>>,
    manners: Manners,
    ranges: bool,
    log: Vec<String>,
}

impl Web {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shared = Shared { files: BTreeMap::new(), manners: Manners::Good, ranges: true, log: Vec::new() };
        let shared = Arc::new(Mutex::new(shared));
        let served = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = served.clone();
                // Whoever is killed hangs up: no failure of the test.
                std::thread::spawn(move || drop(serve(stream, &served)));
            }
        });
        Web { address, shared }
    }

    pub fn url(&self) -> &str {
        &self.address
    }

    pub fn file(self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.shared.lock().unwrap().files.insert(path.to_owned(), bytes.into());
        self
    }

    pub fn remove(&self, path: &str) {
        self.shared.lock().unwrap().files.remove(path);
    }

    pub fn manners(self, manners: Manners) -> Self {
        self.shared.lock().unwrap().manners = manners;
        self
    }

    pub fn without_ranges(self) -> Self {
        self.shared.lock().unwrap().ranges = false;
        self
    }

    /// Paths that were asked for, each with its range.
    pub fn log(&self) -> Vec<String> {
        self.shared.lock().unwrap().log.clone()
    }
}

fn serve(stream: TcpStream, shared: &Mutex<Shared>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut first, mut range) = (String::new(), None);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        let line = line.to_ascii_lowercase();
        if let Some(from) = line.strip_prefix("range: bytes=") {
            range = from.trim().trim_end_matches('-').parse::<usize>().ok();
        }
    }
    let path = first.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let (found, manners) = {
        let mut shared = shared.lock().unwrap();
        let range = range.map(|from| format!(" from {from}")).unwrap_or_default();
        shared.log.push(format!("{path}{range}"));
        let found = shared.files.get(&path).cloned();
        let sidecar = path.ends_with(".sha256");
        let manners = if sidecar { Manners::Good } else { shared.manners };
        if let (Manners::Cut(after, times), false) = (manners, sidecar) {
            shared.manners = if times > 1 { Manners::Cut(after, times - 1) } else { Manners::Good };
        }
        (found, manners)
    };
    let ranges = shared.lock().unwrap().ranges;
    let mut stream = stream;
    let Some(mut body) = found else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    };
    if manners == Manners::Half {
        body.truncate(body.len() / 2);
    }
    let from = range.filter(|_| ranges).unwrap_or(0);
    if from > 0 && from >= body.len() {
        return stream.write_all(b"HTTP/1.1 416 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
    let rest = &body[from..];
    let status = match from {
        0 => "200 OK".to_owned(),
        _ => format!("206 Partial\r\ncontent-range: bytes {from}-{}/{}", body.len() - 1, body.len()),
    };
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", rest.len())?;
    match manners {
        Manners::Cut(after, _) => stream.write_all(&rest[..after.min(rest.len())]),
        Manners::Stall(after) => {
            stream.write_all(&rest[..after.min(rest.len())])?;
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        Manners::Good | Manners::Half => stream.write_all(rest),
    }
}
