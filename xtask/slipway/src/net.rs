//! The little of the network that the tool does itself, all of it on this machine.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::failure::{Code, Failure};

/// How many ports after the wanted one are tried.
const PORTS: u16 = 50;

/// The longest answer that is read.
const LONGEST: u64 = 16 * 1024;

/// Sends a GET over a Unix socket and gives the status code and the body.
///
/// `wait` limits each read and write, not the whole exchange.
pub fn get(socket: &Path, target: &str, wait: Duration) -> io::Result<(u16, String)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(wait))?;
    stream.set_write_timeout(Some(wait))?;
    write!(stream, "GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    // Who keeps the connection open has answered all the same.
    let read = stream.take(LONGEST).read_to_end(&mut answer);
    if answer.is_empty() {
        read?;
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    // "HTTP/1.1 200 OK"
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    let status =
        status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP/1"))?;
    Ok((status, body.to_owned()))
}

/// Whether nobody listens on 127.0.0.1 at `port` at this moment.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Listens on 127.0.0.1 at `port`, or at the next free one. The socket stays bound from here on: nobody
/// else can take the port between the search and the service's start.
pub fn listen(port: u16) -> Result<(TcpListener, u16)> {
    for candidate in port..=port.saturating_add(PORTS) {
        // People open `localhost`, which browsers look for at ::1 first: another program there would answer.
        let other = TcpListener::bind((Ipv6Addr::LOCALHOST, candidate));
        if other.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
            continue;
        }
        match TcpListener::bind((Ipv4Addr::LOCALHOST, candidate)) {
            Ok(listener) => return Ok((listener, candidate)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(Failure::new(Code::Failed, format!("may not listen on port {candidate}"))
                    .why("ports below 1024 belong to root")
                    .next("set `port` in xtask.toml [service] to 8080")
                    .into());
            }
            Err(error) => return Err(error).with_context(|| format!("cannot listen on port {candidate}")),
        }
    }
    Err(Failure::new(Code::Failed, format!("ports {port} to {} are all in use", port.saturating_add(PORTS)))
        .next("set another `port` in xtask.toml [service], or see who listens: ss -ltnp")
        .into())
}
