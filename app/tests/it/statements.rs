//! Every SQL statement of the domain is understood by a migrated database.

use crate::database::Database;
use links::links::sql;
use sqlx::{Executor, SqlSafeStr};

#[tokio::test]
async fn every_statement_can_be_prepared() {
    let database = Database::new().await;
    let mut connection = database.connect().await;
    for (name, statement) in sql::ALL {
        let prepared = connection.prepare((*statement).into_sql_str()).await;
        assert!(prepared.is_ok(), "{name}: {}", prepared.unwrap_err());
    }
}

#[test]
fn every_statement_is_in_the_list_and_none_is_elsewhere() {
    let source = include_str!("../../src/links/sql.rs");
    let named: Vec<_> =
        source.lines().filter_map(|line| line.strip_prefix("pub const ")?.split(": &str =").next()).collect();
    let statements: Vec<_> = named.into_iter().filter(|name| !name.starts_with("ALL")).collect();
    let listed: Vec<_> = sql::ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(statements, listed);
}

#[tokio::test]
async fn the_demo_data_loads_and_loads_again() {
    let database = Database::new().await;
    let mut connection = database.connect().await;
    let count = "select (select count(*) from links) * 1000000 + (select sum(count) from clicks)::bigint";
    let mut counts: Vec<i64> = Vec::new();
    for _ in 0..2 {
        connection.execute(include_str!("../../demo.sql")).await.unwrap();
        counts.push(sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap());
    }
    assert!(counts[0] > 12_000_000, "{counts:?}");
    assert_eq!(counts[0], counts[1]);
}
