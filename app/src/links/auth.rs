//! Who may change links: everybody who knows the edit token.

use super::App;
use crate::error::Error;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Proof that the request carries the edit token: a handler that changes something takes one as an argument.
///
/// That no other site made a browser send it is checked before, in [`crate::router`].
pub(crate) struct Editor;

impl FromRequestParts<App> for Editor {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        let token = app.edit_token.as_ref().ok_or(Error::EditsOff)?;
        let given = given_token(&parts.headers).ok_or(Error::TokenMissing)?;
        if token.matches(&given) { Ok(Self) } else { Err(Error::TokenWrong) }
    }
}

/// The token of `Bearer TOKEN`, or the password of `Basic base64(NAME:PASSWORD)` as browsers send it.
fn given_token(headers: &HeaderMap) -> Option<String> {
    let (scheme, value) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(STANDARD.decode(value.trim()).ok()?).ok()?;
        return pair.split_once(':').map(|(_, password)| password.to_owned());
    }
    None
}
