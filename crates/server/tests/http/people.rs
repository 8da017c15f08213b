//! People of an OpenID provider: their tokens on every surface, and browsers that log in, stay logged in, and log out.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};
use timberyard_server::auth::{LoginSettings, OidcSettings, ProviderClient, Secret};
use timberyard_testkit::http::Request;
use timberyard_testkit::oidc_provider::{OidcProvider, RSA_KEY};

use crate::harness::{Answer, NOW, TestServer};

/// Asks the provider as the server's own client does.
pub(crate) struct TestProviderClient;

impl TestProviderClient {
    fn body(request: &Request) -> Result<Vec<u8>, String> {
        let answer = request.try_send()?;
        if answer.status == 200 { Ok(answer.text().into_bytes()) } else { Err(answer.status.to_string()) }
    }
}

impl ProviderClient for TestProviderClient {
    fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        Self::body(&Request::get(url))
    }

    fn post_form(&self, url: &str, form: &str, authorization: Option<&str>) -> Result<Vec<u8>, String> {
        // `logs` and `hush/hush`, escaped.
        assert_eq!(authorization, Some("Basic bG9nczpodXNoJTJGaHVzaA=="));
        Self::body(&Request::post(url).body(form))
    }
}

fn server(provider: &OidcProvider) -> TestServer {
    let rule = |text: &str| text.parse().expect("a rule");
    let settings = OidcSettings {
        issuer: provider.issuer().to_owned(),
        audiences: vec!["logs".to_owned()],
        grants: vec![rule("groups=ops * push+read+tail+delete+admin"), rule("groups=acme acme push+read")],
        name_claim: "sub".to_owned(),
        skew_seconds: 60,
        login: Some(LoginSettings {
            client_id: "logs".to_owned(),
            client_secret: Some(Secret::new("hush/hush")),
            redirect_url: "https://logs.example.org/auth/callback".to_owned(),
            scopes: "openid email".to_owned(),
            session_seconds: 3600,
        }),
    };
    TestServer::with(|server| {
        server.auth.enabled = true;
        server.auth.oidc = Some(settings);
    })
}

fn claims(group: &str) -> Value {
    json!({ "sub": "ann", "aud": "logs", "exp": NOW.as_nanos() / 1_000_000_000 + 300, "groups": [group] })
}

/// Everything that is not open to all, as the document of the API has it.
async fn guarded(server: &TestServer) -> Vec<(Method, String)> {
    let document = server.get("/openapi.json").await.json();
    let paths = document["paths"].as_object().expect("paths").clone();
    let operations = paths.into_iter().flat_map(|(path, methods)| {
        let methods = methods.as_object().expect("methods").clone();
        let guarded = methods.into_iter().filter(|(_, operation)| operation["security"] != json!([]));
        guarded.map(move |(method, _)| {
            let method = method.to_uppercase().parse().expect("a method");
            (method, path.replace(['{', '}'], ""))
        })
    });
    operations.collect()
}

#[tokio::test]
async fn a_bearers_token_counts_on_every_surface_and_one_that_has_expired_on_none() {
    let provider = OidcProvider::start();
    let server = server(&provider);
    let good = format!("Bearer {}", provider.token(RSA_KEY, &claims("ops")));
    let mut over = claims("ops");
    over["exp"] = json!(1);
    let over = format!("Bearer {}", provider.token(RSA_KEY, &over));
    let nobody = format!("Bearer {}", provider.token(RSA_KEY, &claims("guests")));
    let operations = guarded(&server).await;
    assert!(operations.len() > 50);
    for (method, path) in operations {
        let ask = async |token: &str| {
            let headers = [("authorization", token), ("content-type", "application/json")];
            server.request(method.clone(), &path, &headers, Body::empty()).await
        };
        let refused = ask(&over).await;
        assert_eq!(refused.status, 401, "{method} {path}");
        let challenge = refused.header("www-authenticate");
        assert!(
            challenge.contains(r#"error="invalid_token""#) && challenge.contains("expired"),
            "{challenge}"
        );
        assert_eq!(ask(&nobody).await.status, 403, "{method} {path}");
        let taken = ask(&good).await;
        assert!(taken.status != 401 && taken.status != 403, "{method} {path}: {}", taken.text());
    }
}

#[tokio::test]
async fn a_person_has_the_tenants_and_scopes_of_their_grant() {
    let provider = OidcProvider::start();
    let server = server(&provider);
    let token = format!("Bearer {}", provider.token(RSA_KEY, &claims("acme")));
    let ask = async |method, path: &str, tenant: Option<&str>| {
        let own = [("authorization", token.as_str()), ("content-type", "application/json")];
        let tenant = tenant.map(|tenant| ("x-scope-orgid", tenant));
        let headers: Vec<(&str, &str)> = own.into_iter().chain(tenant).collect();
        server.request(method, path, &headers, r#"[{"message":"hello"}]"#).await
    };
    let sent = ask(Method::POST, "/v1/logs", None).await;
    assert_eq!(sent.status, 202, "{}", sent.text());
    assert_eq!(
        server.store.entries()[0].tenant.as_str(),
        "acme",
        "the only tenant counts when none is named"
    );
    assert_eq!(ask(Method::GET, "/labels", None).await.status, 200);
    assert_eq!(ask(Method::GET, "/labels", Some("bravo")).await.status, 403);
    for path in ["/flush", "/admin/keys", "/ticket"] {
        let method = if path == "/admin/keys" { Method::GET } else { Method::POST };
        assert_eq!(ask(method, path, None).await.status, 403, "{path}");
    }
}

/// What a browser keeps of an answer, as it sends it back.
fn cookies(answer: &Answer) -> Vec<String> {
    let set = answer.headers.get_all("set-cookie").iter();
    set.map(|cookie| cookie.to_str().expect("text").split(';').next().expect("a pair").to_owned()).collect()
}

async fn log_in(server: &TestServer, provider: &OidcProvider, path: &str) -> (Answer, String) {
    let sent = server.get(path).await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    let callback = provider.authorize(sent.header("location"), &claims("acme"));
    let own = cookies(&sent).join("; ");
    (server.request(Method::GET, &callback, &[("cookie", &own)], Body::empty()).await, callback)
}

#[tokio::test]
async fn a_browser_logs_in_asks_and_logs_out() {
    let provider = OidcProvider::start();
    let server = server(&provider);
    let (answer, callback) = log_in(&server, &provider, "/auth/login?to=/explore?a=b").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, "/explore?a=b"),
        "{}",
        answer.text()
    );
    let set = answer.header("set-cookie");
    for part in ["timberyard_session=", "HttpOnly", "SameSite=Lax", "Secure", "Path=/", "Max-Age=3600"] {
        assert!(set.contains(part), "{part}: {set}");
    }
    let session = cookies(&answer)[0].clone();
    let ask = async |method, path: &str, headers: &[(&str, &str)]| {
        let headers =
            [headers, &[("cookie", session.as_str()), ("content-type", "application/json")]].concat();
        let body = if path == "/v1/logs" { r#"[{"message":"a"}]"# } else { "" };
        server.request(method, path, &headers, body).await
    };
    assert_eq!(ask(Method::GET, "/labels", &[]).await.status, 200);
    assert_eq!(ask(Method::GET, "/labels", &[("x-scope-orgid", "bravo")]).await.status, 403);
    // A page of a stranger has the browser send the cookie along.
    for origin in [None, Some(("origin", "https://evil.example")), Some(("origin", "null"))] {
        let headers: Vec<(&str, &str)> = origin.into_iter().collect();
        assert_eq!(ask(Method::POST, "/v1/logs", &headers).await.status, 403, "{origin:?}");
        assert_eq!(ask(Method::POST, "/auth/logout", &headers).await.status, 403, "{origin:?}");
        let upgrade = [&headers[..], &[("upgrade", "websocket")]].concat();
        assert_eq!(ask(Method::GET, "/loki/api/v1/tail", &upgrade).await.status, 403, "{origin:?}");
    }
    let own = [("origin", "http://localhost")];
    assert_eq!(ask(Method::POST, "/v1/logs", &own).await.status, 202);
    let replayed = server.request(Method::GET, &callback, &[], Body::empty()).await;
    assert_eq!(replayed.status, 400, "without the cookie of this login");
    let left = ask(Method::POST, "/auth/logout", &own).await;
    assert_eq!(left.json()["redirect"], format!("{}/logout", provider.issuer()));
    assert!(left.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(ask(Method::GET, "/labels", &[]).await.status, 401);
}

#[tokio::test]
async fn a_login_ends_in_the_browser_that_began_it_and_once() {
    let provider = OidcProvider::start();
    let server = server(&provider);
    let sent = server.get("/auth/login?to=//evil.example/").await;
    let callback = provider.authorize(sent.header("location"), &claims("acme"));
    let own = cookies(&sent).join("; ");
    let others = cookies(&server.get("/auth/login").await).join("; ");
    let back = async |cookie: &str, path: &str| {
        server.request(Method::GET, path, &[("cookie", cookie)], Body::empty()).await
    };
    assert_eq!(back(&others, &callback).await.json()["error"], "login_failed", "somebody else's browser");
    assert_eq!(back("timberyard_login=made.up", &callback).await.status, 400);
    let denied = callback.replace("code=", "error=access_denied&ignored=");
    assert_eq!(back(&own, &denied).await.status, 403);
    let done = back(&own, &callback).await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "/"), "nobody is sent elsewhere");
    assert_eq!(back(&own, &callback).await.status, 503, "the provider takes a code once");
}

#[tokio::test]
async fn a_token_of_another_login_opens_no_session() {
    let provider = OidcProvider::start();
    let server = server(&provider);
    let first = server.get("/auth/login").await;
    let second = server.get("/auth/login").await;
    // The code of one login, with the state and cookie of another.
    let stolen = provider.authorize(first.header("location"), &claims("ops"));
    let code = stolen.split_once('&').expect("a code").0;
    let own = provider.authorize(second.header("location"), &claims("acme"));
    let state = own.split_once('&').expect("a state").1;
    let cookie = cookies(&second).join("; ");
    let answer =
        server.request(Method::GET, &format!("{code}&{state}"), &[("cookie", &cookie)], Body::empty()).await;
    assert_eq!(answer.status, 503, "its verifier is another: {}", answer.text());
}

#[tokio::test]
async fn without_a_provider_nobody_logs_in() {
    let server = TestServer::new();
    for (method, path) in
        [(Method::GET, "/auth/login"), (Method::GET, "/auth/callback"), (Method::POST, "/auth/logout")]
    {
        let answer = server.request(method, path, &[], Body::empty()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["error"].as_str()),
            (404, Some("no_login")),
            "{path}"
        );
    }
}

/// The provider client of a server whose settings have a provider.
pub(crate) fn client_of(settings: &timberyard_server::ServerSettings) -> Option<Arc<dyn ProviderClient>> {
    settings.auth.oidc.as_ref().map(|_| Arc::new(TestProviderClient) as Arc<dyn ProviderClient>)
}
