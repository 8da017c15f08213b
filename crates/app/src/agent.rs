//! `timberyard agent`: reads files as they grow and sends their lines, each once.

mod status_page;
mod transport;

use std::fs;
use std::sync::Arc;

use timberyard_agent::{Agent, AgentMetrics, AgentSettings, Transport};

use crate::allocator;
use crate::cli::{AgentArguments, ClientArguments};
use crate::client::{Client, Endpoint};
use crate::descriptors;
use crate::failure::Failure;
use crate::shutdown::ShutdownSignals;
use crate::telemetry;
use transport::ServerTransport;

/// Runs the agent until a signal ends it.
pub(crate) fn run(arguments: &AgentArguments) -> Result<(), Failure> {
    allocator::keep_arenas_few();
    let file = &arguments.config;
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("--config {}: {error}", file.display())))?;
    let settings = AgentSettings::read(&text)
        .map_err(|error| Failure::usage(format!("--config {}: {error}", file.display())))?;
    telemetry::start_with("info", telemetry::Form::Text)?;
    let mut servers: Vec<Box<dyn Transport>> = Vec::new();
    for server in settings.all_servers() {
        let arguments =
            ClientArguments { url: Some(server.url), api_key: server.api_key, tenant: server.tenant };
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
    let agent = Agent::new(&settings, Arc::clone(&metrics)).map_err(|error| failure(&error))?;
    if let Some(address) = settings.status_listen {
        status_page::serve(address, metrics)?;
    }
    stop_on_signal(agent.stopper())?;
    agent.run(servers).map_err(|error| failure(&error))
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
