//! A proxy in front of a registry, on loopback: it counts the bytes of blobs on their way in, and can cut the
//! connection among them. It passes on whatever comes at once, so that it is in nobody's way.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Ends when the test process does.
pub struct Proxy {
    address: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    /// Bytes of blobs that were sent, also in vain.
    sent: u64,
    /// How many more may pass until the connection is cut.
    cut_after: Option<u64>,
}

impl Proxy {
    /// A proxy to `target`, which is `host:port`.
    pub fn new(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::<Mutex<Shared>>::default();
        let state = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (state, target) = (state.clone(), target.clone());
                // Whoever is killed hangs up: no failure of the test.
                std::thread::spawn(move || drop(pass(client, &target, &state)));
            }
        });
        Proxy { address, shared }
    }

    /// Its `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The bytes of blobs that were sent since the last call.
    pub fn take_sent(&self) -> u64 {
        std::mem::take(&mut self.shared.lock().unwrap().sent)
    }

    /// Cuts a connection, once, before more than `bytes` of blobs have passed from now on.
    pub fn cut_after(&self, bytes: u64) {
        self.shared.lock().unwrap().cut_after = Some(bytes);
    }
}

fn pass(client: TcpStream, target: &str, shared: &Mutex<Shared>) -> std::io::Result<()> {
    let server = TcpStream::connect(target)?;
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (client, server);
    let (mut requests, mut buffer) = (Requests::default(), [0; 2048]);
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return to.shutdown(Shutdown::Write);
        }
        let blob = requests.feed(&buffer[..read]);
        let cut = {
            let mut shared = shared.lock().unwrap();
            let cut = blob > 0 && shared.cut_after.is_some_and(|left| blob > left);
            match cut {
                true => shared.cut_after = None,
                false => {
                    shared.sent += blob;
                    shared.cut_after = shared.cut_after.map(|left| left - blob);
                }
            }
            cut
        };
        if cut {
            // Both ways, and both ends notice.
            from.shutdown(Shutdown::Both)?;
            return to.shutdown(Shutdown::Both);
        }
        to.write_all(&buffer[..read])?;
    }
}

/// HTTP/1.1 requests of one connection, as far as one must understand them to know which bytes are a blob's.
#[derive(Default)]
struct Requests {
    state: State,
    /// The head or the line that is not complete.
    text: Vec<u8>,
    /// Whether the present request uploads a blob.
    blob: bool,
}

#[derive(Default)]
enum State {
    #[default]
    Head,
    Body(u64),
    ChunkSize,
    /// Its bytes, and the line's end behind them.
    Chunk(u64),
    ChunkEnd,
    Trailer,
}

impl Requests {
    /// Takes what came; gives how many bytes of it are a blob's.
    fn feed(&mut self, mut bytes: &[u8]) -> u64 {
        let mut blob = 0;
        while let Some((&byte, rest)) = bytes.split_first() {
            if let State::Body(left) | State::Chunk(left) = &mut self.state {
                let taken = bytes.len().min(usize::try_from(*left).unwrap());
                *left -= taken as u64;
                let done = *left == 0;
                blob += if self.blob { taken as u64 } else { 0 };
                bytes = &bytes[taken..];
                if done {
                    self.state = match self.state {
                        State::Chunk(_) => State::ChunkEnd,
                        _ => State::Head,
                    };
                }
                continue;
            }
            bytes = rest;
            self.text.push(byte);
            let line = self.text.ends_with(b"\r\n");
            let next = match self.state {
                State::Head if self.text.ends_with(b"\r\n\r\n") => self.head(),
                State::ChunkSize if line => {
                    let digits = String::from_utf8_lossy(&self.text);
                    let digits = digits.split(|c: char| !c.is_ascii_hexdigit()).next().unwrap();
                    match u64::from_str_radix(digits, 16).unwrap_or(0) {
                        0 => State::Trailer,
                        size => State::Chunk(size),
                    }
                }
                State::ChunkEnd if line => State::ChunkSize,
                State::Trailer if line && self.text.len() == 2 => State::Head,
                State::Trailer if line => State::Trailer,
                _ => continue,
            };
            self.state = next;
            self.text.clear();
        }
        blob
    }

    /// What comes after a head.
    fn head(&mut self) -> State {
        let text = String::from_utf8_lossy(&self.text).to_ascii_lowercase();
        let first = text.lines().next().unwrap_or_default();
        self.blob = first.contains("/blobs/uploads/");
        let header = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if header("transfer-encoding:") == Some("chunked") {
            return State::ChunkSize;
        }
        match header("content-length:").and_then(|length| length.parse().ok()) {
            None | Some(0) => State::Head,
            Some(length) => State::Body(length),
        }
    }
}

#[test]
fn only_the_bytes_of_blobs_are_counted_however_they_come() {
    let text = "HEAD /v2/a/blobs/sha256:00 HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /v2/a/blobs/uploads/ HTTP/1.1\r\nContent-Length: 0\r\n\r\n\
        PATCH /v2/a/blobs/uploads/1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
        a;x=y\r\n0123456789\r\n1\r\n0\r\n0\r\n\r\n\
        PUT /v2/a/blobs/uploads/1 HTTP/1.1\r\ncontent-length: 7\r\n\r\n1234567\
        PUT /v2/a/manifests/latest HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345\
        PUT /v2/a/blobs/uploads/2 HTTP/1.1\r\nContent-Length: 3\r\n\r\n123";
    for size in [1, 2, 7, 64, text.len()] {
        let mut requests = Requests::default();
        let counted: u64 = text.as_bytes().chunks(size).map(|bytes| requests.feed(bytes)).sum();
        assert_eq!(counted, 11 + 7 + 3, "{size} at a time");
    }
}
