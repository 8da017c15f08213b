//! How the lines of one target are read, and which labels they have.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use timberyard_model::Labels;

use crate::format::{Fields, Format};
use crate::journal;
use crate::kubernetes;
use crate::multiline::Joining;
use crate::pods::Pods;
use crate::settings::{AgentSettings, Encoding, SettingsError};
use crate::steps::Steps;

/// How the lines of one target are read.
pub(crate) struct Reading {
    pub(crate) format: Format,
    pub(crate) encoding: Encoding,
    pub(crate) joining: Option<Joining>,
    pub(crate) line_bytes_max: usize,
    /// The longest text of an entry: that of an entry of the journal may be shorter than its line.
    pub(crate) part_bytes_max: usize,
    /// Whether the files are those of a buffer.
    pub(crate) spooled: bool,
    labels: BTreeMap<String, String>,
    path_label: String,
    kubernetes: bool,
    /// Names of labels, and what Kubernetes calls them.
    pod_labels: BTreeMap<String, String>,
    /// Whom to ask for them.
    pods: Option<Arc<Pods>>,
    pub(crate) steps: Option<Arc<Steps>>,
}

impl Reading {
    /// How a target's lines are read, by its number.
    pub(crate) fn new(
        settings: &AgentSettings,
        number: usize,
        pods: Option<&Arc<Pods>>,
    ) -> Result<Self, SettingsError> {
        let key = |name: &str| format!("targets[{number}]{name}");
        let refuse = |reason: String| SettingsError::Value { key: key(""), reason };
        let target = settings.targets.get(number).ok_or_else(|| refuse("is not there".to_owned()))?;
        let joining = target.multiline.as_ref().map(Joining::new).transpose();
        let joining = joining.map_err(|reason| SettingsError::Value { key: key(".multiline"), reason })?;
        let labels = settings.labels.clone().into_iter().chain(target.labels.clone()).collect();
        let path_label = target.path_label.clone();
        let steps = target.steps.iter().chain(&settings.steps).cloned().collect();
        let steps = Steps::new(steps, target.time.as_ref()).map_err(refuse)?;
        Ok(Self {
            kubernetes: target.kubernetes,
            pod_labels: target.pod_labels.clone(),
            pods: pods.filter(|_| !target.pod_labels.is_empty()).cloned(),
            steps,
            format: target.format,
            encoding: target.encoding,
            joining,
            line_bytes_max: match target.format {
                Format::Journal => journal::ENTRY_BYTES_MAX as usize,
                _ => settings.line_bytes_max,
            },
            part_bytes_max: match target.format {
                Format::Journal => settings.line_bytes_max,
                // Its lines are cut already; joined ones and those of containers are as long at most.
                _ => usize::MAX,
            },
            spooled: target.spooled,
            labels,
            path_label,
        })
    }

    /// The labels of lines, and whether more of them may be known later.
    pub(crate) fn labels_of(&self, base: &Path, origin: &Origin) -> (Labels, bool) {
        let mut may_grow = false;
        let mut labels = self.labels.clone();
        if !self.path_label.is_empty() {
            labels.insert(self.path_label.clone(), base.to_string_lossy().into_owned());
        }
        if self.kubernetes
            && let Some(pod) = kubernetes::labels(base)
        {
            let [(_, namespace), (_, name), _] = pod;
            labels.extend(pod.map(|(name, value)| (name.to_owned(), value.to_owned())));
            if let Some(pods) = &self.pods {
                let known = pods.labels(namespace, name);
                may_grow = known.is_none();
                let value = |key: &String| known.as_ref()?.get(key).cloned();
                let of_pod =
                    self.pod_labels.iter().filter_map(|(name, key)| Some((name.clone(), value(key)?)));
                labels.extend(of_pod);
            }
        }
        if let Some(stream) = origin.stream {
            labels.insert("stream".to_owned(), stream.to_owned());
        }
        labels.extend(origin.labels().iter().cloned());
        (Labels::from_pairs(labels), may_grow)
    }
}

/// What a runtime has written beside a line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) nanos: Option<i64>,
    pub(crate) stream: Option<&'static str>,
    pub(crate) fields: Option<Arc<Fields>>,
}

impl Origin {
    /// Labels of the line's own.
    pub(crate) fn labels(&self) -> &[(String, String)] {
        self.fields.as_ref().map_or(&[], |fields| &fields.labels)
    }
}
