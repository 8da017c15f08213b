//! Parameters of a question: from the URL, and from the body of a POST, which come first as in Go.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;

use timberyard_wire::loki_query_params::Parameters;

use crate::body::RequestBody;
use crate::content_type::ContentType;
use crate::error_response::ErrorResponse;
use crate::state::SharedState;

/// The most parameters that one request may have.
const PARAMETERS_MAX: usize = 1000;

/// Names and values, decoded. A name may be there more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// The first value of `name`; empty values count.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// All pairs.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The pairs as Loki's questions read them.
    pub fn parameters(&self) -> Parameters<'_> {
        Parameters(&self.0)
    }

    fn add(&mut self, encoded: &[u8]) -> Result<(), ErrorResponse> {
        let pairs = form_urlencoded::parse(encoded).take(PARAMETERS_MAX + 1);
        self.0.extend(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())));
        if self.0.len() > PARAMETERS_MAX {
            let message = format!("request has more than {PARAMETERS_MAX} parameters");
            return Err(ErrorResponse::bad_request("too_many_parameters", message));
        }
        Ok(())
    }
}

impl FromRequest<SharedState> for Form {
    type Rejection = ErrorResponse;

    async fn from_request(request: Request, state: &SharedState) -> Result<Self, Self::Rejection> {
        let mut form = Self::default();
        let query = request.uri().query().unwrap_or("").to_owned();
        if ContentType::of(request.headers()) == ContentType::Form {
            form.add(&RequestBody::from_request(request, state).await?.bytes)?;
        }
        form.add(query.as_bytes())?;
        Ok(form)
    }
}

/// Parameters of the URL alone, for requests whose body is something else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UrlParameters(Form);

impl UrlParameters {
    /// The first value of `name`, if it is there and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).filter(|value| !value.is_empty())
    }

    /// The same as an owned text.
    pub fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }
}

impl FromRequestParts<SharedState> for UrlParameters {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _state: &SharedState) -> Result<Self, Self::Rejection> {
        let mut form = Form::default();
        form.add(parts.uri.query().unwrap_or("").as_bytes())?;
        Ok(Self(form))
    }
}
