//! A small OpenID provider on a loopback port: discovery, keys, tokens of any claims, and the code flow with PKCE.
//!
//! It signs with real keys: one of RSA, which is committed and worth nothing, and as many on P-256 as a test makes.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

/// The id of the RSA key.
pub const RSA_KEY: &str = "rsa";

/// A provider, until the test ends.
pub struct OidcProvider {
    issuer: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    keys: Vec<(String, SigningKey)>,
    codes: HashMap<String, Code>,
    asked: HashMap<String, usize>,
    is_down: bool,
    /// Whom browsers are let in as, and the server that they are sent back to.
    person: Option<(Value, String)>,
}

enum SigningKey {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

/// What a code stands for, and the form that it is good with.
struct Code {
    id_token: String,
    challenge: String,
    redirect_uri: String,
}

impl OidcProvider {
    /// Starts one with the RSA key.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let issuer = format!("http://{}/realm", listener.local_addr().expect("an address"));
        let key = RsaKeyPair::from_der(include_bytes!("../fixtures/rsa-2048.der")).expect("a key");
        let state = State { keys: vec![(RSA_KEY.to_owned(), SigningKey::Rsa(key))], ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let (served, own) = (Arc::clone(&state), issuer.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is no business of the provider's.
                let provider = Self { issuer: own.clone(), state: Arc::clone(&served) };
                let _ = answer(stream, &provider);
            }
        });
        Self { issuer, state }
    }

    /// Its name in tokens, below which its documents lie.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Makes a key on P-256 and lists it.
    pub fn add_key(&self, id: &str) {
        let random = SystemRandom::new();
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random);
        self.state().keys.push((id.to_owned(), SigningKey::P256(key.expect("a key"))));
    }

    /// Answers nothing any more, or again.
    pub fn set_down(&self, is_down: bool) {
        self.state().is_down = is_down;
    }

    /// How often a path below the issuer was asked for.
    pub fn asked(&self, path: &str) -> usize {
        self.state().asked.get(path).copied().unwrap_or(0)
    }

    /// A token with these claims, signed with a key; `iss` is added where it is missing.
    pub fn token(&self, key: &str, claims: &Value) -> String {
        let mut claims = claims.clone();
        if claims.get("iss").is_none() {
            claims["iss"] = json!(self.issuer);
        }
        let header = json!({ "alg": self.state().algorithm(key), "kid": key, "typ": "JWT" });
        self.signed(key, &header, &claims)
    }

    /// A token of any header and claims.
    pub fn signed(&self, key: &str, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = self.state().sign(key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The modulus of the RSA key, which everybody knows.
    pub fn rsa_modulus(&self) -> Vec<u8> {
        match self.state().keys.first() {
            Some((_, SigningKey::Rsa(key))) => {
                let public: PublicKeyComponents<Vec<u8>> = key.public().into();
                public.n
            }
            _ => unreachable!("the RSA key is the first"),
        }
    }

    /// What a browser does that was sent to this URL, and whose person lets this server in as somebody with these claims:
    /// the path and query of the callback that it is sent to.
    pub fn authorize(&self, url: &str, claims: &Value) -> String {
        let (endpoint, query) = url.split_once('?').expect("a query");
        assert_eq!(endpoint, format!("{}/authorize", self.issuer));
        let query = pairs(query);
        assert_eq!((&*query["response_type"], &*query["code_challenge_method"]), ("code", "S256"));
        assert!(query["scope"].split(' ').any(|scope| scope == "openid"));
        let mut claims = claims.clone();
        claims["nonce"] = json!(query["nonce"]);
        claims["aud"] = json!(query["client_id"]);
        let id_token = self.token(RSA_KEY, &claims);
        let mut state = self.state();
        let code = format!("code-{}", state.codes.len());
        let redirect_uri = query["redirect_uri"].clone();
        let challenge = query["code_challenge"].clone();
        state.codes.insert(code.clone(), Code { id_token, challenge, redirect_uri: redirect_uri.clone() });
        let path = redirect_uri.splitn(4, '/').nth(3).expect("a path");
        format!("/{path}?code={code}&state={}", crate::http::percent_encode(&query["state"]))
    }

    /// From now on lets every browser in as somebody with these claims, and sends it back to a server, such as
    /// `http://127.0.0.1:8080`, whatever the port in its redirect URL.
    pub fn let_in(&self, claims: &Value, server: &str) {
        self.state().person = Some((claims.clone(), server.trim_end_matches('/').to_owned()));
    }

    /// Where a browser goes that asks to be let in; nowhere where nobody is.
    fn way_back(&self, path: &str) -> Option<String> {
        let (claims, server) = self.state().person.clone()?;
        Some(format!("{server}{}", self.authorize(&format!("{}{path}", self.issuer), &claims)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn key(&self, id: &str) -> &SigningKey {
        &self.keys.iter().find(|(known, _)| known == id).expect("a key of the provider").1
    }

    fn algorithm(&self, key: &str) -> &'static str {
        match self.key(key) {
            SigningKey::Rsa(_) => "RS256",
            SigningKey::P256(_) => "ES256",
        }
    }

    fn sign(&self, key: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self.key(key) {
            SigningKey::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("signed");
                signature
            }
            SigningKey::P256(key) => key.sign(&random, message).expect("signed").as_ref().to_vec(),
        }
    }

    fn key_set(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let keys = self.keys.iter().map(|(id, key)| match key {
            SigningKey::Rsa(key) => {
                let public: PublicKeyComponents<Vec<u8>> = key.public().into();
                json!({ "kty": "RSA", "kid": id, "use": "sig", "n": text(&public.n), "e": text(&public.e) })
            }
            SigningKey::P256(key) => {
                let point = key.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-256", "kid": id, "x": text(&point[1..33]), "y": text(&point[33..]) })
            }
        });
        json!({ "keys": keys.collect::<Vec<_>>() })
    }

    /// The token of a code, for who knows what its challenge was made of. A code is good once.
    fn exchange(&mut self, form: &HashMap<String, String>) -> Option<Value> {
        let code = self.codes.remove(form.get("code")?)?;
        let verifier = digest(&SHA256, form.get("code_verifier")?.as_bytes());
        let is_good = URL_SAFE_NO_PAD.encode(verifier) == code.challenge
            && form.get("redirect_uri") == Some(&code.redirect_uri)
            && form.get("grant_type").is_some_and(|kind| kind == "authorization_code");
        is_good
            .then(|| json!({ "access_token": "opaque", "token_type": "Bearer", "id_token": code.id_token }))
    }
}

fn answer(stream: TcpStream, provider: &OidcProvider) -> std::io::Result<()> {
    let issuer = &provider.issuer;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or("").trim_start_matches("/realm").to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    if path.starts_with("/authorize?")
        && let Some(place) = provider.way_back(&path)
    {
        let head = format!(
            "HTTP/1.1 303 See Other\r\nLocation: {place}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        return reader.get_mut().write_all(head.as_bytes());
    }
    let mut state = provider.state();
    *state.asked.entry(path.clone()).or_default() += 1;
    let document = match path.as_str() {
        _ if state.is_down => None,
        "/.well-known/openid-configuration" => Some(json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/keys"),
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "end_session_endpoint": format!("{issuer}/logout"),
        })),
        "/keys" => Some(state.key_set()),
        "/token" => state.exchange(&pairs(&String::from_utf8_lossy(&body))),
        _ => None,
    };
    let (status, text) = match document {
        Some(document) => ("200 OK", document.to_string()),
        None => ("400 Bad Request", "{}".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    reader.get_mut().write_all([head, text].concat().as_bytes())
}

/// The pairs of a query or form.
fn pairs(text: &str) -> HashMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).unwrap_or("3f");
                bytes.push(u8::from_str_radix(digits, 16).unwrap_or(b'?'));
                rest = &after[2..];
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
