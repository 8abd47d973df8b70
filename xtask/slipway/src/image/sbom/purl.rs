//! Package URLs, by which scanners know a package.

use std::fmt::Write as _;

/// `pkg:kind/name@version`, encoded as the purl specification says.
pub fn of(kind: &str, name: &str, version: &str) -> String {
    format!("pkg:{kind}/{}@{}", encoded(name, ":"), encoded(version, ":"))
}

/// A package URL with one qualifier, which says where the package comes from.
pub fn qualified(purl: &str, key: &str, value: &str) -> String {
    format!("{purl}?{key}={}", encoded(value, ":/"))
}

fn encoded(text: &str, left: &str) -> String {
    text.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || "-._~".bytes().chain(left.bytes()).any(|other| other == byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_metadata_and_addresses_are_encoded() {
        assert_eq!(of("cargo", "toml", "1.1.2+spec-1.1.0"), "pkg:cargo/toml@1.1.2%2Bspec-1.1.0");
        assert_eq!(of("generic", "CA bundle", "2026-11"), "pkg:generic/CA%20bundle@2026-11");
        assert_eq!(
            qualified("pkg:cargo/a@1", "vcs_url", "git+https://example.org/a.git@0a1b"),
            "pkg:cargo/a@1?vcs_url=git%2Bhttps://example.org/a.git%400a1b"
        );
    }
}
