//! `timberyard loadgen`: sends made-up logs in the format of any of the systems, and prints the rate.
//!
//! A request that fails is sent again. In formats whose equal entries are never merged, what was sent again after a
//! lost connection may be there twice; the number of retries is printed.

mod entries;
mod formats;
mod messages;
mod random;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use crate::cli::{LoadFormat, LoadgenArguments};
use crate::client::{Client, Delivery, Endpoint, RetryLimits};
use crate::failure::Failure;
use crate::progress::Progress;
use crate::time_argument::now;

use entries::Entries;

/// How long a request is tried again.
const RETRY_FOR: Duration = Duration::from_secs(60);

/// What the flags mean.
struct Plan {
    format: LoadFormat,
    path: &'static str,
    entries_per_request: usize,
    total: u64,
    delay: Duration,
    seed: u64,
    with_labels: bool,
}

impl Plan {
    fn new(arguments: &LoadgenArguments, endpoint: &mut Endpoint) -> Result<Self, Failure> {
        let format = arguments.format;
        if arguments.batch == 0 || arguments.total == 0 {
            return Err(Failure::usage("--batch and --total must be at least 1"));
        }
        if format == LoadFormat::Change66 && arguments.batch > format.entries_max() {
            return Err(Failure::usage(format!(
                "--batch must be at most {} for --format change66, not {}",
                format.entries_max(),
                arguments.batch
            )));
        }
        // log-go's users give the whole URL of its endpoint.
        let path = format.path();
        if let Some(root) = endpoint.path.strip_suffix(path) {
            endpoint.path = root.to_owned();
        }
        let seed = match arguments.seed {
            Some(seed) => seed,
            None => getrandom::u64()
                .map_err(|error| Failure::new(format!("no randomness: {error}; give --seed")))?,
        };
        Ok(Self {
            format,
            path,
            entries_per_request: arguments.batch.min(format.entries_max()),
            total: arguments.total,
            delay: Duration::from_millis(arguments.delay),
            seed,
            with_labels: arguments.labels,
        })
    }
}

/// Sends, and prints what was sent and how fast.
pub(crate) fn run(arguments: &LoadgenArguments) -> Result<(), Failure> {
    let mut endpoint = Endpoint::from_process(&arguments.client)?;
    let plan = Plan::new(arguments, &mut endpoint)?;
    let client = Client::new(endpoint)?;
    let progress = Progress::of_entries(plan.total);
    let mut entries = Entries::new(plan.seed, plan.with_labels);
    let (mut sent, mut requests, mut retries) = (0, 0u64, 0);
    let started = Instant::now();
    let result = loop {
        let left = plan.total - sent;
        if left == 0 {
            break Ok(());
        }
        let count =
            usize::try_from(left).map_or(plan.entries_per_request, |left| left.min(plan.entries_per_request));
        match send(&plan, &client, &entries.take(count), &progress) {
            Ok(delivery) => retries += delivery.retries,
            Err(failure) => break Err(failure),
        }
        sent += count as u64;
        requests += 1;
        progress.advance(count as u64);
        if !plan.delay.is_zero() && sent < plan.total {
            std::thread::sleep(plan.delay);
        }
    };
    progress.finish();
    let seconds = started.elapsed().as_secs_f64();
    writeln!(
        io::stdout(),
        "sent {sent} entries in {requests} requests in {seconds:.2} s: {:.0} entries/s, {retries} retries, seed {}",
        sent as f64 / seconds.max(1e-9),
        plan.seed
    )
    .map_err(|error| Failure::output(&error))?;
    result
}

fn send(
    plan: &Plan,
    client: &Client,
    entries: &[entries::Entry],
    progress: &Progress,
) -> Result<Delivery, Failure> {
    let body = plan.format.body(entries, now());
    let headers = [("Content-Type", "application/json")];
    let retry = RetryLimits { total: RETRY_FOR };
    let on_retry = |problem: &str, wait| progress.note_retry(problem, wait);
    let delivery = client.deliver(plan.path, &headers, &body, retry, on_retry)?;
    let is_repeat = delivery.answer.status == 409 && delivery.retries > 0 && plan.format.merges_repeats();
    if delivery.answer.is_success() || is_repeat {
        return Ok(delivery);
    }
    let advice = match delivery.answer.status {
        401 => "; give a key with --api-key or TIMBERYARD_API_KEY",
        409 => "; these events are there already: give another --seed",
        _ => "",
    };
    let url = client.endpoint().url("http", plan.path);
    Err(Failure::new(format!("{url}: {}{advice}", delivery.answer.problem())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::ClientArguments;

    #[test]
    fn the_whole_url_of_log_go_is_understood() {
        let arguments = LoadgenArguments {
            format: LoadFormat::Loggo,
            batch: 1,
            total: 1,
            delay: 0,
            labels: false,
            seed: Some(1),
            client: ClientArguments {
                url: Some("http://h:1/v1/logs".to_owned()),
                ..ClientArguments::default()
            },
        };
        let mut endpoint = Endpoint::new(&arguments.client, |_| None).expect("valid");
        let plan = Plan::new(&arguments, &mut endpoint).expect("valid");
        assert_eq!(endpoint.url("http", plan.path), "http://h:1/v1/logs");
        let too_many = LoadgenArguments { format: LoadFormat::Change66, batch: 1001, ..arguments };
        assert_eq!(Plan::new(&too_many, &mut endpoint).map(drop).expect_err("too many").exit_code(), 2);
    }
}
