//! A layer: files as a tar, whose every byte is decided here.

use std::io::Read as _;

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;
use tar::{Archive, Builder, EntryType, Header};

use super::digest;
use super::root::{FOLDER, File, folders};

/// A layer, not compressed.
pub(super) struct Layer {
    pub tar: Vec<u8>,
    /// The digest of that: what the layer is, however it is compressed.
    pub diff_id: String,
}

/// A file as it is in an image.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Listed {
    /// Its path, with a slash in front.
    pub path: String,
    /// `dir` or `file`, or what else a foreign image may have.
    pub kind: &'static str,
    /// Its permissions, as in `0555`.
    pub mode: String,
    /// Its owner.
    pub uid: u64,
    /// Its group.
    pub gid: u64,
    /// Its bytes.
    pub size: u64,
}

impl Layer {
    /// Packs files, and the folders that they need: in the order of their names, root's, and of no time.
    pub(super) fn of(mut files: Vec<File<'_>>) -> Result<Self> {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let mut tar = Builder::new(Vec::new());
        for folder in folders(&files) {
            append(&mut tar, &format!("{folder}/"), EntryType::Directory, FOLDER, &[])?;
        }
        for file in &files {
            append(&mut tar, &file.path, EntryType::Regular, file.mode, &file.bytes)?;
        }
        let tar = tar.into_inner().context("cannot end a layer")?;
        let diff_id = digest(&tar);
        Ok(Layer { tar, diff_id })
    }
}

/// Adds an entry to a tar: root's, of no time.
pub(super) fn append(
    tar: &mut Builder<Vec<u8>>,
    path: &str,
    kind: EntryType,
    mode: u32,
    bytes: &[u8],
) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    header.set_path(path).with_context(|| format!("{path} has no place in a tar"))?;
    header.set_cksum();
    tar.append(&header, bytes).with_context(|| format!("cannot pack {path}"))
}

/// The tar in a compressed layer.
pub(super) fn unpack(blob: &[u8]) -> Result<Vec<u8>> {
    let mut tar = Vec::new();
    GzDecoder::new(blob).read_to_end(&mut tar).context("a layer cannot be decompressed")?;
    Ok(tar)
}

/// What a layer has, in its order.
pub(super) fn list(tar: &[u8]) -> Result<Vec<Listed>> {
    let mut archive = Archive::new(tar);
    let entries = archive.entries().context("a layer cannot be read")?;
    let listed = entries.map(|entry| {
        let entry = entry?;
        let header = entry.header();
        anyhow::Ok(Listed {
            path: format!("/{}", entry.path()?.display()),
            kind: match header.entry_type() {
                EntryType::Directory => "dir",
                EntryType::Regular => "file",
                _ => "other",
            },
            mode: format!("{:04o}", header.mode()?),
            uid: header.uid()?,
            gid: header.gid()?,
            size: header.size()?,
        })
    });
    listed.collect::<Result<_>>().context("a layer cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::root::{accounts, service};

    #[test]
    fn a_layer_has_its_files_and_their_folders_and_nothing_else() -> Result<()> {
        let accounts = Layer::of(accounts(Some(b"bundle")))?;
        let shown = |tar: &[u8]| -> Result<Vec<String>> {
            let line =
                |file: Listed| format!("{} {} {}:{} {}", file.path, file.mode, file.uid, file.gid, file.size);
            Ok(list(tar)?.into_iter().map(line).collect())
        };
        assert_eq!(
            shown(&accounts.tar)?,
            [
                "/etc/ 0755 0:0 0",
                "/etc/ssl/ 0755 0:0 0",
                "/etc/ssl/certs/ 0755 0:0 0",
                "/etc/group 0444 0:0 17",
                "/etc/passwd 0444 0:0 45",
                "/etc/ssl/certs/ca-certificates.crt 0444 0:0 6",
            ]
        );
        assert_eq!(shown(&Layer::of(service("links", b"\x7fELF"))?.tar)?, ["/links 0555 0:0 4"]);
        Ok(())
    }
}
