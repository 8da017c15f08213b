//! The table of endpoints as they are documented: one row a path and kind of question.

use Access::{Administer, Delete, Open, Operate, Push, Read, Tail};
use Body::{AnyText, Form, JournalExport, Json, LokiPush, NdJson, Nothing, Otlp, V1Logs};
use Media::{Html, JsonText, Lines, NoBody, Text, Upgrade, Yaml};

/// What a key must be allowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Open to everybody.
    Open,
    /// `push`
    Push,
    /// `read`
    Read,
    /// `tail`
    Tail,
    /// `delete`
    Delete,
    /// `admin`
    Administer,
    /// `admin`, for every tenant.
    Operate,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    Nothing,
    /// The parameters, as a form; those of the URL count as well.
    Form,
    /// JSON of a named schema.
    Json(&'static str),
    /// JSON, or protobuf in snappy.
    LokiPush,
    /// JSON or protobuf.
    Otlp,
    /// Logtopus', log-go's or OTLP's.
    V1Logs,
    /// Lines of JSON.
    NdJson,
    /// journald's export.
    JournalExport,
    /// Text of any kind.
    AnyText,
}

/// What a success holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// A JSON object or array.
    JsonText,
    /// JSON, or NDJSON, CSV or plain text when `Accept` asks for it.
    Lines,
    /// Plain text.
    Text,
    /// A page.
    Html,
    /// YAML.
    Yaml,
    /// Nothing.
    NoBody,
    /// A WebSocket.
    Upgrade,
}

/// One path with the methods that mean the same.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    /// The system whose clients know it.
    pub system: &'static str,
    /// The methods.
    pub methods: &'static [&'static str],
    /// The path, with names in braces.
    pub path: &'static str,
    /// Who may.
    pub access: Access,
    /// The parameters of the URL; those with `!` must be there.
    pub parameters: &'static str,
    /// What is sent; a form with POST only.
    pub body: Body,
    /// The status of a success and what it holds.
    pub answer: (u16, Media),
    /// What it does.
    pub summary: &'static str,
}

const fn at(
    methods: &'static [&'static str],
    path: &'static str,
    access: Access,
    answer: (u16, Media),
    summary: &'static str,
) -> Endpoint {
    Endpoint { system: "Timberyard", methods, path, access, parameters: "", body: Nothing, answer, summary }
}

impl Endpoint {
    const fn of(self, system: &'static str) -> Self {
        Self { system, ..self }
    }

    const fn with(self, parameters: &'static str) -> Self {
        Self { parameters, ..self }
    }

    const fn taking(self, body: Body) -> Self {
        Self { body, ..self }
    }
}

const GET: &[&str] = &["get"];
const OPTIONS: &[&str] = &["options"];
const POST: &[&str] = &["post"];
const STORED: &[&str] = &["post", "put"];
const KNOWN: &[&str] = &["get", "post", "put"];
const ASKED: &[&str] = &["get", "post"];
const JSON: (u16, Media) = (200, JsonText);
const RANGE: &str = "query! start end since";

const fn loki(path: &'static str, parameters: &'static str, summary: &'static str) -> Endpoint {
    at(ASKED, path, Read, JSON, summary).of("Loki").with(parameters).taking(Form)
}

/// What the URL may say of all logs of a request.
const DATADOG: &str = "ddsource ddtags hostname service";

const fn hec(path: &'static str, summary: &'static str, parameters: &'static str) -> Endpoint {
    at(POST, path, Push, JSON, summary).of("Splunk").with(parameters).taking(AnyText)
}

const fn elastic(
    methods: &'static [&'static str],
    path: &'static str,
    answer: (u16, Media),
    summary: &'static str,
) -> Endpoint {
    at(methods, path, Push, answer, summary).of("Elasticsearch")
}

/// All endpoints, in the order of the router's table.
pub const ENDPOINTS: &[Endpoint] = &[
    at(GET, "/health", Open, JSON, "Health and numbers for those who watch"),
    at(GET, "/metrics", Open, (200, Text), "Metrics in Prometheus' text format"),
    at(GET, "/ready", Open, (200, Text), "Whether writes and queries are taken"),
    at(GET, "/readiness", Open, JSON, "The same as JSON"),
    at(GET, "/liveness", Open, JSON, "Whether the process answers"),
    at(GET, "/auth/login", Open, (303, NoBody), "Sends a browser to the OpenID provider").with("to"),
    at(GET, "/auth/callback", Open, (303, NoBody), "Takes a browser back from the OpenID provider")
        .with("code state error"),
    at(POST, "/auth/logout", Open, JSON, "Ends the session of a browser"),
    at(GET, "/openapi.json", Open, JSON, "This document"),
    at(GET, "/openapi", Open, (200, Html), "This document as a page"),
    at(GET, "/ui/{file}", Open, (200, Text), "A file of the page that browsers get at /"),
    at(GET, "/timberyard/api/v1/about", Open, JSON, "The version, and whether a key is wanted"),
    at(OPTIONS, "/services/collector/event/1.0", Open, JSON, "Health").of("Splunk"),
    at(GET, "/services/collector/health", Open, JSON, "Health").of("Splunk"),
    at(GET, "/services/collector/health/1.0", Open, JSON, "Health").of("Splunk"),
    at(POST, "/loki/api/v1/push", Push, (204, NoBody), "Stores entries").of("Loki").taking(LokiPush),
    at(POST, "/api/prom/push", Push, (204, NoBody), "The same under its old name").of("Loki").taking(LokiPush),
    at(POST, "/otlp/v1/logs", Push, (204, NoBody), "Stores OTLP logs, answered as by Loki").of("OTLP").taking(Otlp),
    at(POST, "/v1/logs", Push, (202, JsonText), "Stores entries of Logtopus and log-go, and OTLP logs")
        .of("Logtopus")
        .taking(V1Logs),
    at(POST, "/ingest", Push, JSON, "Stores streams").of("LogPulse").taking(Json("LogPulseStreams")),
    at(POST, "/api/ingest", Push, JSON, "Stores one log").of("LogStream").taking(Json("LogStreamLog")),
    at(POST, "/api/v1/ingest", Push, (201, JsonText), "Stores one event").of("Change66").taking(Json("Event")),
    at(POST, "/api/v1/batch-ingest", Push, (201, JsonText), "Stores events")
        .of("Change66")
        .taking(Json("Events")),
    at(POST, "/timberyard/api/v1/ndjson", Push, (204, NoBody), "Stores newline-delimited JSON of any shape")
        .with("line_field time_field label_fields")
        .taking(NdJson),
    at(POST, "/insert/jsonline", Push, (204, NoBody), "The same for clients of VictoriaLogs")
        .of("VictoriaLogs")
        .with("_msg_field _time_field _stream_fields")
        .taking(NdJson),
    at(POST, "/upload", Push, (202, Text), "Stores the entries of a journal while they come")
        .of("systemd-journal-upload")
        .taking(JournalExport),
    hec("/services/collector", "Stores events", ""),
    hec("/services/collector/event", "Stores events", ""),
    hec("/services/collector/event/1.0", "Stores events", ""),
    hec("/services/collector/raw", "Stores lines", "host source sourcetype index"),
    hec("/services/collector/raw/1.0", "Stores lines", "host source sourcetype index"),
    at(POST, "/services/collector/ack", Push, JSON, "Which events are stored").of("Splunk").taking(Json("SplunkAcks")),
    at(POST, "/api/v2/logs", Push, (202, JsonText), "Stores logs")
        .of("Datadog")
        .with(DATADOG)
        .taking(Json("DatadogLogs")),
    at(POST, "/v1/input", Push, (202, JsonText), "Stores logs").of("Datadog").with(DATADOG).taking(Json("DatadogLogs")),
    at(GET, "/api/v1/validate", Push, JSON, "Whether a key is good").of("Datadog"),
    at(POST, "/aws/firehose", Push, JSON, "Stores records").of("Amazon Data Firehose").taking(Json("FirehoseRequest")),
    at(POST, "/alertmanager/webhook", Push, (204, NoBody), "Stores alerts")
        .of("Alertmanager")
        .taking(Json("AlertmanagerWebhook")),
    elastic(GET, "/", JSON, "Name and version"),
    elastic(STORED, "/_bulk", JSON, "Stores documents").taking(NdJson),
    elastic(STORED, "/{index}/_bulk", JSON, "Stores documents of an index").taking(NdJson),
    elastic(POST, "/{index}/_doc", (201, JsonText), "Stores a document").taking(Json("Document")),
    elastic(STORED, "/{index}/_doc/{id}", (201, JsonText), "Stores a document").taking(Json("Document")),
    elastic(STORED, "/{index}/_create/{id}", (201, JsonText), "Stores a document").taking(Json("Document")),
    elastic(GET, "/_cluster/health", JSON, "Health"),
    elastic(GET, "/_cat/health", (200, Text), "Health as a line"),
    elastic(GET, "/_license", JSON, "The licence"),
    elastic(GET, "/_nodes/http", JSON, "Nodes to send to"),
    elastic(KNOWN, "/_template/{name}", JSON, "A template; none is needed"),
    elastic(KNOWN, "/_index_template/{name}", JSON, "A template; none is needed"),
    elastic(KNOWN, "/_component_template/{name}", JSON, "A template; none is needed"),
    elastic(KNOWN, "/_ilm/policy/{name}", JSON, "A policy; none is needed"),
    elastic(KNOWN, "/_ingest/pipeline/{name}", JSON, "A pipeline; none is needed"),
    elastic(KNOWN, "/_data_stream/{name}", JSON, "A data stream; none is needed"),
    elastic(KNOWN, "/_alias/{name}", JSON, "An alias; none is needed"),
    at(ASKED, "/loki/api/v1/query_range", Read, (200, Lines), "Lines or series over a range of time")
        .of("Loki")
        .with("query! start end since limit direction step interval cursor truncate_series")
        .taking(Form),
    at(ASKED, "/loki/api/v1/query", Read, (200, Lines), "Series at one time")
        .of("Loki")
        .with("query! time limit direction truncate_series")
        .taking(Form),
    loki("/loki/api/v1/labels", "start end since", "Names of labels"),
    loki("/loki/api/v1/label", "start end since", "Names of labels"),
    loki("/loki/api/v1/label/{name}/values", "query start end since", "Values of a label"),
    loki("/loki/api/v1/series", "match[] start end since", "Streams that selectors find"),
    loki("/loki/api/v1/index/stats", RANGE, "Streams, chunks, entries and bytes of a selector"),
    loki(
        "/loki/api/v1/index/volume",
        "query! start end since limit targetLabels aggregateBy",
        "Bytes of streams",
    ),
    loki(
        "/loki/api/v1/index/volume_range",
        "query! start end since step limit targetLabels aggregateBy",
        "Bytes of streams, step by step",
    ),
    loki("/loki/api/v1/detected_labels", "query start end since", "Labels with the number of their values"),
    loki(
        "/loki/api/v1/detected_fields",
        "query! start end since limit line_limit field_limit",
        "Fields that lines hold",
    ),
    loki(
        "/loki/api/v1/detected_field/{name}/values",
        "query! start end since limit line_limit",
        "Values of a field",
    ),
    loki("/loki/api/v1/patterns", "query! start end since step", "Templates of lines, with counts"),
    at(GET, "/loki/api/v1/drilldown-limits", Read, JSON, "Limits, for Grafana").of("Loki"),
    at(GET, "/config/tenant/v1/limits", Read, (200, Text), "Limits in force").of("Loki"),
    at(GET, "/loki/api/v1/rules", Read, (200, Yaml), "Rules; there are none").of("Loki"),
    at(GET, "/prometheus/api/v1/rules", Read, JSON, "Rules; there are none").of("Loki"),
    at(GET, "/prometheus/api/v1/alerts", Read, JSON, "Alerts; there are none").of("Loki"),
    loki("/loki/api/v1/format_query", "query!", "A query as its formatter writes it"),
    at(ASKED, "/timberyard/api/v1/explain", Read, JSON, "What a query would do and read")
        .with("query! start end since time limit direction step")
        .taking(Form),
    at(GET, "/timberyard/api/v1/whoami", Read, JSON, "Who asks, and what they may do"),
    at(GET, "/timberyard/api/v1/searches", Read, JSON, "Saved searches of the tenant"),
    at(POST, "/timberyard/api/v1/searches", Read, (201, JsonText), "Saves a search").taking(Json("NewSearch")),
    at(&["delete"], "/timberyard/api/v1/searches/{id}", Read, JSON, "Removes a saved search"),
    at(GET, "/v1/logs", Read, JSON, "Newest entries").of("Logtopus").with(
        "limit start_time end_time level search session_id client_id before_context after_context",
    ),
    at(GET, "/status", Read, JSON, "Numbers").of("Logtopus"),
    at(GET, "/query", Read, JSON, "Lines or series").of("LogPulse").with("query! start end limit step aggregation"),
    at(GET, "/labels", Read, JSON, "Names of labels").of("LogPulse"),
    at(GET, "/labels/{name}/values", Read, JSON, "Values of a label").of("LogPulse"),
    at(GET, "/api/ingest/logs", Read, JSON, "Newest logs").of("LogStream").with("limit service level"),
    at(GET, "/api/health", Read, JSON, "Health").of("LogStream"),
    at(GET, "/api/v1/logs/filter", Read, JSON, "Events, page by page").of("Change66").with(
        "page page_size sort_by sort_order start_time end_time event_type event_name priority user_id session_id \
         provider_name",
    ),
    at(GET, "/api/v1/logs/recent", Read, JSON, "Newest events").of("Change66").with("limit"),
    at(GET, "/api/v1/status", Read, JSON, "Numbers").of("Change66"),
    at(GET, "/api/v1/metrics", Read, JSON, "More numbers").of("Change66"),
    at(GET, "/loki/api/v1/status/buildinfo", Read, JSON, "Versions").of("Loki"),
    at(GET, "/services", Read, (200, Text), "Parts and their state").of("Loki"),
    at(GET, "/loki/api/v1/tail", Tail, (101, Upgrade), "Lines as they come, over a WebSocket")
        .of("Loki")
        .with("query! start limit delay_for cursor encoding_flags ticket"),
    at(GET, "/stream", Tail, (101, Upgrade), "The same; parameters are labels").of("LogPulse").with("ticket"),
    at(POST, "/ticket", Tail, JSON, "A ticket for one WebSocket"),
    at(GET, "/loki/api/v1/delete", Delete, JSON, "Deletions").of("Loki").with("start end"),
    at(&["post", "put"], "/loki/api/v1/delete", Delete, (204, NoBody), "Deletes what a query finds")
        .of("Loki")
        .with("query! start! end max_interval"),
    at(&["delete"], "/loki/api/v1/delete", Delete, (204, NoBody), "Calls off a deletion")
        .of("Loki")
        .with("request_id! force"),
    at(GET, "/admin/keys", Administer, JSON, "Stored keys"),
    at(POST, "/admin/keys", Administer, (201, JsonText), "Makes a key").taking(Json("NewKey")),
    at(&["delete"], "/admin/keys/{which}", Administer, JSON, "Revokes a key"),
    at(POST, "/admin/keys/{which}/rotate", Administer, (201, JsonText), "Makes a key that takes over")
        .taking(Json("Rotation")),
    at(GET, "/timberyard/api/v1/slow-queries", Administer, JSON, "The newest queries that took half a second or longer"),
    at(GET, "/admin/config", Operate, (200, Yaml), "Settings; secrets are masked"),
    at(POST, "/admin/reload", Operate, JSON, "Reads limits and certificates again"),
    at(POST, "/flush", Operate, (204, NoBody), "Writes what is in memory into segments"),
    at(POST, "/snapshot", Operate, JSON, "Makes a copy of the store on its volume"),
    at(GET, "/retention/preview", Operate, JSON, "What retention would take away").with("at"),
];
