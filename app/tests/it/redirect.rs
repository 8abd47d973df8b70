//! `GET /{slug}`

use crate::database::Database;
use crate::service::Service;
use sqlx::Executor;

#[tokio::test]
async fn a_link_redirects_and_each_click_counts() {
    let database = Database::new().await;
    let service = Service::start(&database).await;
    service.put("wiki", "https://wiki.example.com/start").send().await.unwrap();

    for path in ["/wiki", "/Wiki", "/wiki?from=mail"] {
        let answer = service.get(path).send().await.unwrap();
        assert_eq!(answer.status(), 307, "{path}");
        assert_eq!(answer.headers()["location"], "https://wiki.example.com/start");
    }
    assert_eq!(service.request("HEAD", "/wiki").send().await.unwrap().status(), 307);
    service.wait_for_clicks("wiki", 3).await;
}

#[tokio::test]
async fn clicks_that_cannot_be_written_are_kept_and_stop_no_redirect() {
    let database = Database::new().await;
    let service = Service::start(&database).await;
    service.put("wiki", "https://wiki.example.com/").send().await.unwrap();
    let mut connection = database.connect().await;

    connection.execute("alter table clicks rename to clicks_away").await.unwrap();
    assert_eq!(service.get("/wiki").send().await.unwrap().status(), 307);
    while !service.log().contains("clicks could not be written; they are kept") {
        tokio::task::yield_now().await;
    }
    assert_eq!(service.get("/wiki").send().await.unwrap().status(), 307);
    connection.execute("alter table clicks_away rename to clicks").await.unwrap();
    service.wait_for_clicks("wiki", 2).await;
}
