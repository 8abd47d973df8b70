//! An archive made of the server that is installed here, and a case on a machine that has none.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::case::{CONFIG, Case};
use crate::web::Web;

/// An archive, and what it is called.
pub struct Archive {
    pub version: String,
    pub bytes: Vec<u8>,
}

impl Archive {
    /// Of the installed server. None, with a line that says why, where that cannot be moved.
    pub fn real() -> Option<Self> {
        let homes = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let newest =
            homes.filter(|home| home.path().join("bin/postgres").is_file()).map(|home| home.path()).max();
        let Some(home) = newest else {
            eprintln!("skipped: no server of Debian's kind here, the one that works from another folder");
            return None;
        };
        let said = Command::new(home.join("bin/postgres")).arg("--version").output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let version = format!("{}.0", said.split_whitespace().nth(2).unwrap());
        Some(Archive { bytes: pack(&home, &version), version })
    }

    /// Of these files, below the one folder of an archive. Quick, and refused by the trial at once.
    pub fn of(entries: &[Entry<'_>]) -> Self {
        let mut builder =
            tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for entry in entries {
            let mut header = tar::Header::new_gnu();
            let (name, kind, link, content) = match entry {
                Entry::File(name, content) => (name, tar::EntryType::Regular, None, *content),
                Entry::Link(name, to) => (name, tar::EntryType::Symlink, Some(to), &b""[..]),
                Entry::Hard(name, to) => (name, tar::EntryType::Link, Some(to), &b""[..]),
                Entry::Device(name) => (name, tar::EntryType::Char, None, &b""[..]),
            };
            // Raw, because the crate would not write what we want to be refused.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            if let Some(to) = link {
                header.as_gnu_mut().unwrap().linkname[..to.len()].copy_from_slice(to.as_bytes());
            }
            header.set_entry_type(kind);
            header.set_mode(0o755);
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content).unwrap();
        }
        Archive { version: "15.18.0".into(), bytes: builder.into_inner().unwrap().finish().unwrap() }
    }

    /// A program of another kind of machine.
    pub fn of_another_machine() -> Self {
        let mut elf = [0; 64];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[18] = if cfg!(target_arch = "x86_64") { 183 } else { 62 };
        Archive::of(&[Entry::File("top/bin/postgres", &elf), Entry::File("top/bin/more", &noise(300_000))])
    }

    pub fn asset(&self) -> String {
        let (arch, env) = (std::env::consts::ARCH, if cfg!(target_env = "musl") { "musl" } else { "gnu" });
        format!("postgresql-{}-{arch}-unknown-linux-{env}.tar.gz", self.version)
    }

    pub fn sum(&self) -> String {
        Sha256::digest(&self.bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub fn path(&self) -> String {
        format!("/{}/{}", self.version, self.asset())
    }

    /// Served over HTTP, with its sum beside it.
    pub fn web(&self) -> Web {
        let sidecar = format!("{}  {}\n", self.sum(), self.asset());
        Web::new().file(&self.path(), self.bytes.clone()).file(&format!("{}.sha256", self.path()), sidecar)
    }
}

pub enum Entry<'a> {
    File(&'a str, &'a [u8]),
    Link(&'a str, &'a str),
    Hard(&'a str, &'a str),
    Device(&'a str),
}

/// Bytes that no compression makes fewer.
pub fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..count).map(next).collect()
}

/// The installed server in the published layout. It finds its files by their place beside its programs, so
/// Debian's own two folders are kept, and `bin` is a link. Made once, as every cache.
pub fn pack(home: &Path, version: &str) -> Vec<u8> {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = cache.join(format!("archive-1-{version}.tar.gz"));
    if let Ok(bytes) = fs::read(&path) {
        return bytes;
    }
    let major = version.split('.').next().unwrap();
    let work = tempfile::tempdir_in(cache).unwrap();
    let top = work.path().join(format!("postgresql-{version}"));
    let script = format!(
        "set -e; mkdir -p {top}/lib/postgresql/{major}/bin {top}/share/postgresql; cd {top}
         cp -a {home}/bin/postgres {home}/bin/initdb {home}/bin/psql lib/postgresql/{major}/bin/
         cp -a {home}/lib lib/postgresql/{major}/; rm -rf lib/postgresql/{major}/lib/bitcode
         rm -rf lib/postgresql/{major}/lib/pgxs lib/postgresql/{major}/lib/llvmjit*
         cp -aL /usr/share/postgresql/{major} share/postgresql/; rm -rf share/postgresql/{major}/man
         ln -s lib/postgresql/{major}/bin bin
         cd ..; tar --use-compress-program='gzip -1' -cf archive.tar.gz postgresql-{version}",
        top = top.display(),
        home = home.display(),
    );
    let done = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fs::rename(work.path().join("archive.tar.gz"), &path).unwrap();
    fs::read(&path).unwrap()
}

/// PATH without a server's programs.
pub fn path() -> String {
    let path = std::env::var("PATH").unwrap();
    let lacks = |folder: &&str| !Path::new(folder).join("postgres").exists();
    path.split(':').filter(lacks).collect::<Vec<_>>().join(":")
}

/// A repository on a machine without a server.
pub struct Bare {
    pub case: Case,
    /// Its cache is here, and an empty folder that is searched for servers.
    pub folder: tempfile::TempDir,
}

impl Bare {
    pub fn new(version: &str, url: &str) -> Self {
        Bare::with(&format!("[postgres.download]\nurl = \"{url}\"\nversion = \"{version}\"\n"), version)
    }

    pub fn with(config: &str, version: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("slipway-bare-").tempdir().unwrap();
        // Under root another account runs what is in the cache.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(folder.path().join("empty")).unwrap();
        let major = version.split('.').next().unwrap();
        let case = Case::new()
            .file("xtask.toml", format!("{CONFIG}[postgres]\nversions = [\"{major}\"]\n{config}"))
            .env("SLIPWAY_SEARCH_ROOT", folder.path().join("empty").display())
            .env("SLIPWAY_CACHE", folder.path().join("cache").display())
            .env("HOME", folder.path().join("empty").display())
            .env("PATH", path())
            .env("NO_PROXY", "*");
        Bare { case, folder }
    }

    pub fn cache(&self) -> PathBuf {
        self.folder.path().join("cache/slipway/postgres")
    }

    /// What is in the cache, but for locks, what servers said, and what initdb made.
    pub fn cached(&self) -> Vec<String> {
        let entries = fs::read_dir(self.cache()).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        let made = |name: &str| name.starts_with("template") || name.starts_with("migrated");
        names.retain(|name| !name.ends_with(".lock") && name != "versions.json" && !made(name));
        names.sort();
        names
    }

    pub fn lock(&self) -> String {
        fs::read_to_string(self.case.root().join("xtask.lock")).unwrap_or_default()
    }

    /// The server of this archive runs, and nothing but it is in the cache.
    #[track_caller]
    pub fn has(&self, archive: &Archive) {
        assert_eq!(self.cached(), [format!("server-{}-{}", archive.version, &archive.sum()[..12])]);
        let line = format!("\"{}\" = \"{}\"", archive.asset(), archive.sum());
        assert!(self.lock().lines().any(|found| found == line), "{}", self.lock());
    }
}
