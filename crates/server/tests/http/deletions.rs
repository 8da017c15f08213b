//! `/loki/api/v1/delete`, word for word as Loki answers it.

use std::sync::Mutex;

use axum::body::Body;
use axum::http::Method;
use timberyard_model::{RowSelector, TenantId, Timestamp};
use timberyard_server::Deletions;
use timberyard_server::deletions::{
    CancelError, DeleteError, Deletion, DeletionFuture, WantedCancellation, WantedDeletion,
};
use timberyard_server::operations::OperationFuture;

use crate::harness::{Answer, NOW, TestServer};
use crate::rules::with_keys;

/// Remembers what was deleted, hides nothing; nothing is called off after an hour without force.
#[derive(Default)]
pub(crate) struct TestDeletions(Mutex<Vec<(TenantId, RowSelector, Deletion)>>);

impl TestDeletions {
    fn count(&self) -> usize {
        self.0.lock().expect("nobody panicked").len()
    }
}

impl Deletions for TestDeletions {
    fn delete(&self, wanted: WantedDeletion, now: Timestamp) -> DeletionFuture<'_, String, DeleteError> {
        let WantedDeletion { tenant, selector, query } = wanted;
        let mut all = self.0.lock().expect("nobody panicked");
        let id = format!("{:08x}", all.len() + 1);
        let deletion = Deletion {
            id: id.clone(),
            query,
            range: selector.range,
            created_at: now,
            is_carried_out: false,
            problem: None,
        };
        all.push((tenant, selector, deletion));
        Box::pin(std::future::ready(Ok(id)))
    }

    fn list(&self, tenant: TenantId) -> OperationFuture<'_, Vec<Deletion>> {
        let all = self.0.lock().expect("nobody panicked");
        let own = all.iter().filter(|(owner, ..)| *owner == tenant).map(|(.., deletion)| deletion.clone());
        Box::pin(std::future::ready(Ok(own.collect())))
    }

    fn cancel(&self, wanted: WantedCancellation, now: Timestamp) -> DeletionFuture<'_, (), CancelError> {
        let WantedCancellation { tenant, id, force } = wanted;
        let mut all = self.0.lock().expect("nobody panicked");
        let place = all.iter().position(|(owner, _, deletion)| *owner == tenant && deletion.id == id);
        let outcome = match place.map(|place| (place, &all[place].2)) {
            None => Err(CancelError::NotFound),
            Some((_, deletion)) if deletion.is_carried_out => Err(CancelError::CarriedOut),
            Some((_, deletion)) if now > deletion.created_at && !force => {
                Err(CancelError::Late { period_seconds: 86_400 })
            }
            Some((place, _)) => {
                all.remove(place);
                Ok(())
            }
        };
        Box::pin(std::future::ready(outcome))
    }
}

async fn ask(server: &TestServer, method: Method, parameters: &[(&str, &str)]) -> Answer {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    server.request(method, &format!("/loki/api/v1/delete?{query}"), &[], Body::empty()).await
}

const RANGE: [(&str, &str); 2] = [("start", "0000000000"), ("end", "0000000001")];

#[tokio::test]
async fn a_deletion_is_taken_listed_and_called_off() {
    let server = TestServer::new();
    let query = r#"{app="api"} |= "secret""#;
    for method in [Method::POST, Method::PUT] {
        let answer = ask(&server, method, &[("query", query), RANGE[0], RANGE[1]]).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (204, ""));
    }
    let answer = ask(&server, Method::POST, &[("query", query), RANGE[0]]).await;
    assert_eq!(answer.header("x-delete-request-id"), "00000003");
    let listed = ask(&server, Method::GET, &[]).await;
    assert_eq!(listed.header("content-type"), "application/json");
    let listed = listed.json();
    assert_eq!(listed.as_array().map(Vec::len), Some(3));
    assert_eq!(
        listed[0],
        serde_json::json!({
            "request_id": "00000001", "start_time": 0, "end_time": 1, "query": query, "status": "received",
            "created_at": NOW.as_millis() / 1000, "user_id": "",
        })
    );
    assert_eq!(listed[2]["end_time"], NOW.as_millis() / 1000, "until now");
    let later = [("start", "0000000002"), ("end", "0000000003")];
    let overlapping = ask(&server, Method::GET, &later).await.json();
    assert_eq!(overlapping.as_array().map(Vec::len), Some(1));

    let cancelled = ask(&server, Method::DELETE, &[("request_id", "00000002")]).await;
    assert_eq!((cancelled.status.as_u16(), cancelled.text().as_str()), (204, ""));
    let again = ask(&server, Method::DELETE, &[("request_id", "00000002")]).await;
    assert_eq!(again.status, 404);
    assert_eq!(again.text(), "could not find delete request with given id\n");
    let tenant = TenantId::default();
    server.deletions.0.lock().expect("nobody panicked")[0].2.is_carried_out = true;
    let late = server.deletions.list(tenant).await.expect("listed");
    assert!(late[0].is_carried_out);
    let done = ask(&server, Method::DELETE, &[("request_id", "00000001")]).await;
    assert_eq!(done.status, 400);
    assert_eq!(done.text(), "deletion of request which is in process or already processed is not allowed\n");
}

#[tokio::test]
async fn one_past_its_deadline_is_called_off_by_force_only() {
    let server = TestServer::new();
    ask(&server, Method::POST, &[("query", "{a=\"b\"}"), RANGE[0]]).await;
    server.deletions.0.lock().expect("nobody panicked")[0].2.created_at = Timestamp::from_nanos(0);
    for (force, status) in [("", 400), ("yes", 400), ("true", 204)] {
        let answer = ask(&server, Method::DELETE, &[("request_id", "00000001"), ("force", force)]).await;
        assert_eq!(answer.status, status, "{force}");
        if status == 400 {
            assert_eq!(
                answer.text(),
                "Cancellation of partially completed delete request or delete request past the deadline of 24h0m0s \
                 since its creation is not allowed. To force, use the ?force query parameter\n"
            );
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_in_lokis_words() {
    let server = TestServer::new();
    let filtered = r#"{foo="bar"} |= "foo""#;
    for (query, start, end, interval, reason) in [
        ("", "0000000000", "0000000001", "", "query not set\n"),
        ("not a query", "0000000000", "0000000001", "", "invalid query expression\n"),
        (r#"{a="b"}"#, "", "0000000001", "", "start time not set\n"),
        (r#"{a="b"}"#, "1", "", "", "invalid start time: require unix seconds or RFC3339 format\n"),
        (r#"{a="b"}"#, "0000000000", "9999999999", "", "deletes in the future are not allowed\n"),
        (
            filtered,
            "0000000000",
            "0000000001",
            "x",
            "invalid max_interval: valid time units are 's', 'm', 'h'\n",
        ),
        (
            filtered,
            "0000000000",
            "0000000001",
            "1ms",
            "invalid max_interval: valid time units are 's', 'm', 'h'\n",
        ),
        (filtered, "0000000000", "0000000001", "25h", "max_interval can't be greater than 24h0m0s\n"),
        (
            filtered,
            "0000000000",
            "0000000001",
            "30s",
            "max_interval can't be greater than the interval to be deleted (1s)\n",
        ),
        (
            r#"{a="b"} | line_format "{{ nothing }}" |= "x""#,
            "0000000000",
            "0000000001",
            "",
            "invalid query expression: parse error : stage",
        ),
    ] {
        let parameters = [("query", query), ("start", start), ("end", end), ("max_interval", interval)];
        let answer = ask(&server, Method::POST, &parameters).await;
        assert_eq!(answer.status, 400, "{query} {start} {end} {interval}");
        assert!(answer.text().starts_with(reason), "{}", answer.text());
    }
    assert_eq!(server.deletions.count(), 0);
    // Without a line filter Loki does not look at it.
    let whole = [("query", r#"{a="b"}"#), RANGE[0], RANGE[1], ("max_interval", "30s")];
    assert_eq!(ask(&server, Method::POST, &whole).await.status, 204);
}

#[tokio::test]
async fn deleting_needs_the_admin_scope() {
    let server = with_keys();
    for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE] {
        assert_eq!(ask(&server, method, &[("query", "{a=\"b\"}"), RANGE[0]]).await.status, 401);
    }
    assert_eq!(server.deletions.count(), 0);
}
