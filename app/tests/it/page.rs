//! The page and its forms, as a browser uses them.

use crate::database::Database;
use crate::service::{Service, TOKEN};
use reqwest::RequestBuilder;
use sqlx::Executor;

fn form(service: &Service, path: &str, fields: &str) -> RequestBuilder {
    service
        .request("POST", path)
        .basic_auth("anybody", Some(TOKEN))
        .header("accept", "text/html")
        .header("origin", format!("http://{}", service.host))
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(fields.to_owned())
}

async fn page(service: &Service, path: &str) -> String {
    let answer = service.get(path).header("accept", "text/html").send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

#[tokio::test]
async fn the_page_shows_links_and_their_clicks_by_day() {
    let database = Database::new().await;
    let service = Service::start(&database).await;
    service.put("wiki", "https://wiki.example.com/").send().await.unwrap();
    service.put("lunch", "https://lunch.example.com/").send().await.unwrap();
    let mut connection = database.connect().await;
    connection
        .execute(
            "insert into clicks select 'wiki', (now() at time zone 'utc')::date - n, 1000 * (n + 1)
             from generate_series(0, 1) as n;
             insert into clicks values ('lunch', (now() at time zone 'utc')::date, 7)",
        )
        .await
        .unwrap();

    let all = page(&service, "/").await;
    assert!(all.contains("https://wiki.example.com/") && all.contains("href=\"/lunch\""));
    assert!(all.contains("<svg") && all.contains("role=\"img\"") && !all.contains("<script"));
    assert!(all.contains("3007 clicks in all, at most 2000 on "), "{all}");
    assert_eq!(all.matches("<rect").count(), 90);
    let one = page(&service, "/?edit=lunch").await;
    assert!(one.contains("7 clicks in all, at most 7 on "), "{one}");
    let found = page(&service, "/?query=lun").await;
    assert!(found.contains("href=\"/lunch\"") && !found.contains("href=\"/wiki\""));
}

#[tokio::test]
async fn the_form_adds_edits_and_deletes() {
    let database = Database::new().await;
    let service = Service::start(&database).await;

    let added = form(&service, "/links", "slug=wiki&target=https://a.example.com/").send().await.unwrap();
    assert_eq!(
        (added.status().as_u16(), &added.headers()["location"]),
        (303, &"/?saved=wiki".parse().unwrap())
    );
    assert!(page(&service, "/?saved=wiki").await.contains("wiki is saved."));

    let edit = "slug=wiki&target=https://b.example.com/&edit=true";
    assert_eq!(form(&service, "/links", edit).send().await.unwrap().status(), 303);
    assert!(page(&service, "/").await.contains("https://b.example.com/"));

    let deleted = form(&service, "/links/wiki/delete", "").send().await.unwrap();
    assert_eq!(deleted.headers()["location"], "/?deleted=wiki");
    assert!(page(&service, "/?deleted=wiki").await.contains("wiki is deleted."));
}

#[tokio::test]
async fn a_refused_form_keeps_what_was_typed_and_says_what_is_wrong() {
    let database = Database::new().await;
    let service = Service::start(&database).await;
    service.put("wiki", "https://wiki.example.com/").send().await.unwrap();

    for (fields, kept, reason) in [
        ("slug=a b&target=https://x.example.com/", "value=\"a b\"", "a name has only letters"),
        ("slug=api&target=https://x.example.com/", "value=\"api\"", "reserved for the service"),
        ("slug=a&target=x.example.com", "value=\"x.example.com\"", "not a whole URL"),
        ("slug=&target=", "value=\"\"", "give the link a name"),
        ("slug=wiki&target=https://x.example.com/", "https://x.example.com/", "there is a link wiki already"),
    ] {
        let answer = form(&service, "/links", fields).send().await.unwrap();
        assert_eq!(answer.status(), 422, "{fields}");
        let page = answer.text().await.unwrap();
        assert!(page.contains(kept) && page.contains(reason), "{fields}: {page}");
    }
    assert!(page(&service, "/").await.contains("https://wiki.example.com/"), "nothing was replaced");
}

#[tokio::test]
async fn what_people_type_never_becomes_markup() {
    let database = Database::new().await;
    let service = Service::start(&database).await;
    let evil = "https://example.com/?a=\"><script>alert(1)</script>";
    // As somebody with psql could write it; the service itself would encode it.
    sqlx::query("insert into links (slug, target) values ('evil', $1)")
        .bind(evil)
        .execute(&mut database.connect().await)
        .await
        .unwrap();

    let script = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E";
    for path in ["/", "/?edit=evil", &format!("/?query={script}"), &format!("/?new={script}&saved={script}")]
    {
        assert!(!page(&service, path).await.contains("<script"), "{path}");
    }
    let refused = form(&service, "/links", &format!("slug={script}&target={script}")).send().await.unwrap();
    assert_eq!(refused.status(), 422);
    assert!(!refused.text().await.unwrap().contains("<script"));
}

#[tokio::test]
async fn errors_are_pages_for_browsers_and_a_missing_link_can_be_made() {
    let database = Database::new().await;
    let service = Service::start(&database).await;
    let missing = service.get("/handbook").header("accept", "text/html,*/*").send().await.unwrap();
    assert_eq!(missing.status(), 404);
    assert_eq!(missing.headers()["content-type"], "text/html; charset=utf-8");
    let text = missing.text().await.unwrap();
    assert!(text.contains("href=\"/?new=handbook#form\""), "{text}");
    assert!(page(&service, "/?new=handbook").await.contains("value=\"handbook\""));

    let api = service.get("/api/v1/links/handbook").header("accept", "text/html").send().await.unwrap();
    assert_eq!(api.headers()["content-type"], "application/problem+json");
}

#[tokio::test]
async fn the_stylesheet_is_kept_until_it_changes() {
    let database = Database::new().await;
    let service = Service::start(&database).await;
    let page = page(&service, "/").await;
    let start = page.find("/static/style.css?v=").unwrap();
    let url = page[start..].split('"').next().unwrap();
    let answer = service.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/css; charset=utf-8");
    assert!(answer.headers()["cache-control"].to_str().unwrap().contains("immutable"));
}
