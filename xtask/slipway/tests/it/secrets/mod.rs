//! `secrets`, and `dev` with them.

mod check;
mod corpus;
mod dev;
mod environment;
mod outcomes;
mod output;
mod scan;
mod signals;

use crate::case::Case;
use crate::doppler::Doppler;

/// Names of each kind; LOG_LEVEL is everywhere and not masked.
pub const CONFIG: &str = r#"
[service]
name = "links"
[secrets]
project = "links"
[secrets.names]
DATABASE_URL = { about = "the database", provided = true }
EDIT_TOKEN = { about = "who may change links", dev = "dev-only" }
LOG_LEVEL = { about = "tracing filter", dev = "info", masked = false }
PAGER_KEY = { about = "wakes people", in = ["prd"] }
"#;

/// Values that nothing else has in it.
pub const DEV_TOKEN: &str = "tok-dev-8f3a1c5e7b";
pub const PRD_TOKEN: &str = "tok-prd-19c7d2e4a6";

/// links in Doppler: dev and prd as declared, and more that is not.
pub fn links() -> Doppler {
    let undeclared = ("UNDECLARED", "undeclared-value-55aa");
    Doppler::start()
        .config("links", "dev", &[("EDIT_TOKEN", DEV_TOKEN), ("LOG_LEVEL", "debug"), undeclared])
        .config("links", "stg", &[("EDIT_TOKEN", "tok-stg-5d6f70aa"), ("LOG_LEVEL", "info")])
        .config(
            "links",
            "prd",
            &[("EDIT_TOKEN", PRD_TOKEN), ("LOG_LEVEL", "warn"), ("PAGER_KEY", "pager-77ee88ff"), undeclared],
        )
}

/// A repository with those names.
pub fn case() -> Case {
    Case::new().file("xtask.toml", CONFIG)
}
