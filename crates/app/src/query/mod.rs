//! `timberyard query`: asks a server in LogQL and shows what it answers.
//!
//! More lines than a server gives at once are fetched page by page, each line once.

mod answer;
mod pages;

use std::io::{self, Write};

use timberyard_model::Timestamp;
use timberyard_wire::loki_query_json::{ENCODING_FLAGS_HEADER, EXACT_LINES};

use crate::cli::{Direction, Output, QueryArguments};
use crate::client::{Client, Endpoint, with_parameters};
use crate::failure::Failure;
use crate::show::LineWriter;
use crate::time_argument::{now, parse_span, parse_time};

use answer::{Data, Point, read};
use pages::{Page, Pages};

/// Where log and metric queries over a range are asked.
const RANGE_PATH: &str = "/loki/api/v1/query_range";
/// Where metric queries at one time are asked.
const INSTANT_PATH: &str = "/loki/api/v1/query";

/// What the flags mean.
struct Plan {
    query: String,
    start: Timestamp,
    end: Timestamp,
    limit: usize,
    direction: Direction,
    step: Option<String>,
    instant: bool,
}

impl Plan {
    fn new(arguments: &QueryArguments, now: Timestamp) -> Result<Self, Failure> {
        let end = match &arguments.to {
            Some(text) => parse_time("--to", text, now)?,
            None => now,
        };
        let start = match &arguments.from {
            Some(text) => parse_time("--from", text, now)?,
            None => end.saturating_add_nanos(-parse_span("--since", &arguments.since)?),
        };
        if start >= end && !arguments.instant {
            return Err(Failure::usage(format!("there is no time between {start} and {end}")));
        }
        if arguments.limit == 0 {
            return Err(Failure::usage("--limit must be at least 1"));
        }
        Ok(Self {
            query: arguments.query.clone(),
            start,
            end,
            limit: arguments.limit,
            direction: arguments.direction,
            step: arguments.step.clone(),
            instant: arguments.instant,
        })
    }

    fn path(&self, page: &Page) -> String {
        let limit = page.limit.to_string();
        if self.instant {
            let time = self.end.as_nanos().to_string();
            return with_parameters(
                INSTANT_PATH,
                &[("query", &self.query), ("time", &time), ("limit", &limit)],
            );
        }
        let start = page.start.as_nanos().to_string();
        let end = page.end.as_nanos().to_string();
        let direction = match self.direction {
            Direction::Backward => "backward",
            Direction::Forward => "forward",
        };
        let mut parameters = vec![
            ("query", self.query.as_str()),
            ("start", &start),
            ("end", &end),
            ("limit", &limit),
            ("direction", direction),
        ];
        parameters.extend(self.step.as_deref().map(|step| ("step", step)));
        with_parameters(RANGE_PATH, &parameters)
    }
}

/// Asks and shows.
pub(crate) fn run(arguments: &QueryArguments) -> Result<(), Failure> {
    let plan = Plan::new(arguments, now())?;
    let client = Client::new(Endpoint::from_process(&arguments.client)?);
    let mut pages = Pages::new(plan.start, plan.end, plan.direction, plan.limit);
    let mut writer = LineWriter::new(arguments.output);
    while let Some(page) = pages.next_page() {
        let path = plan.path(&page);
        let url = || client.endpoint().url("http", path.split('?').next().unwrap_or_default());
        let answer = client
            .get(&path, &[(ENCODING_FLAGS_HEADER, EXACT_LINES)])
            .map_err(|error| Failure::new(format!("{}: {error}", url())))?;
        if !answer.is_success() {
            return Err(Failure::new(format!("{}: {}", url(), answer.problem())));
        }
        let answer = read(&answer.body).map_err(|reason| Failure::new(format!("{}: {reason}", url())))?;
        if arguments.stats {
            // Figures are extra; when standard error is closed they are not wanted.
            let _ = writeln!(io::stderr(), "{}", answer.statistics);
        }
        match answer.data {
            Data::Lines(lines) => {
                for line in pages.take(lines)? {
                    writer.write(&line)?;
                }
            }
            Data::Points(points) => {
                pages.end();
                show_points(&points, arguments.output)?;
            }
        }
    }
    writer.flush()
}

fn show_points(points: &[Point], output: Output) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout());
    for point in points {
        let line = match output {
            Output::Default => format!("{} {} {}", point.time, point.series, point.value),
            Output::Raw => point.value.clone(),
            Output::Jsonl => point.to_json(),
        };
        writeln!(out, "{line}").map_err(|error| Failure::output(&error))?;
    }
    out.flush().map_err(|error| Failure::output(&error))
}
