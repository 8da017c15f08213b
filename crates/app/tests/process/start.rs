//! Starting servers.

use timberyard_testkit::server_process::{ServerProcess, ServerSettings};

use crate::only_clickhouse::only_on_clickhouse;

/// The secret of servers that want HMAC keys.
pub(crate) const SECRET: &str = "a secret of tests";

/// The binary that is tested.
pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_timberyard")
}

/// A server with no settings yet.
pub(crate) fn settings() -> ServerSettings {
    ServerSettings::new(binary())
}

/// A server without keys.
pub(crate) fn server() -> ServerProcess {
    match only_on_clickhouse() {
        None => settings().start(),
        Some(yaml) => server_configured(&yaml),
    }
}

/// A server with some environment variables.
pub(crate) fn server_with(variables: &[(&str, &str)]) -> ServerProcess {
    variables.iter().fold(settings(), |settings, (name, value)| settings.env(name, value)).start()
}

/// A server with a settings file.
pub(crate) fn server_configured(yaml: &str) -> ServerProcess {
    let (settings, file) = configured(yaml);
    let server = settings.start();
    drop(file);
    server
}

/// Settings with a file, and the file, which must live until the start.
pub(crate) fn configured(yaml: &str) -> (ServerSettings, tempfile::NamedTempFile) {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a temporary file");
    std::fs::write(file.path(), yaml).expect("a file that can be written");
    let path = file.path().display().to_string();
    (settings().argument("--config").argument(&path), file)
}
