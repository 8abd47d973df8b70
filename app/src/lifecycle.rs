//! The life of `links serve`: bind, serve, and on a signal finish what was begun.

use crate::config::Serve;
use crate::failure::Failure;
use crate::links::{App, Authority, Clicks};
use crate::listen::{AdminListen, SocketFile, bind_tcp};
use crate::probes::{self, Readiness};
use crate::{db, router};
use axum::Router;
use axum::serve::ListenerExt;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How long requests may go on after the signal. Kubernetes kills after 30 s; a laptop should not wait that long.
const DRAIN: Duration = Duration::from_secs(10);
/// How long the last clicks and the pool may take after that.
const CLOSE: Duration = Duration::from_secs(2);

/// Serves until SIGTERM or SIGINT, then drains; a second signal ends the process at once.
///
/// # Errors
/// The configuration is refused, or an address cannot be bound. A database that is down is no error: the service is
/// not ready until it answers.
pub async fn serve(config: Serve) -> Result<(), Failure> {
    if config.edit_token.as_ref().is_some_and(|token| token.expose().is_empty()) {
        return Err(Failure::EmptyEditToken);
    }
    let options = db::options(&config.database_url)?;
    let stop = stop_on_signals()?;
    let listener = config.listen.bind().await?;
    let address = listener.local_addr().map_err(Failure::NotAListener)?;
    // Bound, but nothing is accepted before this check: it also covers a socket that somebody else bound.
    if config.edit_token.is_none() && !address.ip().to_canonical().is_loopback() {
        return Err(Failure::OpenWithoutToken(address));
    }

    let readiness = Readiness::default();
    let _admin_socket = serve_probes(&config.admin_listen, probes::router(readiness.clone())).await?;
    tokio::spawn(readiness.watch(options.clone()));

    let pool = db::pool(options, config.database_max_connections);
    let clicks = Arc::new(Clicks::default());
    tokio::spawn(Clicks::keep_writing(clicks.clone(), pool.clone()));

    let app = App {
        pool: pool.clone(),
        clicks: clicks.clone(),
        edit_token: config.edit_token.map(Arc::new),
        public: config.public_url.as_ref().and_then(Authority::of_url),
    };
    tracing::info!("listening on {address}");
    serve_public(listener, router::public(app, config.public_url.as_ref()), stop).await;
    close(&clicks, &pool).await;
    tracing::info!("stopped");
    Ok(())
}

/// Serves until the signal and the requests of that moment, but not longer than [`DRAIN`].
async fn serve_public(listener: TcpListener, router: Router, stop: watch::Receiver<bool>) {
    // Answers are small: waiting to fill a packet only delays them.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let server = axum::serve(listener, router).with_graceful_shutdown(stopped(stop.clone()));
    let too_long = async {
        stopped(stop).await;
        tracing::info!("stopping: requests may finish");
        sleep(DRAIN).await;
    };
    tokio::select! {
        _ = server => {}
        () = too_long => tracing::warn!("requests were still open after {} s", DRAIN.as_secs()),
    }
}

/// Answers probes in the background until the process ends; a Unix socket is removed when the result is dropped.
async fn serve_probes(listen: &AdminListen, router: Router) -> Result<Option<SocketFile>, Failure> {
    match listen {
        AdminListen::Address(address) => {
            let listener = bind_tcp(address).await?;
            tokio::spawn(async { axum::serve(listener, router).await });
            Ok(None)
        }
        AdminListen::Unix(path) => {
            let (listener, file) = SocketFile::bind(path).await?;
            tokio::spawn(async { axum::serve(listener, router).await });
            Ok(Some(file))
        }
    }
}

async fn close(clicks: &Clicks, pool: &PgPool) {
    let written = timeout(CLOSE, clicks.write(pool)).await;
    if !matches!(written, Ok(Ok(()))) {
        tracing::error!(
            clicks = clicks.waiting(),
            "the database did not take the last clicks: they are lost"
        );
    }
    // An export that outlived the drain may still hold a connection; the process ends it.
    let _ = timeout(CLOSE, pool.close()).await;
}

/// Becomes true at the first SIGTERM or SIGINT.
fn stop_on_signals() -> Result<watch::Receiver<bool>, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Runtime)?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        sender.send_replace(true);
        let code = either(&mut terminate, &mut interrupt).await;
        std::process::exit(code);
    });
    Ok(receiver)
}

/// Waits for one of the two, and gives the exit code that a death by it would have.
async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> i32 {
    tokio::select! {
        _ = terminate.recv() => 143,
        _ = interrupt.recv() => 130,
    }
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // The sender lives as long as the process, so the error "it is gone" cannot come.
    let _ = stop.wait_for(|stopped| *stopped).await;
}
