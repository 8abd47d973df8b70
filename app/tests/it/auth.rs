//! Who may change links.

use crate::database::Database;
use crate::service::{Service, TOKEN};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

fn basic(pair: &str) -> String {
    format!("Basic {}", STANDARD.encode(pair))
}

#[tokio::test]
async fn the_token_opens_and_nothing_else_does() {
    let database = Database::new().await;
    let service = Service::start(&database).await;
    let bearer = format!("Bearer {TOKEN}");
    for (authorization, status, code) in [
        (Some(bearer.clone()), 201, ""),
        (Some(format!("bearer  {TOKEN} ")), 200, ""),
        (Some(basic(&format!("anybody:{TOKEN}"))), 200, ""),
        (Some(basic(&format!(":{TOKEN}"))), 200, ""),
        (None, 401, "token_missing"),
        (Some("Bearer".to_owned()), 401, "token_missing"),
        (Some("Bearer wrong".to_owned()), 401, "token_wrong"),
        (Some(format!("Bearer {TOKEN}x")), 401, "token_wrong"),
        (Some(basic(&format!("{TOKEN}:"))), 401, "token_wrong"),
        (Some(basic("without-a-colon")), 401, "token_missing"),
        (Some("Basic %%%".to_owned()), 401, "token_missing"),
        (Some(format!("Digest {TOKEN}")), 401, "token_missing"),
    ] {
        let mut request = service
            .request("PUT", "/api/v1/links/wiki")
            .json(&serde_json::json!({ "target": "https://example.com/" }));
        if let Some(authorization) = &authorization {
            request = request.header("authorization", authorization);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{authorization:?}");
        if status == 401 {
            let asks = answer.headers().get_all("www-authenticate").iter().next().unwrap();
            assert!(asks.to_str().unwrap().starts_with("Basic "));
            let problem: serde_json::Value = answer.json().await.unwrap();
            assert_eq!(problem["code"], code, "{authorization:?}");
        }
    }
    assert!(!service.log().contains(TOKEN));
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let database = Database::new().await;
    let service =
        Service::spawn(&database.url(), &[("EDIT_TOKEN", TOKEN), ("PUBLIC_URL", "https://go.example.com")]);
    let mut service = service;
    service.wait_for("/readyz", 200).await;
    let own = format!("http://{}", service.host);
    for (header, value, allowed) in [
        ("origin", "https://evil.example.com", false),
        ("origin", "null", false),
        ("sec-fetch-site", "cross-site", false),
        ("sec-fetch-site", "same-site", false),
        ("sec-fetch-site", "same-origin", true),
        ("origin", own.as_str(), true),
        ("origin", "https://go.example.com", true),
    ] {
        let answer = service.put("wiki", "https://example.com/").header(header, value).send().await.unwrap();
        assert_eq!(answer.status().is_success(), allowed, "{header}: {value}");
        if !allowed {
            assert_eq!(answer.status(), 403);
            let problem: serde_json::Value = answer.json().await.unwrap();
            assert_eq!(problem["code"], "foreign_origin");
        }
    }
    // The service knows its public name, too.
    let looped = service.put("home", "https://go.example.com/wiki").send().await.unwrap();
    assert_eq!(looped.status(), 422);
}

#[tokio::test]
async fn without_a_token_nobody_changes_links_and_everybody_may_read() {
    let database = Database::new().await;
    let mut service = Service::spawn(&database.url(), &[]);
    service.wait_for("/readyz", 200).await;
    let answer = service.put("wiki", "https://example.com/").send().await.unwrap();
    assert_eq!(answer.status(), 403);
    let problem: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(problem["code"], "edits_off");
    assert!(problem["detail"].as_str().unwrap().contains("EDIT_TOKEN"));
    let page = service.get("/").send().await.unwrap().text().await.unwrap();
    assert!(page.contains("EDIT_TOKEN") && !page.contains("method=\"post\""));
}
