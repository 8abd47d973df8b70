//! A database for each test: a copy of one migrated template, dropped when the test ends, also when it fails.

use links::migrate::{self, MIGRATIONS};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection, Executor};
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use url::Url;

const NO_SERVER: &str =
    "no PostgreSQL is up: type cargo xtask test (or keep cargo xtask dev running and repeat)";
/// From this version on `create database` can copy files; before, it always did.
const HAS_STRATEGY: u32 = 150_000;

pub(crate) struct Database {
    server: Url,
    name: String,
    /// Holds the advisory lock that says "in use": a killed test loses it with its session, and the next one sweeps.
    _owner: PgConnection,
}

impl Database {
    /// With all migrations.
    pub(crate) async fn new() -> Self {
        let server = server();
        if let Some(ready) = Self::from_pool(&server).await {
            return ready;
        }
        let template = template(&server).await;
        Self::create(server, &template).await
    }

    /// Without any.
    pub(crate) async fn empty() -> Self {
        Self::create(server(), "template0").await
    }

    pub(crate) fn url(&self) -> String {
        named(&self.server, &self.name).into()
    }

    pub(crate) async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }

    /// What happens when the database goes away under a running service.
    pub(crate) fn drop_now(&self) {
        let server = self.server.clone();
        let statement = format!("drop database if exists {} with (force)", self.name);
        // A runtime of its own: this also runs in `drop`, inside the test's runtime or while it unwinds.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                connect(&server).await.execute(AssertSqlSafe(statement)).await.unwrap();
            });
        });
        // A second panic while unwinding would hide the first; the next test sweeps what is left.
        let _ = dropping.join();
    }

    /// One that `cargo xtask test` made before anybody asked; see docs/xtask-toml.md.
    async fn from_pool(server: &Url) -> Option<Self> {
        std::env::var_os("TEST_TEMPLATE_URL")?;
        let mut owner = connect(server).await;
        let name: Option<String> =
            sqlx::query_scalar("select test_database()").fetch_one(&mut owner).await.unwrap();
        Some(Self { server: server.clone(), name: name?, _owner: owner })
    }

    async fn create(server: Url, template: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("links_test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut owner = connect(&server).await;
        sweep(&mut owner).await;
        lock(&mut owner, &name).await;
        // Copying files beats logging every page as long as the server does not sync.
        let version: String =
            sqlx::query_scalar("show server_version_num").fetch_one(&mut owner).await.unwrap();
        let strategy =
            if version.parse::<u32>().unwrap() >= HAS_STRATEGY { "strategy file_copy" } else { "" };
        let statement = format!("create database {name} template {template} {strategy}");
        owner.execute(AssertSqlSafe(statement)).await.unwrap();
        Self { server, name, _owner: owner }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.drop_now();
    }
}

/// The server: what `cargo xtask test` says, or the development server that is up.
fn server() -> Url {
    let url = std::env::var("TEST_TEMPLATE_URL").or_else(|_| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        std::fs::read_to_string(root.join(".xtask/database-url"))
    });
    Url::parse(url.unwrap_or_else(|_| panic!("{NO_SERVER}")).trim()).expect("the server's URL is read")
}

/// The name of a migrated database that nobody is connected to.
async fn template(server: &Url) -> String {
    if std::env::var_os("TEST_TEMPLATE_URL").is_some() {
        return server.path().trim_start_matches('/').to_owned();
    }
    let mut hasher = DefaultHasher::new();
    MIGRATIONS.iter().for_each(|migration| hasher.write(&migration.checksum));
    let name = format!("links_template_{:016x}", hasher.finish());
    let mut owner = connect(server).await;
    lock(&mut owner, &name).await;
    if !databases(&mut owner, "links\\_template\\_%").await.contains(&name) {
        make_template(server, &mut owner, &name).await;
    }
    name
}

/// Made under another name, so that a template is whole or not there; those of older migrations go.
async fn make_template(server: &Url, owner: &mut PgConnection, name: &str) {
    let draft = format!("links_test_{}_template", std::process::id());
    lock(owner, &draft).await;
    for old in databases(owner, "links\\_template\\_%").await.into_iter().chain([draft.clone()]) {
        owner.execute(AssertSqlSafe(format!("drop database if exists {old}"))).await.unwrap();
    }
    owner.execute(AssertSqlSafe(format!("create database {draft} template template0"))).await.unwrap();
    let options = PgConnectOptions::from_str(named(server, &draft).as_str()).unwrap();
    migrate::run(&options, &MIGRATIONS, |_| {}).await.unwrap();
    owner.execute(AssertSqlSafe(format!("alter database {draft} rename to {name}"))).await.unwrap();
}

/// Drops what killed tests left.
async fn sweep(owner: &mut PgConnection) {
    for name in databases(owner, "links\\_test\\_%").await {
        let is_free: bool = sqlx::query_scalar("select pg_try_advisory_lock(hashtext($1))")
            .bind(&name)
            .fetch_one(&mut *owner)
            .await
            .unwrap();
        if is_free {
            // Its own test may be dropping it at this moment.
            let drop = format!("drop database if exists {name} with (force)");
            let _ = owner.execute(AssertSqlSafe(drop)).await;
            sqlx::query("select pg_advisory_unlock(hashtext($1))")
                .bind(&name)
                .execute(&mut *owner)
                .await
                .unwrap();
        }
    }
}

async fn databases(owner: &mut PgConnection, like: &str) -> Vec<String> {
    let names = sqlx::query_scalar("select datname::text from pg_database where datname like $1").bind(like);
    names.fetch_all(owner).await.unwrap()
}

/// Advisory locks belong to a database: all tests take them in `postgres`.
async fn lock(owner: &mut PgConnection, name: &str) {
    sqlx::query("select pg_advisory_lock(hashtext($1))").bind(name).execute(owner).await.unwrap();
}

async fn connect(server: &Url) -> PgConnection {
    let url = named(server, "postgres");
    PgConnection::connect(url.as_str()).await.unwrap_or_else(|_| panic!("{NO_SERVER}"))
}

fn named(server: &Url, database: &str) -> Url {
    let mut url = server.clone();
    url.set_path(database);
    url
}
