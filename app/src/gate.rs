//! The public listener: opens when the service may be asked, closes before it drains.

use crate::probes::Readiness;
use crate::stop::{Phase, Stop};
use axum::serve::Listener;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};

/// A listener that stops accepting before axum is told to drain.
///
/// axum does both at the same instant, and then closes what it accepted and did not read yet.
#[derive(Debug)]
pub struct Gate {
    listener: Option<TcpListener>,
    address: SocketAddr,
    waits_for: Option<Readiness>,
    stop: Stop,
}

impl Gate {
    /// Accepts on `listener` until [`Phase::Closed`]. With `waits_for` nothing is accepted before the service is ready
    /// for the first time: another process may be serving the same socket better.
    ///
    /// # Errors
    /// The listener has no address, so it is none.
    pub fn new(listener: TcpListener, waits_for: Option<Readiness>, stop: Stop) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self { listener: Some(listener), address, waits_for, stop })
    }
}

impl Listener for Gate {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        if let Some(listener) = &mut self.listener {
            let accepted = async {
                if let Some(readiness) = &self.waits_for {
                    readiness.first().await;
                }
                Listener::accept(listener).await
            };
            tokio::select! {
                biased;
                () = self.stop.reached(Phase::Closed) => {}
                (stream, from) = accepted => {
                    self.waits_for = None;
                    // Answers are small: waiting to fill a packet only delays them.
                    let _ = stream.set_nodelay(true);
                    return (stream, from);
                }
            }
        }
        // Closed at once: whoever comes now is refused and can go elsewhere, or is taken by the next process that
        // holds the socket.
        self.listener = None;
        pending().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
