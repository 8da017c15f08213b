//! Starts what the settings say is to be read, and lets it in through the one door.

use std::sync::Arc;
use std::time::Duration;

use timberyard_connectors::kafka::{DecodeSettings, Destinations, KafkaInput};
use timberyard_model::sink::{Sink, SinkFuture};
use timberyard_model::{IngestRecord, Surface};
use timberyard_pipeline::{Intake, WayIn};
use timberyard_server::ServerSettings;
use timberyard_server::inputs::{InputFigures, Inputs};
use tokio::runtime::Handle;

use crate::config::Settings;
use crate::failure::Failure;

/// How long a batch waits at the door for room; it is not answered to anyone, and comes again.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is being read.
#[derive(Default)]
pub(crate) struct RunningInputs {
    kafka: Vec<KafkaInput>,
}

impl RunningInputs {
    /// Starts all of them. Must be called on a tokio runtime.
    pub(crate) fn start(
        settings: &Settings,
        server: &ServerSettings,
        intake: &Arc<Intake>,
    ) -> Result<Self, Failure> {
        let decode = DecodeSettings {
            limits: server.limits.clone(),
            node_id: (*server.node_id).into(),
            discover_service_name: server.discover_service_name,
            detect_level: server.detect_level,
            label_attributes: server.label_attributes.clone(),
        };
        let way_in =
            WayIn { surface: Surface::Kafka, limits: server.limits.record.clone(), patience: PATIENCE };
        let door = |is_processed| {
            Arc::new(Door { intake: Arc::clone(intake), way_in: way_in.clone(), is_processed })
                as Arc<dyn Sink>
        };
        let destinations = Destinations { ours: door(true), foreign: door(false) };
        let start = |(name, input): (&String, &crate::config::InputDescription)| {
            let kafka = input.kafka.as_ref()?;
            let (decode, destinations) = (decode.clone(), destinations.clone());
            Some(
                KafkaInput::start(name, kafka, decode, destinations, Handle::current())
                    .map_err(|reason| Failure::new(format!("input `{name}`: {reason}"))),
            )
        };
        let kafka = settings.inputs.iter().filter_map(start).collect::<Result<_, _>>()?;
        Ok(Self { kafka })
    }

    /// Ends what is being written, and reads no more. Blocks until that is done.
    pub(crate) fn stop(&self) {
        self.kafka.iter().for_each(KafkaInput::stop);
    }
}

impl Inputs for RunningInputs {
    fn figures(&self) -> Vec<InputFigures> {
        self.kafka.iter().map(figures).collect()
    }
}

fn figures(input: &KafkaInput) -> InputFigures {
    let statistics = input.statistics();
    let lag = statistics.lag.into_iter();
    InputFigures {
        name: input.name().to_owned(),
        messages: statistics.messages,
        rows: statistics.rows,
        repeated: statistics.repeated,
        dead_letters: statistics.dead_letters,
        retries: statistics.retries,
        rebalances: statistics.rebalances,
        buffered_bytes: statistics.buffered_bytes as u64,
        lag: lag
            .map(|((topic, partition), messages)| {
                (topic, partition, u64::try_from(messages).unwrap_or_default())
            })
            .collect(),
    }
}

/// The intake as what an input writes to. Rows that went through a door of ours before are not processed again.
struct Door {
    intake: Arc<Intake>,
    way_in: WayIn,
    is_processed: bool,
}

impl Sink for Door {
    fn name(&self) -> &str {
        "intake"
    }

    fn write(&self, record: IngestRecord) -> SinkFuture<'_> {
        Box::pin(async move {
            let way_in = self.way_in.clone();
            let taken = match self.is_processed {
                true => self.intake.submit_processed(way_in, record).await,
                false => self.intake.submit_from(way_in, record).await,
            };
            taken.map(drop)
        })
    }
}
