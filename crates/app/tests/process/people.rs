//! People of an OpenID provider, with the server's own client and clock.

use serde_json::json;
use timberyard_testkit::oidc_provider::{OidcProvider, RSA_KEY};

use crate::clock::{SECOND, now};
use crate::start::{configured, settings};

#[test]
fn tokens_of_a_configured_provider_are_taken_and_browsers_are_sent_to_it() {
    let provider = OidcProvider::start();
    let yaml = format!(
        "auth:\n  oidc:\n    issuer: {}\n    client_id: logs\n    redirect_url: http://127.0.0.1:1/auth/callback\n    grants:\n    \
         - groups=acme acme push+read\n",
        provider.issuer()
    );
    let (settings, _file) = configured(&yaml);
    let server = settings.start();
    server.get("/labels").send().expect_status(401);
    let claims = |expires: i64| json!({ "sub": "ann", "aud": "logs", "exp": expires, "groups": ["acme"] });
    let ask = |token: &str| server.get("/labels").header("Authorization", &format!("Bearer {token}")).send();
    let in_a_minute = now() / SECOND + 60;
    ask(&provider.token(RSA_KEY, &claims(in_a_minute))).expect_status(200);
    let over = ask(&provider.token(RSA_KEY, &claims(in_a_minute - 3600))).expect_status(401);
    assert!(over.header("WWW-Authenticate").is_some_and(|challenge| challenge.contains("expired")));
    let sent = server.get("/auth/login").send().expect_status(303);
    let to = sent.header("Location").expect("a place").to_owned();
    let callback = provider.authorize(&to, &claims(in_a_minute));
    let cookie = |value: &str| value.split(';').next().expect("a pair").to_owned();
    let own = cookie(sent.header("Set-Cookie").expect("a cookie"));
    let back = server.get(&callback).header("Cookie", &own).send().expect_status(303);
    let session = cookie(back.header("Set-Cookie").expect("a cookie"));
    server.get("/labels").header("Cookie", &session).send().expect_status(200);
    assert!(!server.log().contains("code-0"), "what stands in a URL is not logged");
}

#[test]
fn a_provider_that_lets_in_nobody_or_everybody_is_no_setting() {
    let refused = settings().env("TIMBERYARD_AUTH_OIDC_ISSUER", "http://id.example.org");
    let (status, said) = refused.start_refused("127.0.0.1:0");
    assert_eq!(status.code(), Some(2), "{said}");
    for part in ["is no https:// URL", "`auth.oidc.audiences` is empty", "`auth.oidc.grants` is empty"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
