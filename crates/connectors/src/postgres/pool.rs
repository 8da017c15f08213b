//! Connections to one PostgreSQL: made when they are needed, given back, thrown away when they are broken.
//!
//! Nothing connects before [`PostgresPool::get`] is called, and every wait has a limit.

use std::sync::Arc;

use deadpool_postgres::{
    Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::OnceCell;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::failure::PostgresError;
use super::schema::prepare;
use super::settings::{PostgresSettings, PostgresTls};

/// The oldest server that has what the statements use, as `server_version_num` says it.
const SERVER_VERSION_MIN: i32 = 130_000;

/// Connections to one PostgreSQL. Clones share them.
#[derive(Clone)]
pub struct PostgresPool {
    settings: Arc<PostgresSettings>,
    pool: Pool,
    /// How connections are encrypted, if they are.
    tls: Option<MakeRustlsConnect>,
    /// The server was looked at, and will do.
    checked: Arc<OnceCell<()>>,
    /// The tables are what the statements are written for.
    prepared: Arc<OnceCell<()>>,
}

impl PostgresPool {
    /// A pool that has not connected yet.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: PostgresSettings) -> Result<Self, String> {
        settings.check()?;
        // Compiling a statement takes longer than most of them run.
        let options = format!("-c search_path={} -c timezone=UTC -c jit=off", settings.schema);
        let mut config = Config::new();
        config
            .host(&settings.host)
            .port(settings.port)
            .dbname(&settings.database)
            .user(&settings.user)
            .application_name("timberyard")
            .options(options)
            .connect_timeout(settings.connect_timeout());
        if !settings.password.is_empty() {
            config.password(settings.password.reveal());
        }
        let method = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let tls = match settings.tls {
            PostgresTls::Off => None,
            PostgresTls::Required => Some(MakeRustlsConnect::new(tls_config(&settings)?)),
        };
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        let manager = match tls.clone() {
            None => Manager::from_config(config, NoTls, method),
            Some(tls) => Manager::from_config(config, tls, method),
        };
        let pool = Pool::builder(manager)
            .runtime(Runtime::Tokio1)
            .max_size(settings.connections_max)
            .wait_timeout(Some(settings.write_timeout()))
            .create_timeout(Some(settings.connect_timeout()))
            .recycle_timeout(Some(settings.connect_timeout()))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            settings: Arc::new(settings),
            pool,
            tls,
            checked: Arc::default(),
            prepared: Arc::default(),
        })
    }

    /// What was written about it.
    pub fn settings(&self) -> &PostgresSettings {
        &self.settings
    }

    /// A connection to a server that will do. The first time, migrations that are missing are applied, where the settings
    /// ask for that.
    ///
    /// # Errors
    /// That there is none, in words of who can help.
    pub async fn get(&self) -> Result<Object, PostgresError> {
        self.prepared.get_or_try_init(|| prepare(self)).await?;
        self.connect().await
    }

    /// A connection to a server whose tables may be missing.
    pub(super) async fn connect(&self) -> Result<Object, PostgresError> {
        let connection = self.pool.get().await.map_err(|error| self.pool_error(error))?;
        self.checked.get_or_try_init(|| check_server(&connection)).await?;
        Ok(connection)
    }

    /// Connections in use, and connections that there are.
    pub fn connections(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size.saturating_sub(status.available), status.size)
    }

    /// Asks the server to end what runs on a connection.
    pub(super) fn call_off(&self, connection: &Object) -> impl Future<Output = ()> + Send + use<> {
        let (token, tls) = (connection.cancel_token(), self.tls.clone());
        async move {
            // What cannot be called off comes to its end.
            let _ = match tls {
                None => token.cancel_query(NoTls).await,
                Some(tls) => token.cancel_query(tls).await,
            };
        }
    }

    fn pool_error(&self, error: PoolError) -> PostgresError {
        let address = self.settings.address();
        match error {
            PoolError::Backend(error) => PostgresError::from(error).at(&address),
            PoolError::Timeout(TimeoutType::Wait) => PostgresError::Busy(format!(
                "all {} connections to PostgreSQL at {address} are in use",
                self.settings.connections_max
            )),
            PoolError::Timeout(_) => PostgresError::Unreachable(format!(
                "PostgreSQL at {address} did not answer within {} ms",
                self.settings.connect_timeout_ms
            )),
            other => PostgresError::Unreachable(format!("PostgreSQL at {address}: {other}")),
        }
    }
}

/// Whether the server is one that the statements are written for.
async fn check_server(connection: &Object) -> Result<(), PostgresError> {
    let row = connection
        .query_one(
            "SELECT current_setting('server_version_num')::int, current_setting('server_encoding')",
            &[],
        )
        .await?;
    let (version, encoding): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
    if version < SERVER_VERSION_MIN {
        let (has, needs) = (version / 10_000, SERVER_VERSION_MIN / 10_000);
        return Err(PostgresError::Unsuitable(format!(
            "PostgreSQL is version {has}, {needs} or later is needed"
        )));
    }
    if encoding != "UTF8" {
        let advice = "create a database with ENCODING 'UTF8'";
        return Err(PostgresError::Unsuitable(format!("database has the encoding {encoding}: {advice}")));
    }
    Ok(())
}

fn tls_config(settings: &PostgresSettings) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    match &settings.ca_file {
        Some(path) => {
            let unreadable = |error: &dyn std::fmt::Display| format!("ca_file: {}: {error}", path.display());
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))? {
                roots
                    .add(certificate.map_err(|error| unreadable(&error))?)
                    .map_err(|error| unreadable(&error))?;
            }
            if roots.is_empty() {
                return Err(unreadable(&"holds no certificate"));
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("tls: {error}"))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
