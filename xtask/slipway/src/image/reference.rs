//! The name of an image in a registry: `registry.example.com:5000/team/links:v1`.

use crate::failure::{Code, Failure};

/// A place in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The registry and the path in it.
    pub repository: String,
    /// The tag.
    pub tag: Option<String>,
}

impl Reference {
    /// Reads `registry.example.com:5000/team/links:v1`; the tag may be missing.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::new(Code::Usage, format!("`{text}` does not name an image in a registry"))
                .why(why)
                .next("cargo xtask image push registry.example.com/acme/links:v1")
        };
        let text = text.trim_start_matches("docker://");
        if text.contains("://") {
            return Err(wrong("without https:// and the like: it is no address of a page"));
        }
        if text.contains('@') {
            return Err(wrong("a digest is what a push gives, not what it takes"));
        }
        let (registry, path) = text.split_once('/').ok_or_else(|| wrong("there is no registry in it"))?;
        if !is_registry(registry) {
            return Err(wrong(
                "before the first / there is no registry: a host, and a port where it has one",
            ));
        }
        let (path, tag) = path.split_once(':').map_or((path, None), |(path, tag)| (path, Some(tag)));
        if !path.split('/').all(is_component) {
            return Err(wrong(
                "a path in a registry has lower-case letters and digits, with one of . _ __ - between",
            ));
        }
        if tag == Some("") {
            return Err(wrong("there is no tag behind the colon"));
        }
        if !tag.is_none_or(is_tag) {
            return Err(wrong("a tag has letters, digits, and - _ . after the first; at most 128"));
        }
        Ok(Reference { repository: format!("{registry}/{path}"), tag: tag.map(str::to_owned) })
    }

    /// The registry alone.
    pub fn registry(&self) -> &str {
        self.repository.split('/').next().unwrap_or_default()
    }

    /// Whether it is on this machine, where there is no TLS.
    pub(super) fn is_local(&self) -> bool {
        let host = self.registry().rsplit_once(':').map_or(self.registry(), |(host, _)| host);
        ["localhost", "127.0.0.1", "[::1]"].contains(&host)
    }
}

/// A host, by its dot, its port or its name the one of this machine.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && !text.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let word = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    let inner = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let is_host = match inner {
        Some(inner) => inner.chars().all(|c| c.is_ascii_hexdigit() || c == ':'),
        None => host.starts_with(|c: char| c.is_ascii_alphanumeric()) && host.chars().all(word),
    };
    let named = port.is_some() || inner.is_some() || host.contains('.') || host == "localhost";
    is_host && named && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// A part of a path between slashes, as the distribution specification has it.
fn is_component(part: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    // What is between two words: one dot, one or two underscores, any dashes.
    let separator = |text: &str| [".", "_", "__"].contains(&text) || text.chars().all(|c| c == '-');
    part.starts_with(edge) && part.ends_with(edge) && part.split(edge).all(separator)
}

/// Whether a registry takes it as a tag.
fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.starts_with(word) && tag.len() <= 128 && tag.chars().all(|c| word(c) || "-.".contains(c))
}

/// The region of an ECR registry: `eu-west-1` of `123456789012.dkr.ecr.eu-west-1.amazonaws.com`.
pub fn ecr_region(registry: &str) -> Option<&str> {
    let parts: Vec<&str> = registry.split('.').collect();
    match parts[..] {
        [account, "dkr", "ecr" | "ecr-fips", region, "amazonaws", "com"]
        | [account, "dkr", "ecr" | "ecr-fips", region, "amazonaws", "com", "cn"]
            if account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Some(region)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_whole_or_refused() {
        for (text, repository, tag) in [
            ("localhost:5000/links", "localhost:5000/links", None),
            ("docker://docker.io/acme/links:v1.2", "docker.io/acme/links", Some("v1.2")),
            ("127.0.0.1:5000/a/b__c/li---nks.x:sha-12", "127.0.0.1:5000/a/b__c/li---nks.x", Some("sha-12")),
            ("[::1]:5000/links", "[::1]:5000/links", None),
        ] {
            let read = Reference::parse(text).ok();
            let wanted = Reference { repository: repository.to_owned(), tag: tag.map(str::to_owned) };
            assert_eq!(read, Some(wanted), "{text}");
        }
        for text in [
            "links",
            "acme/links",
            "docker.io/",
            "docker.io/Links",
            "docker.io/links:",
            "docker.io/links:a b",
            "docker.io/links@sha256:00",
            "docker.io//links",
            "docker.io/../links",
            "docker.io/acme/links-",
            "docker.io/a..b",
            "docker.io/a_.b",
            "docker.io/a___b",
            "docker.io:abc/links",
            ":5000/links",
            "-x.example/links",
            "https://docker.io/links",
        ] {
            let read = Reference::parse(text);
            assert!(read.is_err(), "{text}: {read:?}");
        }
    }

    #[test]
    fn amazons_registries_are_known_by_their_names() {
        let region = |name: &str| ecr_region(name).map(str::to_owned);
        assert_eq!(region("123456789012.dkr.ecr.eu-west-1.amazonaws.com").as_deref(), Some("eu-west-1"));
        assert_eq!(region("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn").as_deref(), Some("cn-north-1"));
        for other in [
            "dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.example",
            "ghcr.io",
        ] {
            assert_eq!(region(other), None, "{other}");
        }
    }
}
