//! A host with its port: the part of a URL that says who answers.

use axum::extract::FromRequestParts;
use axum::http::header::HOST;
use axum::http::request::Parts;
use std::convert::Infallible;
use std::net::IpAddr;
use url::Url;

use super::App;

/// A host, and its port unless it is 80 or 443, in the one spelling that can be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority(String);

impl Authority {
    /// Of a URL; `None` if it has no host.
    #[must_use]
    pub fn of_url(url: &Url) -> Option<Self> {
        let host = url.host_str()?;
        Some(Self::new(host, url.port_or_known_default()))
    }

    /// Of a `Host` header; `None` if it is none.
    #[must_use]
    pub fn of_header(text: &str) -> Option<Self> {
        Self::of_url(&Url::parse(&format!("http://{text}")).ok()?)
    }

    fn new(host: &str, port: Option<u16>) -> Self {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        // Typed at localhost, a target at 127.0.0.1 is this service all the same.
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let host =
            if address.is_ok_and(|address| address.is_loopback()) { "localhost".to_owned() } else { host };
        match port {
            None | Some(80 | 443) => Self(host),
            Some(port) => Self(format!("{host}:{port}")),
        }
    }
}

/// The names under which this service answers, as far as the request and the configuration tell.
#[derive(Clone, Debug)]
pub struct OwnNames(pub Vec<Authority>);

impl FromRequestParts<App> for OwnNames {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let host =
            parts.headers.get(HOST).and_then(|value| value.to_str().ok()).and_then(Authority::of_header);
        Ok(Self(host.into_iter().chain(app.public.clone()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_place_are_equal() {
        let place = Authority::of_header("go.example.com");
        for same in ["GO.example.com", "go.example.com:80", "go.example.com:443", "go.example.com."] {
            assert_eq!(Authority::of_header(same), place, "{same}");
        }
        assert_ne!(Authority::of_header("go.example.com:8080"), place);
        let here = Authority::of_header("localhost:8080");
        for same in ["127.0.0.1:8080", "[::1]:8080", "127.1.2.3:8080"] {
            assert_eq!(Authority::of_header(same), here, "{same}");
        }
        assert_eq!(Url::parse("https://go.example.com/x").ok().as_ref().and_then(Authority::of_url), place);
    }
}
