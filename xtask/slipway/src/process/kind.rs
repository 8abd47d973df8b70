//! What a child is, and so what of the environment it is given.

/// What leads git to another repository, or has it say more than it should.
const GIT: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CURL_VERBOSE",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
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
}

impl Kind {
    /// Whether it is cargo.
    pub(super) fn is_cargo(self) -> bool {
        matches!(self, Kind::Cargo | Kind::Shipped)
    }

    /// Whether it may not inherit a variable.
    pub(super) fn strips(self, name: &str) -> bool {
        let cargos = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CFG_", "CARGO_BIN_"];
        let library_paths = ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"];
        let of_cargo = cargos.iter().any(|prefix| name.starts_with(prefix)) || name == "OUT_DIR";
        let of_git = GIT.contains(&name) || name.starts_with("GIT_TRACE");
        of_cargo
            || name.starts_with("PG")
            || (!self.is_cargo() && library_paths.contains(&name))
            || (self == Kind::Shipped && is_flag(name))
            || (self == Kind::Git && of_git)
    }
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
