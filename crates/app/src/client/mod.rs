//! Talking to a server as a client: which one, as whom, and what to do when it does not answer;
//! and the few questions to services that are not ours.

mod endpoint;
mod http;
mod kubernetes;
mod provider;
mod questions;
mod trust;

pub(crate) use endpoint::{Endpoint, with_parameters};
pub(crate) use http::{Client, Delivery, RetryLimits};
pub(crate) use kubernetes::KubernetesClient;
pub(crate) use provider::HttpProviderClient;
pub(crate) use timberyard_agent::Backoff;
