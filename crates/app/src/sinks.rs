//! Connects the engines that the settings name: as sinks of the pipeline, and as sources where they can be read.

use std::collections::BTreeMap;
use std::sync::Arc;

use timberyard_connectors::clickhouse::{ClickHouseServer, ClickHouseSink, ClickHouseSource};
use timberyard_connectors::files::{FilesSink, FilesSource};
use timberyard_connectors::kafka::KafkaSink;
use timberyard_connectors::parquet::ParquetSink;
use timberyard_connectors::postgres::{PostgresPool, PostgresSink, PostgresSource, PostgresUpkeep};
use timberyard_model::LogBatch;
use timberyard_model::scan::LogSource;
use timberyard_model::sink::Sink;
use timberyard_pipeline::sink_driver::SinkDriver;
use timberyard_pipeline::spool::{BatchCodec, Spool, SpooledSink};
use timberyard_pipeline::{Broker, Taken};
use timberyard_server::Subscribers;
use timberyard_wire::batch_record;
use tokio::runtime::Handle;

use crate::config::{Engine, Settings, SinkDescription};
use crate::failure::Failure;
use crate::time_argument::now;

/// Where spools are, in the data directory, each in a folder of its sink's name.
const SPOOLS: &str = "spool";
/// Where rows wait for Parquet files, in the data directory, each sink's in a folder of its name.
const PARQUET: &str = "parquet";
/// The most that waits in memory for the spool of a best-effort sink, in bytes.
const QUEUE_BYTES_MAX: usize = 16 << 20;

/// The engines of a server.
pub(crate) struct Sinks {
    /// Those that must have a batch, and the others.
    pub(crate) broker: Broker,
    /// Those that can be read, by the names of their sinks.
    pub(crate) sources: BTreeMap<String, Arc<dyn LogSource>>,
    /// Those that can be asked by kind.
    pub(crate) subscribers: Subscribers,
    /// Required ones whose rows wait on disk while they are away.
    pub(crate) spooled: Vec<Arc<SpooledSink>>,
    /// The one that has events which the embedded store does not have.
    pub(crate) events: Option<Arc<PostgresSource>>,
    /// Those without which the server is of no use, but for the embedded store.
    pub(crate) required: Vec<Arc<dyn Sink>>,
    /// What looks after those of them that are PostgreSQL.
    pub(crate) upkeeps: Vec<Arc<PostgresUpkeep>>,
}

/// One of them.
struct Connected {
    sink: Arc<dyn Sink>,
    source: Option<Arc<dyn LogSource>>,
    /// Whether rows wait on disk while it is away, though it is required.
    is_spooled: bool,
}

impl Sinks {
    /// Makes all of them ready, the embedded store among the required ones, where there is one. Nothing is connected yet.
    /// Must be called on a tokio runtime.
    pub(crate) fn connect(settings: &Settings, store: Option<Arc<dyn Sink>>) -> Result<Self, Failure> {
        let mut sinks = Self {
            broker: Broker::default(),
            sources: BTreeMap::new(),
            subscribers: Subscribers::default(),
            spooled: Vec::new(),
            events: None,
            required: Vec::new(),
            upkeeps: Vec::new(),
        };
        // The store comes last: what another one refuses is in none of them.
        let described = |required: bool| {
            settings.sinks.iter().filter(move |(_, description)| description.required == required)
        };
        for (name, description) in described(true) {
            let Connected { mut sink, is_spooled, .. } = sinks.connected(settings, name, description)?;
            if is_spooled {
                let spool = open_spool(settings, name, description)?;
                let spooled = Arc::new(SpooledSink::start(sink, spool, Arc::new(BatchRecords)));
                sinks.spooled.push(Arc::clone(&spooled));
                sink = spooled;
            }
            sinks.required.push(Arc::clone(&sink));
            sinks.broker = sinks.broker.require(sink, taken(description));
        }
        if let Some(store) = store {
            let elsewhere = described(true).filter(|(_, description)| description.exclusive);
            let elsewhere: Vec<_> = elsewhere.flat_map(|(_, description)| description.surfaces()).collect();
            let taken = if elsewhere.is_empty() { Taken::Everything } else { Taken::AllBut(elsewhere) };
            sinks.broker = sinks.broker.require(store, taken);
        }
        for (name, description) in described(false) {
            let connected = sinks.connected(settings, name, description)?;
            let spool = open_spool(settings, name, description)?;
            let driver = SinkDriver::start(connected.sink, QUEUE_BYTES_MAX, spool, Arc::new(BatchRecords));
            sinks.broker = sinks.broker.offer(driver, taken(description));
        }
        Ok(sinks)
    }

    fn connected(
        &mut self,
        settings: &Settings,
        name: &str,
        description: &SinkDescription,
    ) -> Result<Connected, Failure> {
        let failed = |reason: String| Failure::new(format!("sink `{name}`: {reason}"));
        let engine = description.engine().ok_or_else(|| failed("has no engine".to_owned()))?;
        let connected = match engine {
            Engine::ClickHouse(clickhouse) => {
                let server = ClickHouseServer::new(clickhouse.clone()).map_err(failed)?;
                let source: Arc<dyn LogSource> =
                    Arc::new(ClickHouseSource::new(Arc::clone(&server), Handle::current()));
                self.subscribers.clickhouse.get_or_insert_with(|| Arc::clone(&source));
                let sink = match description.required {
                    true => ClickHouseSink::new(name, server),
                    false => ClickHouseSink::of_copies(name, server),
                };
                let sink = Arc::new(sink.watched());
                Connected { sink, source: Some(source), is_spooled: false }
            }
            Engine::Files(files) => {
                let source: Arc<dyn LogSource> = Arc::new(FilesSource::new(&files.dir));
                self.subscribers.file.get_or_insert_with(|| Arc::clone(&source));
                let sink = FilesSink::start(name, files.clone()).map_err(failed)?;
                Connected { sink: Arc::new(sink), source: Some(source), is_spooled: false }
            }
            Engine::Kafka(kafka) => {
                let sink = KafkaSink::new(name, kafka.clone()).map_err(failed)?.watched();
                Connected { sink: Arc::new(sink), source: None, is_spooled: true }
            }
            Engine::Parquet(parquet) => {
                let staging = settings.data_dir.join(PARQUET).join(name);
                let sink = ParquetSink::start(name, parquet.clone(), &staging).map_err(failed)?;
                Connected { sink: Arc::new(sink), source: None, is_spooled: false }
            }
            Engine::Postgres(postgres) => {
                let pool = PostgresPool::new(postgres.clone()).map_err(failed)?;
                let source = Arc::new(PostgresSource::new(pool.clone(), Handle::current()));
                if description.exclusive {
                    self.events.get_or_insert_with(|| Arc::clone(&source));
                }
                let upkeep = Arc::new(PostgresUpkeep::start(pool.clone(), now));
                if description.required {
                    self.upkeeps.push(Arc::clone(&upkeep));
                }
                let sink = Arc::new(PostgresSink::new(name, pool).with_upkeep(upkeep));
                Connected { sink, source: Some(source), is_spooled: false }
            }
        };
        if let Some(source) = &connected.source {
            self.sources.insert(name.to_owned(), Arc::clone(source));
        }
        Ok(connected)
    }
}

fn open_spool(settings: &Settings, name: &str, description: &SinkDescription) -> Result<Spool, Failure> {
    Spool::open(&settings.data_dir.join(SPOOLS).join(name), description.spool_bytes_max.0)
        .map_err(|error| Failure::new(format!("sink `{name}`: {error}")))
}

fn taken(description: &SinkDescription) -> Taken {
    match description.surfaces() {
        surfaces if surfaces.is_empty() => Taken::Everything,
        surfaces => Taken::Only(surfaces),
    }
}

/// The records of spools.
struct BatchRecords;

impl BatchCodec for BatchRecords {
    fn encode(&self, batch: &LogBatch) -> Vec<u8> {
        batch_record::encode(batch)
    }

    fn decode(&self, bytes: &[u8]) -> Result<LogBatch, String> {
        batch_record::decode(bytes).map_err(|error| error.to_string())
    }
}
