//! The ways in: which protocol or system a batch came by.

use std::fmt;
use std::str::FromStr;

/// The protocol or system that a batch came by, as settings name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Surface {
    /// Loki's push.
    Loki,
    /// OTLP, in every form.
    Otlp,
    /// Elasticsearch's bulk and single documents.
    Elasticsearch,
    /// Splunk's HTTP event collector.
    Splunk,
    /// Datadog's logs.
    Datadog,
    /// Amazon Data Firehose.
    Firehose,
    /// Alertmanager's webhook.
    Alertmanager,
    /// JSON lines of any shape.
    Ndjson,
    /// LogPulse.
    Logpulse,
    /// Logtopus.
    Logtopus,
    /// LogStream.
    Logstream,
    /// Change66's analytics events.
    Change66,
    /// log-go.
    Loggo,
    /// syslog, over every transport.
    Syslog,
    /// Graylog's GELF.
    Gelf,
    /// Fluent's forward protocol.
    Fluent,
    /// journald's upload.
    Journald,
    /// Topics of Kafka that are read.
    Kafka,
    /// Timberyard's own agent and nodes.
    Timberyard,
}

impl Surface {
    /// All of them, in the order in which they are listed to people.
    pub const ALL: [Self; 19] = [
        Self::Loki,
        Self::Otlp,
        Self::Elasticsearch,
        Self::Splunk,
        Self::Datadog,
        Self::Firehose,
        Self::Alertmanager,
        Self::Ndjson,
        Self::Logpulse,
        Self::Logtopus,
        Self::Logstream,
        Self::Change66,
        Self::Loggo,
        Self::Syslog,
        Self::Gelf,
        Self::Fluent,
        Self::Journald,
        Self::Kafka,
        Self::Timberyard,
    ];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Loki => "loki",
            Self::Otlp => "otlp",
            Self::Elasticsearch => "elasticsearch",
            Self::Splunk => "splunk",
            Self::Datadog => "datadog",
            Self::Firehose => "firehose",
            Self::Alertmanager => "alertmanager",
            Self::Ndjson => "ndjson",
            Self::Logpulse => "logpulse",
            Self::Logtopus => "logtopus",
            Self::Logstream => "logstream",
            Self::Change66 => "change66",
            Self::Loggo => "loggo",
            Self::Syslog => "syslog",
            Self::Gelf => "gelf",
            Self::Fluent => "fluent",
            Self::Journald => "journald",
            Self::Kafka => "kafka",
            Self::Timberyard => "timberyard",
        }
    }
}

impl fmt::Display for Surface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no surface has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no source; there are {list}", list = Surface::ALL.map(Surface::name).join(", "))]
pub struct UnknownSurface(String);

impl FromStr for Surface {
    type Err = UnknownSurface;

    fn from_str(name: &str) -> Result<Self, UnknownSurface> {
        Self::ALL
            .into_iter()
            .find(|surface| surface.name() == name)
            .ok_or_else(|| UnknownSurface(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_surface_is_found_by_its_name() {
        for surface in Surface::ALL {
            assert_eq!(surface.name().parse(), Ok(surface));
        }
        let refused = "lokki".parse::<Surface>().expect_err("unknown").to_string();
        assert!(refused.starts_with("`lokki` is no source; there are loki, otlp, "), "{refused}");
    }
}
