//! `GET /` in a browser, and `/ui/…`: the page, from files that are part of the binary.
//!
//! The files come from `ui/`, built by `make build`; a binary that was built without them says so where the page would
//! be. They are the same for everybody and open to everybody: what they show they ask for, with the key of whoever looks.
//! Files whose names have their digest are kept by browsers for ever. The policy lets in no script, style or request
//! but this server's own.

use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// A file of the page.
struct PageFile {
    /// Below `/ui/`.
    path: &'static str,
    etag: &'static str,
    plain: &'static [u8],
    gzip: Option<&'static [u8]>,
    brotli: Option<&'static [u8]>,
}

const FILES: &[PageFile] = include!(concat!(env!("OUT_DIR"), "/page_files.rs"));

/// Where the files lie. Nothing below it needs a key.
pub const FOLDER: &str = "/ui/";

const START: &str = "index.html";

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

const NOT_BUILT: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Timberyard</title>\n\
    <h1>Timberyard runs; its page is not in this binary</h1>\n\
    <p>It was built without Node. Install Node 20.19 or newer and run <code>make build</code>, which puts the page in.</p>\n\
    <p>Everything else is there: <a href=\"/openapi\">the API</a>, <a href=\"/health\">health</a>, \
    <a href=\"/metrics\">metrics</a>; Grafana reads this server as a Loki.</p></html>\n";

/// Middleware: a browser that asks for `/` gets the page. Everybody else gets what is there for Elasticsearch's clients.
pub async fn at_root(request: Request, next: Next) -> Response {
    match is_browser_at_root(&request) {
        true => start(request.headers()),
        false => next.run(request).await,
    }
}

fn is_browser_at_root(request: &Request) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or("");
    matches!(*request.method(), Method::GET | Method::HEAD)
        && request.uri().path() == "/"
        && accept.split(',').any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim() == "text/html"))
}

/// `GET /ui/{*file}`: a file of the page.
pub async fn get(Path(file): Path<String>, headers: HeaderMap) -> Response {
    match FILES.iter().find(|known| known.path == file) {
        Some(file) if file.path != START => answer(file, &headers),
        _ => (StatusCode::NOT_FOUND, format!("the page has no file {file}\n")).into_response(),
    }
}

fn start(headers: &HeaderMap) -> Response {
    match FILES.iter().find(|file| file.path == START) {
        Some(file) => answer(file, headers),
        None => ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], NOT_BUILT).into_response(),
    }
}

fn answer(file: &PageFile, asked: &HeaderMap) -> Response {
    let text_of = |name| asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or("");
    let keeping = match file.path.starts_with("assets/") {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let headers = [
        (header::ETAG, HeaderValue::from_static(file.etag)),
        (header::CACHE_CONTROL, HeaderValue::from_static(keeping)),
        (header::VARY, HeaderValue::from_static("accept, accept-encoding")),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    ];
    if text_of(header::IF_NONE_MATCH)
        .split(',')
        .any(|known| known.trim().trim_start_matches("W/") == file.etag)
    {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    let kind = [(header::CONTENT_TYPE, kind_of(file.path))];
    let (encoding, bytes) = encoded(file, text_of(header::ACCEPT_ENCODING));
    match encoding {
        Some(encoding) => (headers, kind, [(header::CONTENT_ENCODING, encoding)], bytes).into_response(),
        None => (headers, kind, bytes).into_response(),
    }
}

/// The smallest form that a client takes.
fn encoded(file: &PageFile, accepted: &str) -> (Option<&'static str>, &'static [u8]) {
    let takes = |wanted: &str| {
        accepted.split(',').any(|one| {
            let mut parts = one.split(';').map(str::trim);
            parts.next() == Some(wanted)
                && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        })
    };
    match (file.brotli.filter(|_| takes("br")), file.gzip.filter(|_| takes("gzip"))) {
        (Some(bytes), _) => (Some("br"), bytes),
        (None, Some(bytes)) => (Some("gzip"), bytes),
        (None, None) => (None, file.plain),
    }
}

fn kind_of(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: PageFile = PageFile {
        path: "assets/a.js",
        etag: "\"1\"",
        plain: b"plain",
        gzip: Some(b"gzip"),
        brotli: Some(b"brotli"),
    };

    #[test]
    fn a_client_gets_the_smallest_form_that_it_takes() {
        let cases = [
            ("gzip, deflate, br, zstd", Some("br")),
            ("gzip", Some("gzip")),
            ("br;q=0, gzip;q=0.5", Some("gzip")),
            ("identity", None),
            ("", None),
        ];
        for (accepted, encoding) in cases {
            assert_eq!(encoded(&FILE, accepted).0, encoding, "{accepted}");
        }
    }

    #[test]
    fn a_file_that_a_browser_has_is_not_sent_again() {
        let mut asked = HeaderMap::new();
        assert_eq!(answer(&FILE, &asked).status(), StatusCode::OK);
        asked.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"0\", W/\"1\""));
        assert_eq!(answer(&FILE, &asked).status(), StatusCode::NOT_MODIFIED);
    }

    #[test]
    fn only_who_wants_a_page_gets_it_at_the_root() {
        let asks = |path: &str, accept: &str| {
            let request =
                Request::builder().uri(path).header(header::ACCEPT, accept).body(axum::body::Body::empty());
            is_browser_at_root(&request.expect("a request"))
        };
        assert!(asks("/", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(!asks("/", "*/*") && !asks("/", "application/json") && !asks("/labels", "text/html"));
    }
}
