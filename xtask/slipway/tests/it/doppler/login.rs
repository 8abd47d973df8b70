//! Cases with Doppler, by any of the ways to have it, and without. The last calls of a builder before `user`;
//! `doppler_setup` after the others.

use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use crate::case::Case;
use crate::doppler::{Doppler, program};

impl Case {
    /// Doppler on PATH, this service, and its CLI token in the environment.
    pub fn doppler(self, api: &Doppler) -> Self {
        self.doppler_logged_out(api).env("DOPPLER_TOKEN", api.cli_token())
    }

    /// The same with another token.
    pub fn doppler_token(self, api: &Doppler, token: &str) -> Self {
        self.doppler_logged_out(api).env("DOPPLER_TOKEN", token)
    }

    /// The token is in the user's file, as `doppler login` leaves it, and not in the environment.
    pub fn doppler_login(self, api: &Doppler) -> Self {
        self.doppler_stored(api, api.cli_token())
    }

    /// The same with another token: `doppler configure set token`.
    pub fn doppler_stored(self, api: &Doppler, token: &str) -> Self {
        let token = format!("    /:\n        token: {token}\n");
        self.doppler_logged_out(api).doppler_yaml(&token)
    }

    /// What `doppler setup` leaves for the repository.
    pub fn doppler_setup(self, project: &str, config: &str) -> Self {
        let root = self.root();
        let scope = format!(
            "    {}:\n        enclave.project: {project}\n        enclave.config: {config}\n",
            root.display()
        );
        self.doppler_yaml(&scope)
    }

    /// Doppler on PATH, and no token.
    pub fn doppler_logged_out(self, api: &Doppler) -> Self {
        let path = std::env::join_paths([program()].into_iter().chain(path())).unwrap();
        // Without analytics: the real one would wait for it.
        let case = self.own_home();
        // Said again, it is a new login. Without analytics: the real one would wait for it.
        let _ = std::fs::remove_file(case.home().join(".doppler/.doppler.yaml"));
        let case = case.doppler_yaml("flags:\n    analytics: false\nscoped:\n");
        case.env("PATH", path.display()).env("DOPPLER_API_HOST", api.url())
    }

    /// No Doppler on PATH, and all else that is there.
    pub fn without_doppler(self) -> Self {
        let mut folders = path();
        for (number, folder) in folders.iter_mut().enumerate() {
            if folder.join("doppler").exists() {
                let others = self.folder().join(format!("path-{number}"));
                std::fs::create_dir_all(&others).unwrap();
                for entry in std::fs::read_dir(&*folder).unwrap().flatten() {
                    if entry.file_name() != "doppler" {
                        symlink(entry.path(), others.join(entry.file_name())).unwrap();
                    }
                }
                *folder = others;
            }
        }
        self.own_home().env("PATH", std::env::join_paths(folders).unwrap().display())
    }

    /// The user's folder of this case.
    pub fn home(&self) -> PathBuf {
        self.folder().join("home")
    }

    /// A home without what the runner has in its own; cargo and rustup are still found.
    fn own_home(self) -> Self {
        std::fs::create_dir_all(self.home()).unwrap();
        let real = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
        let found = |name: &str, folder: &str| std::env::var(name).map_or(real.join(folder), PathBuf::from);
        let (cargo, rustup) = (found("CARGO_HOME", ".cargo"), found("RUSTUP_HOME", ".rustup"));
        let home = self.home();
        self.env("HOME", home.display())
            .env("CARGO_HOME", cargo.display())
            .env("RUSTUP_HOME", rustup.display())
    }

    /// Adds to the user's file.
    fn doppler_yaml(self, text: &str) -> Self {
        let folder = self.home().join(".doppler");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut options = std::fs::OpenOptions::new();
        let file = options.create(true).append(true).mode(0o600).open(folder.join(".doppler.yaml"));
        std::io::Write::write_all(&mut file.unwrap(), text.as_bytes()).unwrap();
        self
    }
}

fn path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).filter(|folder| *folder != Path::new("")).collect()
}
