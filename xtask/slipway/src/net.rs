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

/// Sends a GET over a Unix socket and gives the status code.
///
/// `wait` limits each read and write, not the whole exchange.
pub fn get(socket: &Path, target: &str, wait: Duration) -> io::Result<u16> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(wait))?;
    stream.set_write_timeout(Some(wait))?;
    write!(stream, "GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    // "HTTP/1.1 200": all that a probe's caller wants to know.
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    std::str::from_utf8(&head)
        .ok()
        .filter(|head| head.starts_with("HTTP/1."))
        .and_then(|head| head.get(9..12)?.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP/1"))
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
