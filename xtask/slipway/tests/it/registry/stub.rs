//! A registry that refuses: each request is answered with one status.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Ends when the test process does.
pub struct Stub {
    address: String,
    log: Arc<Mutex<Vec<String>>>,
}

/// Starts a registry that answers each request with `status`, and with what registries send beside it: 401
/// with how to sign in, 429 with when to come back.
pub fn stub_registry(status: u16) -> Stub {
    start(status, status)
}

/// The same, but the first question, whether it is a registry at all, is answered with 200: a user who may
/// sign in and not push.
pub fn stub_registry_after_ping(status: u16) -> Stub {
    start(200, status)
}

fn start(ping: u16, status: u16) -> Stub {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let log = Arc::<Mutex<Vec<String>>>::default();
    let lines = log.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let lines = lines.clone();
            std::thread::spawn(move || drop(answer(stream, ping, status, &lines)));
        }
    });
    Stub { address, log }
}

impl Stub {
    /// Its `host:port`.
    pub fn address(&self) -> String {
        self.address.clone()
    }

    /// The requests so far: method and path.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

fn answer(stream: TcpStream, ping: u16, status: u16, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    // Some clients try TLS first: what is no HTTP is hung up on, and they try again.
    if reader.fill_buf()?.first().is_none_or(|byte| !byte.is_ascii_uppercase()) {
        return Ok(());
    }
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink())?;
    let request: Vec<&str> = first.split_whitespace().take(2).collect();
    let status = if request == ["GET", "/v2/"] { ping } else { status };
    log.lock().unwrap().push(request.join(" "));
    let (code, beside) = match status {
        401 => ("UNAUTHORIZED", "www-authenticate: Basic realm=\"stub\"\r\n"),
        403 => ("DENIED", ""),
        404 => ("NAME_UNKNOWN", ""),
        429 => ("TOOMANYREQUESTS", "retry-after: 1\r\n"),
        _ => ("UNKNOWN", ""),
    };
    let body = format!("{{\"errors\":[{{\"code\":\"{code}\",\"message\":\"the stub says {status}\"}}]}}");
    write!(
        writer,
        "HTTP/1.1 {status} Stub\r\ndocker-distribution-api-version: registry/2.0\r\n{beside}\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    )?;
    if first.starts_with("HEAD ") { Ok(()) } else { writer.write_all(body.as_bytes()) }
}
