//! `timberyard server`: starts, serves until it is told to stop, stops in reverse order.

use std::cell::Cell;
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use timberyard_server::inputs::Inputs;
use timberyard_store::Store;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::allocator;
use crate::cli::{ServerArguments, SettingsArguments};
use crate::config::{Configuration, Settings, Sources};
use crate::data_directory;
use crate::descriptors;
use crate::failure::Failure;
use crate::inputs::RunningInputs;
use crate::listeners::Listeners;
use crate::maintenance::Maintenance;
use crate::settings_source::{SettingsSource, reload_on, reload_signal};
use crate::shutdown::ShutdownSignals;
use crate::store_slot;
use crate::telemetry;
use crate::wiring::{Wiring, store_options};

/// Runs the server until a signal ends it.
pub(crate) fn run(arguments: &ServerArguments) -> Result<(), Failure> {
    allocator::keep_arenas_few();
    let configuration = load(&arguments.settings)?;
    telemetry::start(&configuration)?;
    for warning in &configuration.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start threads: {error}")))?;
    let source = SettingsSource::new(arguments.settings.clone(), &configuration);
    let mut settings = configuration.settings;
    settings.load.connections_max = descriptors::connections_max(settings.load.connections_max);
    let result = runtime.block_on(serve(&settings, source));
    // A store that is still replaying is not waited for: it has acknowledged nothing.
    runtime.shutdown_background();
    result
}

/// The settings that flags, files and the process's environment give.
pub(crate) fn load(arguments: &SettingsArguments) -> Result<Configuration, Failure> {
    let role = arguments.role.iter().map(|role| ("--role", "role", role.name().to_owned()));
    let listen = arguments.listen.iter().map(|value| ("--listen", "listen", value.clone()));
    let data_dir = arguments.data_dir.iter().map(|value| ("--data-dir", "data_dir", value.clone()));
    Configuration::load(Sources {
        file: arguments.config.clone(),
        env_file: arguments.env_file.clone(),
        // A variable that is not UTF-8 cannot be one of ours.
        environment: std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect(),
        flags: listen.chain(data_dir).chain(role).collect(),
    })
    .map_err(|errors| Failure::usage(errors.to_string()))
}

async fn serve(settings: &Settings, source: Arc<SettingsSource>) -> Result<(), Failure> {
    let signals = ShutdownSignals::listen()
        .map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))?;
    let hangup =
        reload_signal().map_err(|error| Failure::new(format!("cannot listen for signals: {error}")))?;
    data_directory::require_place_for(&settings.data_dir)?;
    let tls = match settings.tls.files() {
        None => None,
        Some(files) => {
            Some(files.load().map_err(|error| Failure::new(format!("cannot speak TLS: {error}")))?)
        }
    };
    let asked = settings.listen();
    let cannot_listen = |error: io::Error| {
        let advice = if error.kind() == io::ErrorKind::AddrInUse {
            ": stop the program that does, or choose another with --listen"
        } else {
            ""
        };
        Failure::new(format!("cannot listen on {asked}: {error}{advice}"))
    };
    let listener = TcpListener::bind(asked).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let listeners = Listeners::bind(settings).await?;
    let wiring = Wiring::new(settings, Some(source), tls)?;
    listeners.listen(&wiring.state);
    tokio::spawn(reload_on(hangup, Arc::clone(&wiring.state)));
    let inputs = RunningInputs::start(settings, &wiring.state.settings, &wiring.intake)?;
    let inputs = Arc::new(inputs);
    // It is set here alone.
    let _ = wiring.state.inputs.set(Arc::clone(&inputs) as Arc<dyn Inputs>);
    let upkeep = tokio::spawn(timberyard_server::auth::upkeep::run(Arc::clone(&wiring.state)));

    // Requests are answered with 503 while the store opens.
    let (failed, opening_failed) = oneshot::channel();
    let opening = tokio::spawn(open(settings.clone(), address, wiring.slot.clone(), failed));
    let has_failed = Cell::new(false);
    let stop = async {
        tokio::select! {
            () = signals.first() => {}
            // The opener drops its end when all went well; then only a signal counts.
            Ok(()) = opening_failed => has_failed.set(true),
        }
    };
    let served = timberyard_server::serve(listener, Arc::clone(&wiring.state), stop).await;

    // Its end was asked for with the server's.
    upkeep.await.map_err(|error| Failure::new(format!("the upkeep of keys failed: {error}")))?;
    timberyard_server::auth::upkeep::finish(&wiring.state).await;
    let stopped = tokio::task::spawn_blocking(move || inputs.stop()).await;
    stopped.map_err(|error| Failure::new(format!("inputs did not stop: {error}")))?;
    wiring.intake.close().await;
    for sink in &wiring.spooled {
        sink.close().await;
    }
    let Some(store) = wiring.slot.as_ref().and_then(|slot| slot.store()).cloned() else {
        // The store did not open; or the server was told to stop during replay, which is not waited for.
        return if has_failed.get() { finished(opening.await).map(drop) } else { Ok(()) };
    };
    let Some(maintenance) = finished(opening.await)? else { return Ok(()) };
    let closed = tokio::task::spawn_blocking(move || {
        maintenance.stop();
        store.close()
    });
    let closed = closed.await.map_err(|error| Failure::new(format!("store did not close: {error}")))?;
    closed.map_err(|error| Failure::new(format!("store did not close: {error}")))?;
    tracing::info!("stopped");
    served.map_err(|error| Failure::new(format!("cannot serve: {error}")))
}

/// Opens the store, fills its slot, starts its maintenance and says that the server is ready; without a store it is ready at
/// once.
async fn open(
    settings: Settings,
    address: SocketAddr,
    slot: Option<Arc<store_slot::StoreSlot>>,
    failed: oneshot::Sender<()>,
) -> Result<Option<Maintenance>, Failure> {
    let Some(slot) = slot else {
        greet(&settings, address);
        return Ok(None);
    };
    let opened = tokio::task::spawn_blocking({
        let settings = settings.clone();
        move || -> Result<(Arc<Store>, Maintenance), Failure> {
            let directory = &settings.data_dir;
            let cannot = |error: &dyn std::fmt::Display| {
                Failure::new(format!("cannot open the store in {}: {error}", directory.display()))
            };
            let store =
                store_slot::open(directory, store_options(&settings)).map_err(|error| cannot(&error))?;
            let store = Arc::new(store);
            let maintenance = Maintenance::start(Arc::clone(&store)).map_err(|error| cannot(&error))?;
            Ok((store, maintenance))
        }
    });
    let opened = opened.await.map_err(|error| Failure::new(format!("the store failed to open: {error}")));
    match opened.and_then(|opened| opened) {
        Ok((store, maintenance)) => {
            slot.fill(store);
            greet(&settings, address);
            Ok(Some(maintenance))
        }
        Err(failure) => {
            // The other end waits for exactly this as long as the server runs.
            let _ = failed.send(());
            Err(failure)
        }
    }
}

fn finished<T>(task: Result<Result<T, Failure>, tokio::task::JoinError>) -> Result<T, Failure> {
    task.unwrap_or_else(|error| Err(Failure::new(format!("the store failed to open: {error}"))))
}

/// Tells a person at a terminal what to do next.
fn greet(settings: &Settings, address: SocketAddr) {
    let text = greeting(settings, address, &std::path::absolute(&settings.data_dir).unwrap_or_default());
    // Nobody may be reading; the server runs all the same.
    let _ = io::stdout().write_all(text.as_bytes());
}

fn greeting(settings: &Settings, address: SocketAddr, data_dir: &Path) -> String {
    // An address that stands for all of them cannot be connected to everywhere.
    let host = match address.ip() {
        ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let scheme = if settings.tls.files().is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{host}:{}", address.port());
    let key = if settings.is_authenticated() { " -H \"X-API-Key: $KEY\"" } else { "" };
    format!(
        "timberyard {version} listens on {scheme}://{address}\n\
         data      {data}\n\
         page      {url}/\n\
         Loki API  {url}/loki/api/v1/push, query_range, labels, tail\n\
         status    {url}/ready, {url}/health, {url}/metrics\n\
         send      curl{key} {url}/v1/logs -H 'Content-Type: application/json' \
         -d '[{{\"level\":\"INFO\",\"message\":\"hello\",\"source\":\"demo\"}}]'\n\
         query     curl{key} -G {url}/loki/api/v1/query_range --data-urlencode 'query={{service_name=\"demo\"}}'\n",
        version = env!("CARGO_PKG_VERSION"),
        data = data_dir.display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_has_lines_that_can_be_pasted() {
        let address = "0.0.0.0:99".parse().expect("an address");
        let text = greeting(&Settings::default(), address, Path::new("/d"));
        assert!(text.contains("http://127.0.0.1:99/loki/api/v1/push"), "{text}");
        assert!(text.contains("page      http://127.0.0.1:99/\n"), "{text}");
        assert!(text.contains(r#"-d '[{"level":"INFO","message":"hello","source":"demo"}]'"#), "{text}");
        assert!(!text.contains("X-API-Key"));
        let mut settings = Settings::default();
        settings.auth.secret = Some("hush".to_owned());
        let text = greeting(&settings, address, Path::new("/d"));
        assert!(text.contains("X-API-Key: $KEY") && !text.contains("hush"));
    }
}
