//! The JSON API.

use crate::database::Database;
use crate::service::{Service, TOKEN};
use serde_json::Value;

async fn list(service: &Service, query: &str) -> Value {
    service.get(&format!("/api/v1/links{query}")).send().await.unwrap().json().await.unwrap()
}

fn slugs(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|link| link["slug"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_link_is_made_read_changed_and_deleted() {
    let database = Database::new().await;
    let service = Service::start(&database).await;
    let path = "/api/v1/links/wiki";

    let made = service.put("WIKI", "https://Wiki.example.com").send().await.unwrap();
    assert_eq!(made.status(), 201);
    let made: Value = made.json().await.unwrap();
    assert_eq!(made["slug"], "wiki");
    assert_eq!(made["target"], "https://wiki.example.com/");
    assert_eq!(made["clicks"], 0);

    let changed = service.put("wiki", "https://wiki.example.com/new").send().await.unwrap();
    assert_eq!(changed.status(), 200);
    let read: Value = service.get(path).send().await.unwrap().json().await.unwrap();
    assert_eq!(read["target"], "https://wiki.example.com/new");
    assert_eq!(read["created_at"], made["created_at"]);

    let delete = || service.request("DELETE", path).bearer_auth(TOKEN).send();
    assert_eq!(delete().await.unwrap().status(), 204);
    assert_eq!(delete().await.unwrap().status(), 404);
    assert_eq!(service.get(path).send().await.unwrap().status(), 404);
    assert_eq!(service.get("/wiki").send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn links_are_found_by_name_and_target_page_by_page() {
    let database = Database::new().await;
    let service = Service::start(&database).await;
    for number in 0..23 {
        let target = format!("https://example.com/{}", if number == 7 { "Special_%25" } else { "plain" });
        service.put(&format!("link-{number:02}"), &target).send().await.unwrap();
    }

    let first = list(&service, "").await;
    assert_eq!((&first["page"], &first["per_page"], &first["total"]), (&1.into(), &20.into(), &23.into()));
    assert_eq!(slugs(&first)[..2], ["link-00", "link-01"]);
    assert_eq!(slugs(&list(&service, "?page=2").await), ["link-20", "link-21", "link-22"]);
    assert_eq!(slugs(&list(&service, "?page=4294967295").await), Vec::<&str>::new());

    assert_eq!(slugs(&list(&service, "?query=K-1&page=1").await).len(), 10);
    // Neither `_` nor `%` is a pattern.
    assert_eq!(slugs(&list(&service, "?query=special_%2525").await), ["link-07"]);
    assert_eq!(list(&service, "?query=link_").await["total"], 0);
}

#[tokio::test]
async fn every_answer_has_the_request_id_and_safe_headers() {
    let database = Database::new().await;
    let service = Service::start(&database).await;
    for path in ["/", "/api/v1/links", "/nothing-here", "/static/style.css"] {
        let answer = service.get(path).header("x-request-id", "from-the-proxy").send().await.unwrap();
        let headers = answer.headers();
        assert_eq!(headers["x-request-id"], "from-the-proxy", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "same-origin");
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{policy}");
    }
    assert!(service.get("/").send().await.unwrap().headers().contains_key("x-request-id"));
}
