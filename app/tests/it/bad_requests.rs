//! Wrong requests: each is answered with its status, a stable code and a text, and nothing is changed.

use crate::database::Database;
use crate::service::{Service, TOKEN};
use serde_json::Value;

/// Method, path, content type and body; then the status, the code and a part of the text.
type Bad = (&'static str, &'static str, &'static str, &'static str, u16, &'static str, &'static str);

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const LINK: &str = "/api/v1/links/wiki";
const GOOD: &str = r#"{"target":"https://example.com/"}"#;

const TABLE: &[Bad] = &[
    ("GET", "/nothing", "", "", 404, "link_not_found", "there is no link `nothing`"),
    ("GET", "/two%20words", "", "", 404, "route_not_found", "nothing at this address"),
    ("GET", "/%ff", "", "", 404, "route_not_found", "nothing at this address"),
    ("GET", "/api", "", "", 404, "route_not_found", "nothing at this address"),
    ("GET", "/favicon.ico", "", "", 404, "route_not_found", "nothing at this address"),
    ("GET", "/a/b/c", "", "", 404, "route_not_found", "nothing at this address"),
    ("GET", "/static/other.css", "", "", 404, "route_not_found", "nothing at this address"),
    ("GET", "/api/v2/links", "", "", 404, "route_not_found", "nothing at this address"),
    ("POST", "/wiki", "", "", 405, "method_not_allowed", "does not take that method"),
    ("POST", "/api/v1/links", JSON, GOOD, 405, "method_not_allowed", "does not take that method"),
    ("PATCH", LINK, JSON, GOOD, 405, "method_not_allowed", "does not take that method"),
    ("DELETE", "/api/v1/export", "", "", 405, "method_not_allowed", "does not take that method"),
    ("GET", "/links", "", "", 405, "method_not_allowed", "does not take that method"),
    ("GET", "/api/v1/links?page=0", "", "", 400, "query_invalid", "`page` counts from 1"),
    ("GET", "/api/v1/links?page=-1", "", "", 400, "query_invalid", "page: invalid digit"),
    ("GET", "/api/v1/links?page=4294967296", "", "", 400, "query_invalid", "number too large"),
    ("GET", "/api/v1/links?page=", "", "", 400, "query_invalid", "page: cannot parse integer"),
    ("GET", "/api/v1/links?query=%00", "", "", 400, "query_invalid", "a character that cannot be seen"),
    ("GET", "/api/v1/links?quary=a", "", "", 400, "query_invalid", "unknown field `quary`"),
    ("GET", "/api/v1/links?page=1&page=2", "", "", 400, "query_invalid", "duplicate field `page`"),
    ("GET", "/?page=x", "", "", 400, "query_invalid", "page: invalid digit"),
    ("GET", "/?edit=nothing", "", "", 404, "link_not_found", "there is no link `nothing`"),
    ("GET", "/api/v1/links/nothing", "", "", 404, "link_not_found", "there is no link `nothing`"),
    ("GET", "/api/v1/links/a%20b", "", "", 422, "slug_charset", "a name has only letters"),
    ("DELETE", "/api/v1/links/nothing", "", "", 404, "link_not_found", "there is no link `nothing`"),
    ("PUT", "/api/v1/links/livez", JSON, GOOD, 422, "slug_reserved", "reserved for the service"),
    ("PUT", "/api/v1/links/-a", JSON, GOOD, 422, "slug_start", "starts with a letter or a digit"),
    ("PUT", "/api/v1/links/%20", JSON, GOOD, 422, "slug_empty", "give the link a name"),
    ("PUT", "/api/v1/links/%ff", JSON, GOOD, 422, "slug_charset", "a name has only letters"),
    ("PUT", LINK, "", GOOD, 415, "body_type", "Content-Type: application/json"),
    ("PUT", LINK, FORM, "target=https://example.com", 415, "body_type", "Content-Type: application/json"),
    ("PUT", LINK, JSON, "", 400, "body_invalid", "EOF while parsing"),
    ("PUT", LINK, JSON, "{target}", 400, "body_invalid", "line 1 column 2"),
    ("PUT", LINK, JSON, "[]", 400, "body_invalid", "JSON"),
    ("PUT", LINK, JSON, "{}", 400, "body_invalid", "missing field `target`"),
    ("PUT", LINK, JSON, r#"{"target":1}"#, 400, "body_invalid", "expected a string"),
    ("PUT", LINK, JSON, r#"{"target":"https://a.example/","x":1}"#, 400, "body_invalid", "unknown field `x`"),
    ("PUT", LINK, JSON, r#"{"target":""}"#, 422, "target_empty", "give the address"),
    ("PUT", LINK, JSON, r#"{"target":"example.com"}"#, 422, "target_not_absolute", "not a whole URL"),
    (
        "PUT",
        LINK,
        JSON,
        r#"{"target":"javascript:alert(1)"}"#,
        422,
        "target_scheme",
        "must start with http://",
    ),
    (
        "PUT",
        LINK,
        JSON,
        r#"{"target":"https://a:b@c.example/"}"#,
        422,
        "target_credentials",
        "user name or password",
    ),
    ("PUT", LINK, JSON, r#"{"target":"https://a.example/\n"}"#, 422, "target_control", "cannot be seen"),
    ("POST", "/links", JSON, GOOD, 415, "body_type", "application/x-www-form-urlencoded"),
    ("POST", "/links", FORM, "slug=a", 400, "body_invalid", "missing field `target`"),
    ("POST", "/links/nothing/delete", FORM, "", 404, "link_not_found", "there is no link `nothing`"),
];

async fn assert_bad(service: &Service, bad: &Bad) {
    let (method, path, content_type, body, status, code, text) = *bad;
    let mut request = service.request(method, path).bearer_auth(TOKEN).body(body);
    if !content_type.is_empty() {
        request = request.header("content-type", content_type);
    }
    let answer = request.send().await.unwrap();
    let seen = answer.status().as_u16();
    let headers = answer.headers().clone();
    let problem = answer.text().await.unwrap();
    assert_eq!(seen, status, "{method} {path} {body}: {problem}");
    assert_eq!(headers["content-type"], "application/problem+json", "{method} {path}");
    assert_eq!(headers.contains_key("allow"), status == 405, "{method} {path}");
    let problem: Value = serde_json::from_str(&problem).unwrap();
    assert_eq!((&problem["code"], &problem["status"]), (&code.into(), &status.into()), "{method} {path}");
    assert_eq!(problem["type"], "about:blank");
    assert!(problem["title"].is_string());
    assert!(problem["detail"].as_str().unwrap().contains(text), "{method} {path} {body}: {problem}");
}

#[tokio::test]
async fn each_has_its_status_code_and_text() {
    let database = Database::new().await;
    let service = Service::start(&database).await;
    for bad in TABLE {
        assert_bad(&service, bad).await;
    }

    let own = format!(r#"{{"target":"http://{}/other"}}"#, service.host);
    let long = format!(r#"{{"target":"https://example.com/{}"}}"#, "x".repeat(2048));
    let huge = format!(r#"{{"target":"https://example.com/{}"}}"#, "x".repeat(20_000));
    let path = format!("/api/v1/links/{}", "a".repeat(65));
    let search = format!("/api/v1/links?query={}", "x".repeat(201));
    let (own, long, huge): (&str, &str, &str) = (own.leak(), long.leak(), huge.leak());
    let (path, search): (&str, &str) = (path.leak(), search.leak());
    for bad in [
        ("PUT", LINK, JSON, own, 422, "target_loop", "leads back to this service"),
        ("PUT", LINK, JSON, long, 422, "target_too_long", "at most 2048 bytes"),
        ("PUT", LINK, JSON, huge, 413, "body_too_large", "length limit exceeded"),
        ("PUT", path, JSON, GOOD, 422, "slug_too_long", "at most 64 characters"),
        ("GET", search, "", "", 400, "query_invalid", "at most 200 characters"),
    ] {
        assert_bad(&service, &bad).await;
    }

    let links: Value = service.get("/api/v1/links").send().await.unwrap().json().await.unwrap();
    assert_eq!(links["total"], 0, "none of them changed anything");
    let log = service.log();
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}
