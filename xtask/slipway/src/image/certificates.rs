//! The bundle of certificates in an image: only certificates, in one form, so that the same set has the same bytes.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::failure::{Code, Failure};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
/// Characters in a line of PEM (RFC 7468).
const LINE: usize = 64;

/// Certificates, as DER.
pub type Certificates = Vec<Vec<u8>>;

/// Those that Mozilla's list trusts for TLS: as the crate has them that the tool was built with, so Cargo.lock
/// decides, and no file of the machine.
pub fn mozilla() -> Certificates {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|certificate| certificate.to_vec()).collect()
}

/// Those of a PEM file. What stands between them is no part of the bundle; a private key is refused.
pub fn read(text: &str) -> Result<Certificates> {
    if text.contains("PRIVATE KEY-----") {
        return Err(Failure::new(Code::Usage, "there is a private key in it")
            .why("everybody who pulls the image could read it")
            .next("a file of certificates only")
            .into());
    }
    let parts = text.split(BEGIN).skip(1).map(|part| {
        let (inner, _) = part.split_once(END).context("a certificate does not end")?;
        let inner: String = inner.split_whitespace().collect();
        let der = STANDARD.decode(inner).map_err(|_| anyhow::anyhow!("a certificate is not base64"))?;
        if is_sequence(&der) { Ok(der) } else { Err(anyhow::anyhow!("what it calls a certificate is none")) }
    });
    let found: Certificates = parts.collect::<Result<_>>()?;
    if found.is_empty() {
        return Err(Failure::new(Code::Usage, "there is no certificate in it")
            .next(format!("a PEM file: {BEGIN} …"))
            .into());
    }
    Ok(found)
}

/// Whether bytes are one ASN.1 sequence of the length that they have, as a certificate is: with an empty or a cut one the
/// service would trust nobody, and say so in production.
fn is_sequence(der: &[u8]) -> bool {
    match der {
        [0x30, 0x82, high, low, rest @ ..] => rest.len() == usize::from(*high) * 256 + usize::from(*low),
        _ => false,
    }
}

/// The bundle, in the order of the certificates' bytes, each once.
pub(super) fn bundle(mut certificates: Certificates) -> Vec<u8> {
    certificates.sort();
    certificates.dedup();
    let mut text = String::new();
    for certificate in certificates {
        let inner = STANDARD.encode(certificate);
        text += BEGIN;
        // base64 is ASCII: it can be cut anywhere.
        for line in inner.as_bytes().chunks(LINE) {
            text.push('\n');
            text.extend(line.iter().map(|byte| char::from(*byte)));
        }
        text = text + "\n" + END + "\n";
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_bundle_is_read_back_whatever_stands_around_it() -> Result<()> {
        let public = mozilla();
        assert!(public.len() > 100, "{}", public.len());
        let text = String::from_utf8(bundle(public.clone()))?;
        let dressed = text.replace(BEGIN, &format!("# a comment\n\n{BEGIN}")).replace('\n', "\r\n");
        let twice = [read(&dressed)?, public].concat();
        assert_eq!(bundle(twice), text.into_bytes());
        Ok(())
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        for (text, words) in [
            ("", "no certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA", "does not end"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----", "not base64"),
            ("-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----", "is none"),
            ("-----BEGIN CERTIFICATE-----\nMIIBAAAA\n-----END CERTIFICATE-----", "is none"),
            ("-----BEGIN RSA PRIVATE KEY-----\nAAAA", "private key"),
        ] {
            let said = read(text).map_err(|error| error.to_string()).err().unwrap_or_default();
            assert!(said.contains(words), "{text:?}: {said}");
        }
    }
}
