//! Tokens of a real provider, good and bad ones, and its keys over time.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use timberyard_model::Timestamp;
use timberyard_testkit::http::Request;
use timberyard_testkit::oidc_provider::{OidcProvider, RSA_KEY};

use super::{Oidc, OidcSettings, ProviderClient, TokenError};

const NOW_SECONDS: i64 = 1_793_494_800;

/// Asks as the server's own client does.
struct TestClient;

impl ProviderClient for TestClient {
    fn get(&self, url: &str) -> Result<Vec<u8>, String> {
        let answer = Request::get(url).try_send()?;
        if answer.status == 200 { Ok(answer.text().into_bytes()) } else { Err(format!("{}", answer.status)) }
    }

    fn post_form(&self, _url: &str, _form: &str, _authorization: Option<&str>) -> Result<Vec<u8>, String> {
        Err("not asked here".to_owned())
    }
}

fn oidc(provider: &OidcProvider) -> Oidc {
    let settings = OidcSettings {
        issuer: provider.issuer().to_owned(),
        audiences: vec!["logs".to_owned()],
        grants: vec![
            "groups=ops * read".parse().expect("a rule"),
            "sub=* @org read+tail".parse().expect("a rule"),
        ],
        name_claim: "email".to_owned(),
        skew_seconds: 60,
        login: None,
    };
    Oidc::new(settings, Arc::new(TestClient))
}

fn claims() -> Value {
    json!({ "sub": "7", "aud": "logs", "exp": NOW_SECONDS + 300, "org": "acme", "email": "ann@example.org" })
}

/// Who shows this token, some seconds after the server's start.
async fn holder(oidc: &Oidc, token: &str, seconds: u64) -> Result<String, TokenError> {
    let now = Timestamp::from_nanos(NOW_SECONDS * 1_000_000_000);
    let holder = oidc.holder_of(token, now, Duration::from_secs(seconds)).await?;
    let client = holder.client.expect("a name");
    Ok(format!("{client} {} {}", holder.tenants, holder.scopes))
}

#[tokio::test]
async fn a_token_of_the_provider_says_who_comes_and_what_they_may() {
    let provider = OidcProvider::start();
    provider.add_key("curve");
    let oidc = oidc(&provider);
    for key in [RSA_KEY, "curve"] {
        let token = provider.token(key, &claims());
        assert_eq!(holder(&oidc, &token, 0).await.as_deref(), Ok("oidc:ann@example.org acme read,tail"));
    }
    let several = json!({ "sub": "8", "aud": ["other", "logs"], "exp": NOW_SECONDS, "groups": ["ops"] });
    let token = provider.token(RSA_KEY, &several);
    assert_eq!(
        holder(&oidc, &token, 0).await.as_deref(),
        Ok("oidc:8 * read"),
        "within the skew, by its subject"
    );
    assert_eq!(provider.asked("/keys"), 1, "keys are kept");
}

#[tokio::test]
async fn a_token_that_is_not_good_is_refused_with_its_reason() {
    let provider = OidcProvider::start();
    provider.add_key("curve");
    let oidc = oidc(&provider);
    let with = |name: &str, value: Value| {
        let mut changed = claims();
        changed[name] = value;
        provider.token(RSA_KEY, &changed)
    };
    let without = |name: &str| {
        let mut changed = claims();
        changed.as_object_mut().expect("claims").remove(name);
        provider.token(RSA_KEY, &changed)
    };
    let header = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid });
    let own = |mut claims: Value| {
        claims["iss"] = json!(provider.issuer());
        claims
    };
    let good = provider.token(RSA_KEY, &claims());
    let (signed, signature) = good.rsplit_once('.').expect("parts");
    let flipped =
        format!("{signed}.{}", signature.replacen(&signature[10..11], "_", 1).replacen("__", "-_", 1));
    let other_claims = {
        let other =
            URL_SAFE_NO_PAD.encode(own(json!({ "sub": "9", "aud": "logs", "groups": ["ops"] })).to_string());
        let head = good.split_once('.').expect("parts").0;
        format!("{head}.{other}.{signature}")
    };
    // The public key as the secret of a shared one, and no signature at all.
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let confused = format!("{}.{}", part(header("HS256", RSA_KEY)), part(own(claims())));
    let mut code = Hmac::<Sha256>::new_from_slice(&provider.rsa_modulus()).expect("any length");
    code.update(confused.as_bytes());
    let confused = format!("{confused}.{}", URL_SAFE_NO_PAD.encode(code.finalize().into_bytes()));
    let unsigned = format!("{}.{}.", part(header("none", RSA_KEY)), part(own(claims())));
    let critical = json!({ "alg": "RS256", "kid": RSA_KEY, "crit": ["exp"] });
    let algorithm = |name: &str| TokenError::Algorithm(name.to_owned());
    for (token, expected) in [
        (with("exp", json!(NOW_SECONDS - 60)), TokenError::Expired),
        (with("nbf", json!(NOW_SECONDS + 61)), TokenError::NotYet),
        (with("iat", json!(NOW_SECONDS + 61)), TokenError::NotYet),
        (without("exp"), TokenError::Claim("exp")),
        (with("exp", json!("9999999999")), TokenError::Claim("exp")),
        (with("nbf", json!("0")), TokenError::Claim("nbf")),
        (with("aud", json!("others")), TokenError::Audience),
        (without("aud"), TokenError::Audience),
        (with("iss", json!("https://evil.example")), TokenError::Issuer),
        (with("org", json!("*")), TokenError::NothingGranted),
        (flipped, TokenError::Signature),
        (other_claims, TokenError::Signature),
        (provider.signed(RSA_KEY, &header("ES256", RSA_KEY), &own(claims())), TokenError::UnknownKey),
        (provider.signed(RSA_KEY, &header("RS256", "curve"), &own(claims())), TokenError::UnknownKey),
        (provider.signed("curve", &header("ES256", "nobody's"), &own(claims())), TokenError::UnknownKey),
        (provider.signed(RSA_KEY, &header("RS384", RSA_KEY), &own(claims())), algorithm("RS384")),
        (confused, algorithm("HS256")),
        (unsigned, algorithm("none")),
        (
            provider.signed(RSA_KEY, &critical, &own(claims())),
            TokenError::Malformed("its header has critical extensions"),
        ),
    ] {
        assert_eq!(holder(&oidc, &token, 0).await, Err(expected), "{token}");
    }
    for text in ["", ".", "..", "eyJ.eyJ.x", "eyJh.b.c", "a.b.c.d"] {
        assert!(matches!(holder(&oidc, text, 0).await, Err(TokenError::Malformed(_))), "{text}");
    }
}

#[tokio::test]
async fn new_keys_are_fetched_when_a_token_names_them_and_made_up_ones_do_not_make_us_ask_on() {
    let provider = OidcProvider::start();
    let oidc = oidc(&provider);
    let old = provider.token(RSA_KEY, &claims());
    assert!(holder(&oidc, &old, 0).await.is_ok());
    provider.add_key("new");
    let new = provider.token("new", &claims());
    assert_eq!(holder(&oidc, &new, 5).await, Err(TokenError::UnknownKey), "it was asked 5 s ago");
    assert!(holder(&oidc, &new, 11).await.is_ok());
    assert!(holder(&oidc, &old, 11).await.is_ok());
    let header = json!({ "alg": "ES256", "kid": "made up" });
    let forged = provider.signed("new", &header, &claims());
    let before = provider.asked("/keys");
    for tenth in 0..200 {
        assert_eq!(holder(&oidc, &forged, 30 + tenth / 10).await, Err(TokenError::UnknownKey));
    }
    assert_eq!(provider.asked("/keys") - before, 2, "in 20 s");
}

#[tokio::test]
async fn known_keys_are_good_for_a_day_without_their_provider_and_nothing_is_without_any() {
    let provider = OidcProvider::start();
    let token = provider.token(RSA_KEY, &claims());
    provider.set_down(true);
    let strange = oidc(&provider);
    assert_eq!(holder(&strange, &token, 0).await, Err(TokenError::NoKeys));
    assert_eq!(holder(&strange, &token, 9).await, Err(TokenError::NoKeys));
    assert_eq!(provider.asked("/.well-known/openid-configuration"), 1, "not with every token");
    provider.set_down(false);
    assert!(holder(&strange, &token, 10).await.is_ok());
    provider.set_down(true);
    for hours in [0, 1, 5, 23] {
        assert!(holder(&strange, &token, 20 + hours * 3600).await.is_ok(), "after {hours} hours");
    }
    assert_eq!(holder(&strange, &token, 10 + 24 * 3600).await, Err(TokenError::NoKeys));
}

#[tokio::test]
async fn a_document_of_another_issuer_is_not_believed() {
    let provider = OidcProvider::start();
    let settings = OidcSettings { issuer: format!("{}/", provider.issuer()), ..oidc(&provider).settings };
    let other = Oidc::new(settings, Arc::new(TestClient));
    let mut of_other = claims();
    of_other["iss"] = json!(format!("{}/", provider.issuer()));
    let token = provider.token(RSA_KEY, &of_other);
    assert_eq!(holder(&other, &token, 0).await, Err(TokenError::NoKeys));
}
