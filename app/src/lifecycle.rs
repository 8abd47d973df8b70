//! The life of `links serve`: bind, serve, and on a signal finish what was begun.

use crate::config::Serve;
use crate::dev::Development;
use crate::failure::Failure;
use crate::gate::Gate;
use crate::links::{App, Authority, Clicks};
use crate::listen::{AdminListen, Listen, SocketFile, bind_tcp};
use crate::probes::{self, Readiness};
use crate::router::{self, Frame};
use crate::stop::{Phase, Stop};
use crate::{db, links};
use axum::Router;
use sqlx::PgPool;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long until an answer must begin. An export that streams may go on.
const TIME_LIMIT: Duration = Duration::from_secs(15);
/// How long the last clicks may take after the drain, and how long the pool may.
const CLOSE: Duration = Duration::from_secs(2);

/// Serves until SIGTERM or SIGINT, then goes in the steps of [`crate::stop`]; a second signal ends the process at once.
///
/// # Errors
/// The configuration is refused, or an address cannot be bound. A database that is down is no error: the service is
/// not ready until it answers. Requests that outlived the drain were cut.
pub async fn serve(config: Serve) -> Result<(), Failure> {
    if config.edit_token.as_ref().is_some_and(|token| token.expose().is_empty()) {
        return Err(Failure::EmptyEditToken);
    }
    let options = db::options(&config.database_url)?;
    let stop = Stop::on_signals(config.drain_delay)?;
    let listener = config.listen.bind().await?;
    let address = listener.local_addr().map_err(Failure::NotAListener)?;
    // Bound, but nothing is accepted before this check: it also covers a socket that somebody else bound.
    if config.edit_token.is_none() && !address.ip().to_canonical().is_loopback() {
        return Err(Failure::OpenWithoutToken(address));
    }

    let readiness = Readiness::default();
    let probes = probes::router(readiness.clone(), stop.clone());
    let _admin_socket = serve_probes(&config.admin_listen, probes).await?;
    tokio::spawn(readiness.clone().watch(options.clone()));

    let pool = db::pool(options, config.database_max_connections, readiness.clone());
    let clicks = Arc::new(Clicks::default());
    tokio::spawn(Clicks::keep_writing(clicks.clone(), pool.clone()));

    let development = config.dev_problem.map(|problem| Development::start(problem, stop.clone()));
    let app = App {
        pool: pool.clone(),
        clicks: clicks.clone(),
        edit_token: config.edit_token.map(Arc::new),
        public: config.public_url.as_ref().and_then(Authority::of_url),
        generation: development.as_ref().map(Development::generation),
    };
    let frame =
        Frame { public_url: config.public_url, time_limit: TIME_LIMIT, stop: stop.clone(), development };
    let router = router::surround(links::router().with_state(app), frame);

    // A socket of our own is nobody else's to serve: who comes early gets an answer, even if it is 503.
    let waits_for = (config.listen == Listen::Inherited).then_some(readiness);
    let gate = Gate::new(listener, waits_for, stop.clone()).map_err(Failure::NotAListener)?;
    tracing::info!("listening on {address}");
    let served = serve_public(gate, router, stop, config.drain_deadline).await;
    close(&clicks, &pool).await;
    tracing::info!("stopped");
    served
}

/// Serves until the drain is over, which may take as long as `deadline`.
///
/// # Errors
/// Requests were still open then: ending the process cuts them, and whoever asked it to end should know.
async fn serve_public(gate: Gate, router: Router, stop: Stop, deadline: Duration) -> Result<(), Failure> {
    let drained = stop.clone();
    let server = axum::serve(gate, router)
        .with_graceful_shutdown(async move { drained.reached(Phase::Draining).await });
    let too_long = async {
        stop.reached(Phase::Draining).await;
        sleep(deadline).await;
    };
    tokio::select! {
        _ = server => Ok(()),
        () = too_long => Err(Failure::Cut(deadline)),
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
