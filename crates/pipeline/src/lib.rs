//! The one door in: admission, fan-out to sinks, and the hub that live tails listen to.
//!
//! A batch goes through [`Intake::submit_from`]. The steps that rules ask for are applied to it; it is admitted while there is
//! room for its bytes, written to every required sink, and only when all of them have made it durable is it shown to
//! tails, offered to the best-effort sinks, and acknowledged. Nothing here decodes, stores or serves.

pub mod admission;
pub mod broker;
pub mod counters;
pub mod demoted_labels_source;
pub mod drain;
pub mod intake;
mod joined_source;
pub mod process;
pub mod processing;
pub mod sink_driver;
pub mod spool;
pub mod tail_hub;

pub use broker::{Broker, Taken};
pub use demoted_labels_source::DemotedLabelsSource;
pub use drain::{DrainGauge, Entered};
pub use intake::{Intake, IntakeError, Receipt, WayIn};
pub use joined_source::JoinedSource;
pub use process::label_demotion::LabelDemotion;
pub use processing::Processing;
pub use tail_hub::{TailEvent, TailHub, TailSubscription};
