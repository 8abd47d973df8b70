//! Where the service listens: a TCP address, a socket that the parent already bound, or a Unix socket for the probes.

use crate::failure::Failure;
use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// The public listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `host:port`.
    Address(String),
    /// `fd:0`: standard input is the listening socket. Whoever holds it (`cargo xtask dev`, systemd) can replace the
    /// service without a moment in which nobody listens.
    Inherited,
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "fd:0" => Ok(Self::Inherited),
            _ => address(text).map(Self::Address),
        }
    }
}

impl Listen {
    /// Binds the address, or takes over the socket on standard input.
    ///
    /// # Errors
    /// The address is taken or not ours; standard input is not a listening TCP socket.
    pub async fn bind(&self) -> Result<TcpListener, Failure> {
        match self {
            Self::Address(address) => bind_tcp(address).await,
            Self::Inherited => inherited().map_err(Failure::NotAListener),
        }
    }
}

fn inherited() -> io::Result<TcpListener> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    // Else standard input would hold the socket open, with nobody to accept, until the last request is drained.
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    // The portable question "is this a listening socket?": on one it changes nothing, on all else it fails.
    rustix::net::listen(&socket, 1024)?;
    let listener = std::net::TcpListener::from(socket);
    listener.local_addr()?;
    // tokio does not do this itself, and a blocking accept would hold up a whole worker.
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// The listener of the probes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminListen {
    /// `host:port`.
    Address(String),
    /// `unix:/path`.
    Unix(PathBuf),
}

impl FromStr for AdminListen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("a path must follow `unix:`".to_owned()),
            Some(path) => Ok(Self::Unix(PathBuf::from(path))),
            None => address(text).map(Self::Address),
        }
    }
}

/// A Unix listener whose file goes with it.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
}

impl SocketFile {
    /// Listens on `path`, open to this user only, in place of a socket that nobody answers any more.
    ///
    /// # Errors
    /// Another process answers there, the path holds something that is no socket, or it cannot be written.
    pub async fn bind(path: &Path) -> Result<(UnixListener, Self), Failure> {
        let failed = |cause| Failure::Bind { address: format!("unix:{}", path.display()), cause };
        remove_stale(path).await.map_err(failed)?;
        let listener = UnixListener::bind(path).map_err(failed)?;
        let file = Self { path: path.to_owned() };
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Ok((listener, file))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it already; there is nobody left to tell.
        let _ = fs::remove_file(&self.path);
    }
}

async fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(file) if !file.file_type().is_socket() => Err(io::Error::other("the path is not a socket")),
        Ok(_) => match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
            Err(error) => Err(error),
            Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        },
    }
}

/// Binds `host:port`.
///
/// # Errors
/// The name is unknown, or the address is taken or not ours.
pub async fn bind_tcp(address: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|cause| Failure::Bind { address: address.to_owned(), cause })
}

fn address(text: &str) -> Result<String, String> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(text.to_owned()),
        _ => Err("expected host:port, such as 127.0.0.1:8080".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        assert_eq!("fd:0".parse(), Ok(Listen::Inherited));
        assert_eq!("[::1]:80".parse(), Ok(Listen::Address("[::1]:80".to_owned())));
        assert_eq!("unix:/run/a".parse(), Ok(AdminListen::Unix("/run/a".into())));
        for wrong in ["", "8080", ":8080", "localhost", "localhost:http", "1.2.3.4:70000", "fd:3x"] {
            assert!(wrong.parse::<Listen>().is_err(), "{wrong}");
        }
        assert!("unix:".parse::<AdminListen>().is_err());
    }
}
