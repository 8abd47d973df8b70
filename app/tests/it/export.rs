//! The export: streamed, whole, or visibly broken.

use crate::database::Database;
use crate::service::Service;
use sqlx::{Connection, Executor};

const ROWS: usize = 50_000;
const MANY: &str = "insert into links (slug, target)
    select 'link-' || n, 'https://example.com/' || repeat('x', 200) from generate_series(1, 50000) as n";

#[tokio::test]
async fn the_first_rows_leave_before_the_last_are_read_and_none_is_missing() {
    let database = Database::new().await;
    let service = Service::start(&database).await;
    database.connect().await.execute(MANY).await.unwrap();

    let mut answer = service.get("/api/v1/export").send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
    let mut csv = answer.chunk().await.unwrap().unwrap().to_vec();
    // The statement is still running: what it has left does not fit in all the buffers on the way.
    let mut connection = database.connect().await;
    let exporting: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity
         where datname = current_database() and state = 'active' and pid <> pg_backend_pid()",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(exporting, 1);
    while let Some(piece) = answer.chunk().await.unwrap() {
        csv.extend(piece);
    }

    let csv = String::from_utf8(csv).unwrap();
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines.len(), ROWS + 1);
    assert_eq!(lines[0], "slug,target,clicks,created_at,updated_at");
    assert!(lines[1].starts_with("link-1,https://example.com/xxx"), "{}", lines[1]);
}

#[tokio::test]
async fn a_broken_export_does_not_look_whole_and_an_empty_one_has_its_head() {
    let database = Database::new().await;
    let service = Service::start(&database).await;
    let empty = service.get("/api/v1/export").send().await.unwrap().text().await.unwrap();
    assert_eq!(empty, "slug,target,clicks,created_at,updated_at\n");

    let mut connection = database.connect().await;
    connection.execute(MANY).await.unwrap();
    let mut answer = service.get("/api/v1/export").send().await.unwrap();
    answer.chunk().await.unwrap();
    connection
        .execute(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and state = 'active' and pid <> pg_backend_pid()",
        )
        .await
        .unwrap();
    connection.close().await.unwrap();
    let broken = loop {
        match answer.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken, "{}", service.log());
}
