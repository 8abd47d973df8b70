//! All links as CSV, in a constant amount of memory: a row leaves while the next is read.

use super::store::Link;
use super::{App, sql};
use crate::error::Error;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{StreamExt, poll_fn};
use sqlx::pool::PoolConnection;
use sqlx::{Connection, Postgres};
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;

/// Bytes a piece, about: a row alone would be a packet of its own.
const PIECE: usize = 8 * 1024;
/// Pieces that wait for a slow reader before the database has to wait as well.
const PIECES: usize = 4;
/// A reader that takes nothing for so long is gone; its connection is needed.
const PATIENCE: Duration = Duration::from_secs(30);

/// `GET /api/v1/export`
///
/// A spreadsheet takes a cell that starts with `= + - @` for a formula. None here can: a slug starts with a letter or
/// a digit, a target with `http`, and checks on the table hold rows to it that came from elsewhere.
pub(crate) async fn stream(State(app): State<App>) -> Result<Response, Error> {
    // Before the status is sent, so that a database that is down is still a 503.
    let connection = app.pool.acquire().await?;
    let (sender, mut receiver) = mpsc::channel(PIECES);
    tokio::spawn(async move {
        if let Err(error) = write_rows(connection, &sender).await {
            tracing::warn!(%error, "an export broke off");
            // Without it the reader would take half a file for a whole one.
            let _ = sender.send(Err(error)).await;
        }
    });
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"links.csv\""),
    ];
    Ok((headers, Body::from_stream(poll_fn(move |context| receiver.poll_recv(context)))).into_response())
}

async fn write_rows(
    mut connection: PoolConnection<Postgres>,
    sender: &mpsc::Sender<io::Result<Vec<u8>>>,
) -> io::Result<()> {
    let outcome = copy(&mut connection, sender).await;
    if outcome.is_err() {
        // Back in the pool it would first have to read all the rows that nobody wants any more.
        let _ = connection.detach().close_hard().await;
    }
    outcome
}

async fn copy(
    connection: &mut PoolConnection<Postgres>,
    sender: &mpsc::Sender<io::Result<Vec<u8>>>,
) -> io::Result<()> {
    let mut rows = sqlx::query_as::<_, Link>(sql::EXPORT).fetch(&mut **connection);
    let mut piece = writer();
    piece.write_record(["slug", "target", "clicks", "created_at", "updated_at"])?;
    while let Some(row) = rows.next().await {
        piece.serialize(row.map_err(io::Error::other)?)?;
        // The writer has a buffer of its own and hands on what overflows it.
        if !piece.get_ref().is_empty() {
            send(sender, std::mem::replace(&mut piece, writer())).await?;
        }
    }
    send(sender, piece).await
}

fn writer() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().has_headers(false).buffer_capacity(PIECE).from_writer(Vec::new())
}

async fn send(sender: &mpsc::Sender<io::Result<Vec<u8>>>, piece: csv::Writer<Vec<u8>>) -> io::Result<()> {
    let bytes = piece.into_inner().map_err(|error| error.into_error())?;
    sender
        .send_timeout(Ok(bytes), PATIENCE)
        .await
        .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "nobody reads it any more"))
}
