//! A GET over plain HTTP on loopback, tried again when and as the real CLI does.

use std::io::{Error, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::json::Json;

pub struct Reply {
    pub status: u16,
    pub etag: String,
    pub body: String,
}

/// What came, and of what kind.
struct Raw {
    reply: Reply,
    json: bool,
}

pub fn url(host: &str, path: &str, query: &[(&str, String)]) -> String {
    let pairs: Vec<_> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let mark = if pairs.is_empty() { "" } else { "?" };
    format!("{}{path}{mark}{}", host.trim_end_matches('/'), pairs.join("&"))
}

fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => (byte as char).to_string(),
        b' ' => "+".to_owned(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

/// Tries again after a timeout, a refused connection, 429, and 5xx that is not JSON: after 0.5 s and a jitter of at
/// most half of that, then after twice as long. The jitter here is always its mean.
pub fn get(
    url: &str,
    token: &str,
    etag: &str,
    timeout: Option<Duration>,
    attempts: u32,
) -> Result<Reply, Failure> {
    let mut pause = Duration::from_millis(500);
    for attempt in 1.. {
        let last = attempt >= attempts;
        match once(url, token, etag, timeout) {
            Ok(Raw { reply, json }) => match reply.status {
                200..400 => return Ok(reply),
                status if !last && (status == 429 || (500..600).contains(&status) && !json) => {}
                status => return Err(Failure { message: String::new(), error: said(&reply, json), status }),
            },
            Err((again, error)) if last || !again => {
                return Err(Failure::new("", error));
            }
            Err(_) => {}
        }
        pause = pause * 5 / 4;
        std::thread::sleep(pause);
        pause *= 2;
    }
    unreachable!("the last attempt returns");
}

fn said(reply: &Reply, json: bool) -> String {
    match Json::parse(&reply.body) {
        Ok(body) if json => {
            let messages = body.get("messages").map(Json::items).unwrap_or_default();
            messages.iter().filter_map(Json::text).collect::<Vec<_>>().join("\n")
        }
        Err(error) if json => error,
        _ => format!("Request failed with HTTP {}", reply.status),
    }
}

/// Whether to try again, and what to say.
type Broken = (bool, String);

fn once(url: &str, token: &str, etag: &str, timeout: Option<Duration>) -> Result<Raw, Broken> {
    let failed = |again: bool, why: String| (again, format!("Get \"{url}\": {why}"));
    let late = |reading: &str| failed(true, format!("context deadline exceeded (Client.Timeout {reading})"));
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let address = loopback(scheme, host).map_err(|why| failed(false, why))?;
    let left = left(deadline).ok_or_else(|| late("exceeded while awaiting headers"))?;
    let mut stream = TcpStream::connect_timeout(&address, left).map_err(|error| match error.kind() {
        ErrorKind::ConnectionRefused => {
            failed(true, format!("dial tcp {address}: connect: connection refused"))
        }
        ErrorKind::TimedOut => late("exceeded while awaiting headers"),
        _ => failed(false, format!("dial tcp {address}: connect: {error}")),
    })?;
    let etag = if etag.is_empty() { String::new() } else { format!("If-None-Match: {etag}\r\n") };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: doppler-go-cli-stand-in\r\nAccept: application/json\r\n\
         Authorization: Bearer {token}\r\n{etag}Connection: close\r\n\r\n"
    );
    let reset = |error: &Error| match stream_names(&address, error) {
        Some(why) => failed(false, why),
        None => failed(false, error.to_string()),
    };
    // Who hangs up at once may have said why.
    let sent = stream.write_all(request.as_bytes());
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        match more(&mut stream, &mut bytes, deadline) {
            Ok(0) => {
                return Err(sent
                    .err()
                    .map_or_else(|| failed(false, "EOF".to_owned()), |error| reset(&error)));
            }
            Ok(_) => {}
            Err(error) if timed_out(&error) => return Err(late("exceeded while awaiting headers")),
            Err(error) => return Err(reset(&error)),
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let header = |wanted: &str| {
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        let mut found = pairs.filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.next().map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let status = text.get(9..12).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| failed(false, "malformed HTTP response".to_owned()))?;
    let length = header("content-length").parse().ok();
    // The body is not part of what is tried again.
    while length.is_none_or(|length: usize| bytes.len() < head + length) {
        match more(&mut stream, &mut bytes, deadline) {
            Ok(0) if length.is_none() => break,
            Ok(0) => return Err((false, "unexpected EOF".to_owned())),
            Ok(_) => {}
            Err(error) if timed_out(&error) => {
                let why =
                    "context deadline exceeded (Client.Timeout or context cancellation while reading body)";
                return Err((false, why.to_owned()));
            }
            Err(error) => return Err(reset(&error)),
        }
    }
    let body = String::from_utf8_lossy(&bytes[head..]).into_owned();
    let json = header("content-type").starts_with("application/json");
    Ok(Raw { reply: Reply { status, etag: header("etag"), body }, json })
}

fn stream_names(address: &SocketAddr, error: &Error) -> Option<String> {
    let what = match error.kind() {
        ErrorKind::ConnectionReset => "read: connection reset by peer",
        ErrorKind::BrokenPipe => "write: broken pipe",
        _ => return None,
    };
    Some(format!("read tcp 127.0.0.1:0->{address}: {what}"))
}

/// Nothing else is ever asked, not even for its address.
fn loopback(scheme: &str, host: &str) -> Result<SocketAddr, String> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let unknown = || format!("dial tcp: lookup {name}: no such host");
    if scheme != "http" || !(name == "localhost" || name.starts_with("127.")) {
        return Err(unknown());
    }
    let with_port = if name == host { format!("{host}:80") } else { host.to_owned() };
    let mut found = with_port.to_socket_addrs().map_err(|_| unknown())?;
    found.find(SocketAddr::is_ipv4).ok_or_else(unknown)
}

fn left(deadline: Option<Instant>) -> Option<Duration> {
    let left =
        deadline.map_or(Duration::from_secs(3600), |end| end.saturating_duration_since(Instant::now()));
    (!left.is_zero()).then_some(left)
}

fn more(stream: &mut TcpStream, bytes: &mut Vec<u8>, deadline: Option<Instant>) -> std::io::Result<usize> {
    let left = left(deadline).ok_or(ErrorKind::TimedOut)?;
    stream.set_read_timeout(Some(left))?;
    let mut buffer = [0; 16384];
    let count = stream.read(&mut buffer)?;
    bytes.extend_from_slice(&buffer[..count]);
    Ok(count)
}

fn timed_out(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
