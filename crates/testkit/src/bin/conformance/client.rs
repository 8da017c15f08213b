//! Sends the requests of cases.

use timberyard_testkit::http::{Answer, Request, percent_encode};

use crate::folder::Case;

/// The server that is compared.
pub(crate) struct Client {
    url: String,
}

impl Client {
    /// The server at a URL such as `http://127.0.0.1:3100`.
    pub(crate) fn new(url: &str) -> Self {
        Self { url: url.trim_end_matches('/').to_owned() }
    }

    /// A request for a path.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request {
        Request::new(method, &format!("{}{path}", self.url))
    }

    /// `HOST:PORT`.
    pub(crate) fn address(&self) -> &str {
        self.url.split_once("://").map_or(&*self.url, |(_, address)| address)
    }

    /// Sends a case.
    pub(crate) fn ask(&self, case: &Case) -> Result<Answer, String> {
        let mut request = self.request(&case.method, &case.path);
        for (name, value) in &case.headers {
            request = request.header(name, value);
        }
        if case.is_form {
            request = request
                .header("Content-Type", "application/x-www-form-urlencoded")
                .body(encoded(&case.parameters));
        } else {
            for (name, value) in &case.parameters {
                request = request.query(name, value);
            }
        }
        let mut answer = request.try_send()?;
        if answer.header("content-encoding") == Some("gzip") {
            let mut text = Vec::new();
            let mut decoder = flate2::read::MultiGzDecoder::new(answer.body.as_slice());
            std::io::Read::read_to_end(&mut decoder, &mut text).map_err(|error| format!("gzip: {error}"))?;
            answer.body = text;
        }
        Ok(answer)
    }
}

/// `name=value&…`
pub(crate) fn encoded(parameters: &[(String, String)]) -> String {
    let pairs =
        parameters.iter().map(|(name, value)| format!("{}={}", percent_encode(name), percent_encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}
