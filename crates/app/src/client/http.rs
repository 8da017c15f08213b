//! A blocking HTTP client: one request, or one that is tried again until it is delivered.

use std::io::Read;
use std::time::{Duration, Instant};

use super::{Backoff, Endpoint};
use crate::failure::Failure;

/// How long one try may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(120);
/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 30;

/// What a server answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// When it asked to be tried again.
    pub(crate) retry_after: Option<Duration>,
    headers: ureq::http::HeaderMap,
}

/// What a server answers while it is still answering.
pub(crate) struct OpenAnswer {
    /// The status code.
    pub(crate) status: u16,
    /// The media type; empty when it says none.
    pub(crate) content_type: String,
    /// The body, as long as it may be.
    pub(crate) body: Box<dyn Read>,
}

/// A request without an answer: nobody knows whether it was taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SendError {
    message: String,
    /// Whether it is certain that the server has not seen it.
    pub(crate) not_sent: bool,
}

impl SendError {
    /// One whose fate is unknown.
    fn unknown(message: impl Into<String>) -> Self {
        Self { message: message.into(), not_sent: false }
    }

    /// One that never left.
    fn not_sent(message: impl Into<String>) -> Self {
        Self { message: message.into(), not_sent: true }
    }
}

impl From<ureq::Error> for SendError {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                Self::not_sent(format!(
                    "{error}: no server listens there; start it, or name another with --url"
                ))
            }
            error @ (ureq::Error::HostNotFound
            | ureq::Error::ConnectionFailed
            | ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve)) => {
                Self::not_sent(error.to_string())
            }
            ureq::Error::Io(error) => Self::unknown(error.to_string()),
            error => Self::unknown(error.to_string()),
        }
    }
}

/// How long a request is tried again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryLimits {
    /// From its first failure.
    pub(crate) total: Duration,
}

/// A request that reached the server in the end.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    /// The last answer: a success, or a refusal that trying again would not change.
    pub(crate) answer: Answer,
    /// Tries before it that failed.
    pub(crate) retries: u64,
}

/// A client of one server.
pub(crate) struct Client {
    endpoint: Endpoint,
    agent: ureq::Agent,
}

impl Client {
    /// A client of the endpoint; connections are kept open between requests.
    ///
    /// # Errors
    /// Where TLS is spoken: what is wrong with the files of certificates.
    pub(crate) fn new(endpoint: Endpoint) -> Result<Self, Failure> {
        let mut config = ureq::Agent::config_builder();
        if let Some(files) = &endpoint.tls {
            config = config.tls_config(files.read()?.of_requests()?);
        }
        let agent = config
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_global(Some(TRY_TIMEOUT))
            .user_agent(concat!("timberyard/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        Ok(Self { endpoint, agent })
    }

    /// The server.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// `GET path` with extra headers.
    pub(crate) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Answer, SendError> {
        read(self.agent.run(self.get_request(path, headers)?))
    }

    /// `GET path`, whose body may be long and slow: it is read as it comes, and only its beginning has a time limit.
    pub(crate) fn open(&self, path: &str, headers: &[(&str, &str)]) -> Result<OpenAnswer, SendError> {
        let request = self.agent.configure_request(self.get_request(path, headers)?);
        let request = request.timeout_global(None).timeout_recv_response(Some(TRY_TIMEOUT)).build();
        let response = self.agent.run(request)?;
        let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        Ok(OpenAnswer {
            status: response.status().as_u16(),
            content_type: content_type.unwrap_or_default().to_owned(),
            body: Box::new(response.into_body().into_reader()),
        })
    }

    fn get_request(
        &self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<ureq::http::Request<()>, SendError> {
        let mut request = ureq::http::Request::get(self.endpoint.url("http", path));
        for (name, value) in self.endpoint.headers() {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).map_err(|error| SendError::not_sent(error.to_string()))
    }

    /// `DELETE path`.
    pub(crate) fn delete(&self, path: &str) -> Result<Answer, SendError> {
        let mut request = ureq::http::Request::delete(self.endpoint.url("http", path));
        for (name, value) in self.endpoint.headers() {
            request = request.header(name, value);
        }
        let request = request.body(()).map_err(|error| SendError::not_sent(error.to_string()))?;
        read(self.agent.run(request))
    }

    /// `POST path` with extra headers, once.
    pub(crate) fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, SendError> {
        let mut request = ureq::http::Request::post(self.endpoint.url("http", path));
        for (name, value) in self.endpoint.headers() {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(|error| SendError::not_sent(error.to_string()))?;
        read(self.agent.run(request))
    }

    /// `POST path` until the server has taken or refused it: the same body again after a lost connection, a time-out, 429 or
    /// a 5xx. `on_retry` is told what went wrong and how long the wait is. Only for requests that may arrive twice.
    pub(crate) fn deliver(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        limits: RetryLimits,
        mut on_retry: impl FnMut(&str, Duration),
    ) -> Result<Delivery, Failure> {
        let mut backoff = Backoff::new();
        let mut retries = 0;
        let mut failing_since = None;
        loop {
            let (problem, asked) = match self.post(path, headers, body) {
                Ok(answer) if !answer.asks_for_retry() => return Ok(Delivery { answer, retries }),
                Ok(answer) => (answer.problem(), answer.retry_after),
                Err(error) => (error.to_string(), None),
            };
            let wait = backoff.next_random(asked);
            let since = *failing_since.get_or_insert_with(Instant::now);
            if since.elapsed() + wait > limits.total {
                return Err(Failure::new(format!(
                    "{}: {problem}; gave up after {} s",
                    self.endpoint.url("http", path),
                    since.elapsed().as_secs()
                )));
            }
            on_retry(&problem, wait);
            retries += 1;
            std::thread::sleep(wait);
        }
    }
}

impl OpenAnswer {
    /// Status and the beginning of the body, on one line.
    pub(crate) fn problem(self) -> String {
        let mut body = Vec::new();
        // What cannot be read is missing from the message, which says enough with the status.
        let _ = self.body.take(4096).read_to_end(&mut body);
        Answer { status: self.status, body, retry_after: None, headers: ureq::http::HeaderMap::new() }
            .problem()
    }
}

impl Answer {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether it is a success.
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the same request may be taken later.
    fn asks_for_retry(&self) -> bool {
        self.status == 429 || self.status == 408 || self.status >= 500
    }

    /// Status and the beginning of the body, on one line.
    pub(crate) fn problem(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(500).collect();
        if text.is_empty() {
            format!("status {}", self.status)
        } else {
            format!("status {}: {text}", self.status)
        }
    }
}

fn read(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Answer, SendError> {
    let mut response = response?;
    let retry_after = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let status = response.status().as_u16();
    let body = response
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES_MAX)
        .read_to_vec()
        .map_err(|error| SendError::unknown(format!("the answer broke off: {error}")))?;
    let headers = std::mem::take(response.headers_mut());
    Ok(Answer { status, body, retry_after, headers })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// A server that reads one request a connection, answers with what is next, and gives back the requests.
    fn scripted(answers: Vec<&'static str>) -> (Client, std::thread::JoinHandle<Vec<Vec<u8>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let authority = listener.local_addr().expect("an address").to_string();
        let server = std::thread::spawn(move || {
            let mut requests = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().expect("a client");
                let mut request = Vec::new();
                let mut chunk = [0; 1024];
                while !request.ends_with(b"body") {
                    let bytes = stream.read(&mut chunk).expect("readable");
                    request.extend_from_slice(&chunk[..bytes]);
                }
                stream.write_all(answer.as_bytes()).expect("writable");
                requests.push(request);
            }
            requests
        });
        let endpoint = Endpoint { authority, path: String::new(), tls: None, api_key: None, tenant: None };
        (Client::new(endpoint).expect("plain"), server)
    }

    #[test]
    fn the_same_body_is_sent_again_until_it_is_taken() {
        let (client, server) = scripted(vec![
            "",
            "HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\nRetry-After: 0\r\nConnection: close\r\n\r\n",
            "HTTP/1.1 503 Later\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy",
            "HTTP/1.1 204 Fine\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        ]);
        let mut problems = Vec::new();
        let limits = RetryLimits { total: Duration::from_secs(30) };
        let delivery = client
            .deliver("/push", &[("Content-Type", "text/plain")], b"body", limits, |problem, _| {
                problems.push(problem.to_owned());
            })
            .expect("delivered");
        assert_eq!((delivery.answer.status, delivery.retries), (204, 3));
        assert_eq!(problems.get(1..), Some(&["status 429".to_owned(), "status 503: busy".to_owned()][..]));
        let requests = server.join().expect("the server ends");
        assert!(requests.windows(2).all(|pair| pair[0] == pair[1]), "every try is the same");
    }

    #[test]
    fn a_refusal_is_not_tried_again_and_a_dead_server_is_given_up() {
        let (client, server) =
            scripted(vec!["HTTP/1.1 400 Bad\r\nContent-Length: 6\r\nConnection: close\r\n\r\nlabels"]);
        let limits = RetryLimits { total: Duration::ZERO };
        let delivery = client.deliver("/push", &[], b"body", limits, |_, _| {}).expect("answered");
        assert_eq!(delivery.answer.problem(), "status 400: labels");
        server.join().expect("the server ends");
        let failure = client.deliver("/push", &[], b"body", limits, |_, _| {}).expect_err("nobody there");
        assert!(failure.to_string().contains("gave up after 0 s"), "{failure}");
    }
}
