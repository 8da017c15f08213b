//! `timberyard agent`: reads files as they grow and sends their lines, each once.

mod status_page;
mod transport;

use std::fs;
use std::io::Write;
use std::sync::Arc;

use timberyard_agent::{Agent, AgentMetrics, AgentSettings, PodApi, Promtail, Transport};

use crate::allocator;
use crate::cli::{AgentArguments, ClientArguments};
use crate::client::{Client, Endpoint, KubernetesClient};
use crate::descriptors;
use crate::failure::Failure;
use crate::shutdown::ShutdownSignals;
use crate::telemetry;
use transport::ServerTransport;

/// Runs the agent until a signal ends it.
pub(crate) fn run(arguments: &AgentArguments) -> Result<(), Failure> {
    allocator::keep_arenas_few();
    let settings = read_settings(arguments)?;
    if arguments.check {
        return Agent::check(&settings).map_err(|error| failure(&error));
    }
    telemetry::start_with("info", telemetry::Form::Text)?;
    let mut servers: Vec<Box<dyn Transport>> = Vec::new();
    let mut named: Vec<ClientArguments> = settings
        .all_servers()
        .into_iter()
        .map(|server| ClientArguments {
            url: Some(server.url),
            api_key: server.api_key,
            tenant: server.tenant,
        })
        .collect();
    if named.is_empty() {
        // That of the environment.
        named.push(ClientArguments { url: None, api_key: None, tenant: None });
    }
    for arguments in named {
        servers.push(Box::new(ServerTransport(Client::new(Endpoint::from_process(&arguments)?)?)));
    }
    // Each file that is followed is open.
    if let Some(files) = descriptors::raise().filter(|files| *files < 4096) {
        tracing::warn!(
            files,
            "the system's limit of open files is low: no more files are followed at a time"
        );
    }
    let metrics = Arc::new(AgentMetrics::default());
    let pods = pods(&settings)?;
    let agent = Agent::new(&settings, Arc::clone(&metrics), pods).map_err(|error| failure(&error))?;
    if let Some(address) = settings.status_listen {
        status_page::serve(address, metrics)?;
    }
    stop_on_signal(agent.stopper())?;
    agent.run(servers).map_err(|error| failure(&error))
}

/// Whom to ask for the labels of pods, where a target wants some.
fn pods(settings: &AgentSettings) -> Result<Option<Box<dyn PodApi>>, Failure> {
    if settings.targets.iter().all(|target| target.pod_labels.is_empty()) {
        return Ok(None);
    }
    let client = KubernetesClient::of(&settings.kubernetes, |name| std::env::var(name).ok())?;
    if client.is_none() {
        tracing::warn!(
            "pod_labels: this is no pod, and kubernetes.api names no other way to the API: they are left out"
        );
    }
    Ok(client.map(|client| Box::new(client) as Box<dyn PodApi>))
}

/// Reads whichever file is named. What is ignored of one of Promtail's is said on standard error.
fn read_settings(arguments: &AgentArguments) -> Result<AgentSettings, Failure> {
    let (flag, file) = match (&arguments.config, &arguments.promtail) {
        (Some(file), _) => ("--config", file),
        (None, Some(file)) => ("--promtail", file),
        (None, None) => {
            return Err(Failure::usage("--config FILE or --promtail FILE must be there".to_owned()));
        }
    };
    let wrong = |error: String| Failure::usage(format!("{flag} {}: {error}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
    if flag == "--config" {
        return AgentSettings::read(&text).map_err(|error| wrong(error.to_string()));
    }
    let Promtail { settings, ignored } = Promtail::read(&text).map_err(|error| wrong(error.to_string()))?;
    for what in ignored {
        // Where nobody can be told, the settings count all the same.
        let _ = writeln!(std::io::stderr(), "{}: ignored: {what}", file.display());
    }
    Ok(settings)
}

fn failure(error: &timberyard_agent::AgentError) -> Failure {
    Failure::new(error.to_string())
}

/// Calls `stop` on the first signal; a second one ends the process.
fn stop_on_signal(stop: impl Fn() + Send + 'static) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("signals cannot be heard: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let signals = runtime.block_on(async { ShutdownSignals::listen() }).map_err(failed)?;
    let wait = move || {
        runtime.block_on(async {
            signals.first().await;
            stop();
            std::future::pending::<()>().await;
        });
    };
    std::thread::Builder::new().name("agent-signals".to_owned()).spawn(wait).map(drop).map_err(failed)
}
