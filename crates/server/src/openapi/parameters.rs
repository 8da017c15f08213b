//! What the parameters of URLs and forms are called, hold and mean: one row a name, the same wherever it stands.

/// What a parameter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// LogQL.
    Query,
    /// A whole number, from 0.
    Count,
    /// A time: seconds or nanoseconds since 1970, or RFC 3339.
    Time,
    /// A span of time, such as `5m`, or seconds.
    Span,
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Word(&'static [&'static str]),
}

/// Name, kind and meaning.
type Parameter = (&'static str, Kind, &'static str);

use Kind::{Count, Query, Span, Switch, Text, Time, Word};

const PARAMETERS: &[Parameter] = &[
    ("_msg_field", Text, "the field that holds the line"),
    ("_stream_fields", Text, "fields that become labels, with commas between them"),
    ("_time_field", Text, "the field that holds the time"),
    ("after_context", Count, "entries of the same session or client that follow a match"),
    ("aggregateBy", Word(&["series", "labels"]), "what volumes are counted by"),
    ("aggregation", Text, "count_over_time, rate, sum, avg, min or max"),
    ("at", Time, "the time to look at; now when absent"),
    ("before_context", Count, "entries of the same session or client that come before a match"),
    ("client_id", Text, "entries of this client only"),
    ("code", Text, "what the OpenID provider gives for a token"),
    ("cursor", Text, "where the answer before ended; empty begins, and asks for one"),
    ("ddsource", Text, "where logs that do not say it are from"),
    ("ddtags", Text, "tags of logs that have none, as `name:value` with commas between them"),
    ("delay_for", Count, "seconds that lines are held back so that they come in order"),
    ("direction", Word(&["backward", "forward"]), "newest or oldest first"),
    ("end", Time, "the end of the range, not in it; now when absent"),
    ("end_time", Time, "the end of the range"),
    ("error", Text, "why the OpenID provider refuses"),
    ("event_name", Text, "events of this name only"),
    ("event_type", Text, "events of this type only"),
    ("field_limit", Count, "the most fields"),
    ("force", Switch, "also when it has been carried out in part"),
    ("host", Text, "the machine that lines are from"),
    ("hostname", Text, "the machine of logs that name none"),
    ("id", Text, "the id of a document or of a saved search"),
    ("index", Text, "the name of an index"),
    ("interval", Span, "at most one line in each of these"),
    ("label_fields", Text, "fields that become labels, with commas between them"),
    ("level", Text, "entries of this level only"),
    ("limit", Count, "the most entries"),
    ("line_field", Text, "the field that holds the line"),
    ("line_limit", Count, "lines that are looked at"),
    ("match[]", Text, "a selector; may be given many times"),
    ("max_interval", Span, "accepted for Loki's clients"),
    ("name", Text, "the name of a label or field"),
    ("page", Count, "which page, from 1"),
    ("page_size", Count, "events of a page"),
    ("priority", Text, "events of this priority only"),
    ("provider_name", Text, "events of this provider only"),
    ("query", Query, "LogQL"),
    ("request_id", Text, "the id of a deletion"),
    ("search", Text, "entries whose message holds this"),
    ("service", Text, "entries of this service only; of what is sent, the service of logs that name none"),
    ("session_id", Text, "entries of this session only"),
    ("since", Span, "begin this long before the end"),
    ("sort_by", Text, "the field that events are ordered by"),
    ("sort_order", Word(&["asc", "desc"]), "smallest or largest first"),
    ("source", Text, "the file or program that lines are from"),
    ("sourcetype", Text, "the format of lines"),
    ("start", Time, "the begin of the range"),
    ("start_time", Time, "the begin of the range"),
    ("state", Text, "the login that this is the end of"),
    ("step", Span, "the time between two points"),
    ("targetLabels", Text, "labels that volumes are counted by, with commas between"),
    ("ticket", Text, "a ticket of POST /ticket, in place of a key"),
    ("time", Time, "the time of the answer; now when absent"),
    ("time_field", Text, "the field that holds the time"),
    ("to", Text, "the path of this server that the browser goes to afterwards"),
    ("truncate_series", Switch, "rather fewer series and a warning than an error"),
    ("user_id", Text, "events of this user only"),
    (
        "encoding_flags",
        Text,
        "`categorize-labels` for labels, metadata and fields apart, as X-Loki-Response-Encoding-Flags",
    ),
    ("file", Text, "the path of a file"),
    ("which", Text, "the name or id of a key"),
];

/// Kind and meaning of a parameter; a test holds the table to the names that endpoints use.
pub(super) fn find(name: &str) -> Option<&'static Parameter> {
    PARAMETERS.iter().find(|(known, ..)| *known == name)
}
