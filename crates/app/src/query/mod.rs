//! `timberyard query`: asks a server in LogQL and shows what it answers.
//!
//! More lines than a server gives at once are fetched page by page, each line once; all of them (`--all`) come as one
//! long answer from a server that can give one.

mod answer;
mod pages;
mod plan_text;
mod rows;

use std::io::{self, Write};

use timberyard_model::Timestamp;
use timberyard_wire::loki_query_json::{ENCODING_FLAGS_HEADER, EXACT_LINES};

use crate::cli::{Direction, Output, QueryArguments};
use crate::client::{Client, Endpoint, with_parameters};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::show::LineWriter;
use crate::time_argument::{now, parse_span, parse_time};

use answer::{Data, read};
use pages::{Page, Pages};
use plan_text::plan_text;
use rows::{Row, Rows};

/// Where log and metric queries over a range are asked.
const RANGE_PATH: &str = "/loki/api/v1/query_range";
/// Where metric queries at one time are asked.
const INSTANT_PATH: &str = "/loki/api/v1/query";
/// Where the plan of a query is asked for; Loki has no such thing.
const EXPLAIN_PATH: &str = "/timberyard/api/v1/explain";

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
        if arguments.limit == 0 || arguments.batch == 0 {
            return Err(Failure::usage("--limit and --batch must be at least 1"));
        }
        Ok(Self {
            query: arguments.query.clone(),
            start,
            end,
            limit: arguments.limit,
            direction: if arguments.forward { Direction::Forward } else { arguments.direction },
            step: arguments.step.clone(),
            instant: arguments.instant,
        })
    }

    fn path(&self, page: &Page) -> String {
        let limit = page.limit.to_string();
        if self.instant {
            let time = self.end.as_nanos().to_string();
            let parameters = [("query", self.query.as_str()), ("time", &time), ("limit", &limit)];
            return with_parameters(INSTANT_PATH, &parameters);
        }
        // Loki passes over a parameter that it does not know.
        let cursor = (page.limit < self.limit || !page.cursor.is_empty()).then_some(page.cursor.as_str());
        self.path_over(
            RANGE_PATH,
            page.start,
            page.end,
            &[Some(("limit", &limit)), cursor.map(|cursor| ("cursor", cursor))],
        )
    }

    /// Where all lines are asked for at once.
    fn path_of_rows(&self) -> String {
        self.path_over(RANGE_PATH, self.start, self.end, &[])
    }

    /// Where the plan is asked for.
    fn path_of_plan(&self) -> String {
        let time = self.end.as_nanos().to_string();
        let time = self.instant.then_some(("time", time.as_str()));
        let limit = self.limit.to_string();
        self.path_over(EXPLAIN_PATH, self.start, self.end, &[Some(("limit", &limit)), time])
    }

    fn path_over(
        &self,
        path: &str,
        start: Timestamp,
        end: Timestamp,
        others: &[Option<(&str, &str)>],
    ) -> String {
        let (start, end) = (start.as_nanos().to_string(), end.as_nanos().to_string());
        let direction = match self.direction {
            Direction::Backward => "backward",
            Direction::Forward => "forward",
        };
        let mut parameters =
            vec![("query", self.query.as_str()), ("start", &start), ("end", &end), ("direction", direction)];
        parameters.extend(others.iter().flatten());
        parameters.extend(self.step.as_deref().map(|step| ("step", step)));
        with_parameters(path, &parameters)
    }
}

/// Asks and shows.
pub(crate) fn run(arguments: &QueryArguments) -> Result<(), Failure> {
    let question = Question {
        plan: Plan::new(arguments, now())?,
        client: Client::new(Endpoint::from_process(&arguments.client)?)?,
        arguments,
    };
    if arguments.explain {
        return question.explain();
    }
    if arguments.all && question.show_rows()? {
        return Ok(());
    }
    question.show_pages()
}

/// A query and whom to ask.
struct Question<'a> {
    plan: Plan,
    client: Client,
    arguments: &'a QueryArguments,
}

impl Question<'_> {
    /// A failure at a path of the server.
    fn failure(&self, path: &str, reason: impl std::fmt::Display) -> Failure {
        let url = self.client.endpoint().url("http", path.split('?').next().unwrap_or_default());
        Failure::new(format!("{url}: {reason}"))
    }

    fn warn(&self, message: &str) {
        if !self.arguments.quiet {
            // When standard error is closed nobody wants to know.
            let _ = writeln!(io::stderr(), "warning: {message}");
        }
    }

    fn explain(&self) -> Result<(), Failure> {
        let path = self.plan.path_of_plan();
        let answer = self.client.get(&path, &[]).map_err(|error| self.failure(&path, error))?;
        if !answer.is_success() {
            return Err(self.failure(&path, answer.problem()));
        }
        if self.arguments.lines.output == Output::Jsonl {
            return io::stdout().write_all(&answer.body).map_err(|error| Failure::output(&error));
        }
        let text = plan_text(&answer.body).map_err(|reason| self.failure(&path, reason))?;
        io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::output(&error))
    }

    /// Shows all lines as the server sends them in one answer; `false` when it does not know how.
    fn show_rows(&self) -> Result<bool, Failure> {
        let path = self.plan.path_of_rows();
        let accept = [("Accept", "application/x-ndjson")];
        let answer = self.client.open(&path, &accept).map_err(|error| self.failure(&path, error))?;
        if answer.status != 200 {
            return Err(self.failure(&path, answer.problem()));
        }
        if !answer.content_type.starts_with("application/x-ndjson") {
            return Ok(false);
        }
        let mut rows = Rows::new(answer.body);
        let mut writer = LineWriter::new(&self.arguments.lines);
        let progress = Progress::of_lines(!self.arguments.quiet);
        while let Some(row) = rows.next_row().map_err(|reason| self.failure(&path, reason))? {
            match row {
                Row::Line(line) => writer.write(&line)?,
                Row::Point(point) => writer.write_text(&point.text(self.arguments.lines.output))?,
                Row::Warning(message) => self.warn(&message),
                Row::Error(message) => return Err(self.failure(&path, message)),
            }
            progress.advance(1);
        }
        progress.finish();
        writer.flush()?;
        Ok(true)
    }

    fn show_pages(&self) -> Result<(), Failure> {
        let plan = &self.plan;
        let wanted = if self.arguments.all { usize::MAX } else { plan.limit };
        let mut pages = Pages::new(plan.start, plan.end, plan.direction, wanted, self.arguments.batch);
        let mut writer = LineWriter::new(&self.arguments.lines);
        let progress = Progress::of_lines(!self.arguments.quiet && wanted > self.arguments.batch);
        while let Some(page) = pages.next_page() {
            let path = plan.path(&page);
            let answer = self
                .client
                .get(&path, &[(ENCODING_FLAGS_HEADER, EXACT_LINES)])
                .map_err(|error| self.failure(&path, error))?;
            if !answer.is_success() {
                return Err(self.failure(&path, answer.problem()));
            }
            let answer = read(&answer.body).map_err(|reason| self.failure(&path, reason))?;
            if self.arguments.stats {
                // Figures are extra; when standard error is closed they are not wanted.
                let _ = writeln!(io::stderr(), "{}", answer.statistics);
            }
            answer.warnings.iter().for_each(|warning| self.warn(warning));
            match answer.data {
                Data::Lines(lines) => {
                    for line in pages.take(lines, answer.next_cursor)? {
                        writer.write(&line)?;
                        progress.advance(1);
                    }
                }
                Data::Points(points) => {
                    pages.end();
                    for point in &points {
                        writer.write_text(&point.text(self.arguments.lines.output))?;
                    }
                }
            }
        }
        progress.finish();
        writer.flush()
    }
}
