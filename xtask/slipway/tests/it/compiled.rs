//! Programs of the tests that nothing but `rustc` compiles.

use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

/// A folder with the program `name` and nothing else: compiled from `main`, below `tests`, once for each version of
/// what is in its folder, by whichever run comes first.
pub fn compiled(main: &str, name: &str) -> PathBuf {
    let main = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(main);
    let sources = std::fs::read_dir(main.parent().unwrap()).unwrap();
    let mut sources: Vec<_> = sources.map(|entry| entry.unwrap().path()).collect();
    sources.sort();
    let text: String = sources.iter().map(|source| std::fs::read_to_string(source).unwrap()).collect();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", &sha(&text)[..16]));
    let program = folder.join(name);
    if !program.exists() {
        std::fs::create_dir_all(&folder).unwrap();
        // Each caller has a place of its own, be it a thread or a process.
        let stage = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let staged = stage.path().join(name);
        let mut rustc = Command::new("rustc");
        rustc.args(["-O", "--edition", "2024", "-A", "dead_code", "-o"]).arg(&staged).arg(main);
        let made = rustc.output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::rename(staged, &program).unwrap();
    }
    folder
}

/// SHA-256, in hexadecimal.
pub fn sha(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
