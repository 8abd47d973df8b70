//! `links probe`: the question that curl would ask, for images that hold nothing but this binary.

use crate::config::ProbeKind;
use crate::failure::Failure;
use crate::listen::AdminListen;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// An answer is a line; more than this is not ours.
const LONGEST: u64 = 4096;

/// Asks the service that answers probes on `admin`.
///
/// # Errors
/// It said no, or nothing in two seconds.
pub async fn ask(admin: &AdminListen, probe: ProbeKind) -> Result<(), Failure> {
    let path = match probe {
        ProbeKind::Live => "/livez",
        ProbeKind::Startup => "/startupz",
        ProbeKind::Ready => "/readyz",
    };
    let answer = timeout(PATIENCE, get(admin, path))
        .await
        .map_err(|_| Failure::Probe(format!("no answer on {path} in {} s", PATIENCE.as_secs())))?
        .map_err(|cause| Failure::Probe(format!("no answer on {path}: {cause}")))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(()),
        _ => Err(Failure::Probe(body.trim_end().to_owned())),
    }
}

async fn get(admin: &AdminListen, path: &str) -> io::Result<String> {
    match admin {
        AdminListen::Address(address) => exchange(TcpStream::connect(address).await?, path).await,
        AdminListen::Unix(socket) => exchange(UnixStream::connect(socket).await?, path).await,
    }
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.take(LONGEST).read_to_string(&mut answer).await?;
    Ok(answer)
}
