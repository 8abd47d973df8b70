//! The line of xtask/Cargo.toml that says which slipway a repository has: the source may need a newer one.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use semver::Version;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The file, from the root.
pub const PATH: &str = "xtask/Cargo.toml";

/// A manifest with a newer slipway in it.
#[derive(Debug)]
pub struct ToolLine {
    /// From the root.
    pub path: String,
    /// The whole new text.
    pub text: String,
    /// What the file is now.
    pub before: String,
    /// Whether that can be executed.
    pub executable: bool,
    /// What it says now.
    pub old: Version,
    /// What it will say.
    pub new: Version,
}

impl ToolLine {
    /// The change that brings slipway to `wanted`, where the repository at `root` has an older one. What has it as a folder,
    /// a branch or a commit is left alone.
    pub fn read(root: &Path, wanted: &Version) -> Option<Self> {
        let text = std::fs::read_to_string(root.join(PATH)).ok()?;
        let about = std::fs::metadata(root.join(PATH)).ok()?;
        let (range, prefix, old) = find(&text)?;
        if old >= *wanted {
            return None;
        }
        let mut changed = text.clone();
        changed.replace_range(range, &format!("\"{prefix}{wanted}\""));
        Some(ToolLine {
            path: PATH.to_owned(),
            text: changed,
            before: text,
            executable: about.permissions().mode() & 0o100 != 0,
            old,
            new: wanted.clone(),
        })
    }
}

/// Where the version stands, what is before its number, and the version.
fn find(text: &str) -> Option<(std::ops::Range<usize>, String, Version)> {
    let document = DeTable::parse(text).ok()?;
    let DeValue::Table(dependencies) = document.get_ref().get("dependencies")?.get_ref() else { return None };
    let slipway = dependencies.get("slipway")?;
    let value: &Spanned<DeValue<'_>> = match slipway.get_ref() {
        DeValue::String(_) => slipway,
        DeValue::Table(table) if table.contains_key("path") => return None,
        DeValue::Table(table) => table.get("tag").or_else(|| table.get("version"))?,
        _ => return None,
    };
    let DeValue::String(said) = value.get_ref() else { return None };
    let number = said.trim_start_matches(|c: char| !c.is_ascii_digit());
    let prefix = said.strip_suffix(number)?.to_owned();
    // `"1"` and `"1.8"` are ranges that take newer ones anyway.
    Some((value.span(), prefix, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_version_of_the_line_changes() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        std::fs::create_dir(folder.path().join("xtask"))?;
        let wanted: Version = "1.9.0".parse()?;
        for (line, changed) in [
            (
                "slipway = { git = \"https://h/a\", tag = \"v1.8.0\" } # ours",
                Some("slipway = { git = \"https://h/a\", tag = \"v1.9.0\" } # ours"),
            ),
            ("slipway = \"1.8.0\"", Some("slipway = \"1.9.0\"")),
            (
                "slipway = { version = \"=1.8.0\", features = [] }",
                Some("slipway = { version = \"=1.9.0\", features = [] }"),
            ),
            ("slipway = { git = \"https://h/a\", tag = \"v1.9.0\" }", None),
            ("slipway = { git = \"https://h/a\", tag = \"v2.0.0\" }", None),
            ("slipway = { git = \"https://h/a\", branch = \"main\" }", None),
            ("slipway = { path = \"slipway\", version = \"1.8.0\" }", None),
            ("other = \"1.8.0\"", None),
        ] {
            let text =
                |line: &str| format!("[package]\nname = \"xtask\"\n\n[dependencies]\n{line}\nclap = \"4\"\n");
            std::fs::write(folder.path().join(PATH), text(line))?;
            let found = ToolLine::read(folder.path(), &wanted).map(|found| found.text);
            assert_eq!(found, changed.map(text), "{line}");
        }
        Ok(())
    }
}
