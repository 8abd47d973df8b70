//! What a child is, and so what of the environment it is given.

/// What leads git to another repository, or has it say more than it should.
const GIT: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CURL_VERBOSE",
    "GIT_DIR",
    "GIT_GLOB_PATHSPECS",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_INDEX_FILE",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// What a program of the user's keeps of our environment, beside what it is declared to get: what it needs to find
/// programs, to write for a person, and to reach the network as this machine does. No agent, and of credentials only
/// what a proxy's address may have in it.
const KEPT: &[&str] = &[
    "ALL_PROXY",
    "CARGO_HOME",
    "CI",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLORTERM",
    "COLUMNS",
    "FORCE_COLOR",
    "GITHUB_ACTIONS",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LANGUAGE",
    "LINES",
    "LOGNAME",
    "NO_COLOR",
    "NO_PROXY",
    "PATH",
    "RUSTUP_HOME",
    "RUST_BACKTRACE",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// What a child is, which decides what it may not inherit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// cargo: without what the outer `cargo run` set, which would make it rebuild what is fresh, and without
    /// the user's `PG*`, which would lead a test or a database tool to another server.
    Cargo,
    /// cargo, for bytes that must not depend on who builds: also without the flags of the environment.
    Shipped,
    /// Anything else: also without cargo's library path.
    Tool,
    /// git: also without what a hook that runs us was given, which would lead it to another repository, and
    /// without its traces, which show credentials.
    Git,
    /// A program that is given declared values, and beside them only what is in a short list.
    Program,
    /// The one program that may have Doppler's token.
    Doppler,
}

impl Kind {
    /// Whether it is cargo.
    pub(super) fn is_cargo(self) -> bool {
        matches!(self, Kind::Cargo | Kind::Shipped)
    }

    /// Whether it may not inherit a variable.
    pub(super) fn strips(self, name: &str) -> bool {
        if self == Kind::Program {
            return !is_kept(name);
        }
        let cargos = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CFG_", "CARGO_BIN_"];
        let library_paths = ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"];
        let of_cargo = cargos.iter().any(|prefix| name.starts_with(prefix)) || name == "OUT_DIR";
        let of_git = GIT.contains(&name) || name.starts_with("GIT_TRACE");
        of_cargo
            || name.starts_with("PG")
            || (!self.is_cargo() && library_paths.contains(&name))
            || (self == Kind::Shipped && is_flag(name))
            || (self == Kind::Git && of_git)
            // A build script, a hook or a test has no business with it.
            || (self != Kind::Doppler && name == "DOPPLER_TOKEN")
    }
}

/// Whether a program of the user's has a variable from our environment, whatever is declared.
pub fn is_kept(name: &str) -> bool {
    KEPT.contains(&name) || name.starts_with("LC_")
}

/// Whether a variable gives flags to cargo, rustc or a C compiler.
fn is_flag(name: &str) -> bool {
    let settings = ["CARGO_PROFILE_", "CARGO_BUILD_TARGET", "CARGO_BUILD_RUSTFLAGS"];
    settings.iter().any(|prefix| name.starts_with(prefix))
        || ["RUSTFLAGS", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "_INCLUDE_PATH"]
            .iter()
            .any(|flags| name.contains(flags))
        || ["CARGO_INCREMENTAL", "CARGO_TARGET_DIR", "CPATH", "LIBRARY_PATH", "RUSTC_BOOTSTRAP"]
            .contains(&name)
}
