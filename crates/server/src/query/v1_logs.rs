//! `GET /v1/logs`: the newest entries, as Logtopus' and log-go's clients ask for them. Each entry has the
//! fields of both.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use timberyard_model::matcher::{LabelMatcher, ValueTest};
use timberyard_model::pattern::Pattern;
use timberyard_model::scan::{LogSource, ScanRequest};
use timberyard_model::{Cancellation, RowRef, Rows, TimeRange};
use timberyard_wire::log_entry::LogEntry;
use timberyard_wire::service_name::SERVICE_NAME;
use timberyard_wire::v1_logs;

use super::context_lines::{ContextSize, read_with_context};
use super::json_answer::{array_of, json_text, replaced_values};
use super::ordered_rows::{ReadError, ReadLimits, read_rows};
use super::plain_parameters::{inclusive_range, number, present, time};
use super::text_condition::TextCondition;
use crate::auth::Identity;
use crate::error_response::ErrorResponse;
use crate::form::Form;
use crate::state::SharedState;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 10_000;
const CONTEXT_MAX: usize = 1000;

/// An array of entries, the newest first.
pub async fn get(
    State(state): State<SharedState>,
    identity: Identity,
    form: Form,
) -> Result<Response, ErrorResponse> {
    let source = asked_store(&state, present(&form, "subscriber_type"))?;
    let question = Question::read(&form)?;
    let (shared, tenant) = (SharedState::clone(&state), identity.tenant.clone());
    let bytes_max = identity.limits.query.memory_bytes_max;
    let answer = move |source: &dyn LogSource, cancellation: Cancellation| {
        let request = ScanRequest { cancellation, ..ScanRequest::all(tenant, question.range) };
        let rows = question.ask(source, request, bytes_max)?;
        shared.metrics.count_replaced_utf8(replaced_values(&rows));
        Ok(array_of(&rows, |out, row| v1_logs::write_entry(out, &LogEntry::new(row))))
    };
    state.read_from(&source, &identity, answer).await.map(json_text)
}

/// The store that is asked: the one that answers queries, or one of a kind of subscriber.
fn asked_store(state: &SharedState, kind: Option<&str>) -> Result<Arc<dyn LogSource>, ErrorResponse> {
    let (kind, source) = match kind {
        None => return Ok(Arc::clone(&state.source)),
        Some(kind @ "file") => (kind, &state.subscribers.file),
        Some(kind @ "clickhouse") => (kind, &state.subscribers.clickhouse),
        Some(_) => {
            return Err(ErrorResponse::bad_request(
                "invalid_subscriber_type",
                "subscriber_type must be file, clickhouse, or empty for the default store",
            ));
        }
    };
    source.clone().ok_or_else(|| {
        let message = format!("subscriber_type `{kind}` is not enabled on this server");
        ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, "subscriber_not_enabled", message)
    })
}

/// What is asked for.
struct Question {
    range: TimeRange,
    limit: usize,
    context: ContextSize,
    service: Option<Box<str>>,
    level: Option<TextCondition>,
    /// Conditions on fields that say whose context an entry belongs to.
    group: Vec<(&'static str, TextCondition)>,
    search: Option<TextCondition>,
    fields: Vec<(&'static str, TextCondition)>,
}

impl Question {
    fn read(form: &Form) -> Result<Self, ErrorResponse> {
        let range = inclusive_range(time(form, "start_time")?, time(form, "end_time")?);
        let both = number(form, "context", 0, 0..=CONTEXT_MAX)?;
        let context = ContextSize {
            before: number(form, "before_context", both, 0..=CONTEXT_MAX)?,
            after: number(form, "after_context", both, 0..=CONTEXT_MAX)?,
        };
        let equality =
            |name: &'static str| present(form, name).map(|value| (name, TextCondition::equals(value)));
        let group: Vec<_> = ["session_id", "client_id"].into_iter().filter_map(equality).collect();
        if group.is_empty() && context != ContextSize::default() {
            return Err(ErrorResponse::bad_request(
                "invalid_context",
                "context lines are those of one session or client: give session_id or client_id too",
            ));
        }
        let mut fields = Vec::new();
        for name in ["source", "error"] {
            if let Some(value) = present(form, name) {
                fields.push((name, TextCondition::contains(name, value)?));
            }
        }
        Ok(Self {
            range,
            limit: number(form, "limit", LIMIT_DEFAULT, 1..=LIMIT_MAX)?,
            context,
            service: present(form, "service").map(Into::into),
            level: present(form, "level").map(TextCondition::equals),
            group,
            search: present(form, "search")
                .map(|text| TextCondition::contains("search", text))
                .transpose()?,
            fields,
        })
    }

    fn ask(
        &self,
        source: &dyn LogSource,
        mut request: ScanRequest,
        bytes_max: usize,
    ) -> Result<Rows, ReadError> {
        let limits = ReadLimits { rows_max: self.limit, bytes_max };
        let in_group = |row: RowRef<'_>| {
            let entry = LogEntry::new(row);
            self.group
                .iter()
                .all(|(name, wanted)| entry.field(name).is_some_and(|value| wanted.accepts(value)))
        };
        if self.context != ContextSize::default() {
            let matches = |row: RowRef<'_>| self.matches(row);
            return read_with_context(source, &request, limits, self.context, in_group, matches);
        }
        // Without context, rows that do not match need not be read.
        request.line_filters.extend(self.search.as_ref().and_then(TextCondition::as_line_filter));
        request.matchers = self.matchers();
        read_rows(source, &request, limits, |row| self.matches(row) && in_group(row))
    }

    /// What the labels of a stream must be for it to have rows that match.
    fn matchers(&self) -> Vec<LabelMatcher> {
        let service = self.service.as_deref().map(|service| LabelMatcher::equal(SERVICE_NAME, service));
        // A stream without the label may have rows whose level was detected.
        let level = match &self.level {
            Some(TextCondition::Equals(level)) if level.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                Pattern::whole(&format!("(?i:{level})|")).ok()
            }
            _ => None,
        };
        let level =
            level.map(|pattern| LabelMatcher { name: "level".into(), test: ValueTest::Matches(pattern) });
        service.into_iter().chain(level).collect()
    }

    fn matches(&self, row: RowRef<'_>) -> bool {
        let entry = LogEntry::new(row);
        self.service.as_deref().is_none_or(|service| entry.service() == service.as_bytes())
            && self.level.as_ref().is_none_or(|level| level.accepts(entry.level()))
            && self.search.as_ref().is_none_or(|search| search.accepts(entry.line()))
            && self
                .fields
                .iter()
                .all(|(name, wanted)| entry.field(name).is_some_and(|value| wanted.accepts(value)))
    }
}
