//! What the API of Kubernetes says of pods: their labels, which no path has.
//!
//! A pod is asked for once in a while, not for each file. While the API is away lines go on with what their path says, and
//! it is asked again half a minute later: it never keeps a line waiting for longer than one question takes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;

/// How long the API is left alone when it did not answer.
pub(crate) const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// How long an answer counts: a pod of the same name may come again with other labels.
const KNOWN_FOR: Duration = Duration::from_secs(600);
/// Pods that are known at a time.
const KNOWN_MAX: usize = 10_000;

/// Who can be asked for a pod.
pub trait PodApi: Send + Sync {
    /// The pod as JSON (`v1.Pod`); `None` when there is none of that name.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    fn pod(&self, namespace: &str, name: &str) -> Result<Option<Vec<u8>>, String>;
}

/// Labels of pods, and whom to ask for them.
pub(crate) struct Pods {
    api: Box<dyn PodApi>,
    asked: Mutex<Asked>,
}

/// Labels of one pod.
type PodLabels = Arc<BTreeMap<String, String>>;

#[derive(Default)]
struct Asked {
    known: HashMap<(String, String), (Instant, PodLabels)>,
    away_since: Option<Instant>,
}

impl Pods {
    pub(crate) fn new(api: Box<dyn PodApi>) -> Self {
        Self { api, asked: Mutex::default() }
    }

    /// The labels of a pod; `None` while that cannot be known.
    pub(crate) fn labels(&self, namespace: &str, name: &str) -> Option<PodLabels> {
        if !is_name(namespace) || !is_name(name) {
            return Some(PodLabels::default());
        }
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (namespace.to_owned(), name.to_owned());
        if let Some((since, labels)) = asked.known.get(&key)
            && since.elapsed() < KNOWN_FOR
        {
            return Some(Arc::clone(labels));
        }
        if asked.away_since.is_some_and(|since| since.elapsed() < AGAIN_AFTER) {
            return None;
        }
        match self.api.pod(namespace, name).and_then(|pod| read(pod.as_deref())) {
            Ok(labels) => {
                let labels = Arc::new(labels);
                if asked.known.len() >= KNOWN_MAX {
                    asked.known.clear();
                }
                asked.known.insert(key, (Instant::now(), Arc::clone(&labels)));
                asked.away_since = None;
                Some(labels)
            }
            Err(problem) => {
                tracing::warn!(
                    namespace,
                    pod = name,
                    problem,
                    "Kubernetes does not say which labels a pod has"
                );
                asked.away_since = Some(Instant::now());
                None
            }
        }
    }
}

/// Whether Kubernetes could have given that name: it comes from a path, and becomes part of another one.
fn is_name(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    text.len() <= 253
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.bytes().all(is_allowed)
}

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// The labels of a pod; none of one that is gone.
fn read(pod: Option<&[u8]>) -> Result<BTreeMap<String, String>, String> {
    let Some(pod) = pod else { return Ok(BTreeMap::new()) };
    let pod: Pod = serde_json::from_slice(pod).map_err(|error| format!("the answer is no pod: {error}"))?;
    Ok(pod.metadata.labels)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Api {
        asked: Arc<AtomicUsize>,
    }

    impl PodApi for Api {
        fn pod(&self, namespace: &str, name: &str) -> Result<Option<Vec<u8>>, String> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            match (namespace, name) {
                ("shop", "gone") => Ok(None),
                ("shop", "away") => Err("nobody listens".to_owned()),
                ("shop", "odd") => Ok(Some(b"[]".to_vec())),
                _ => {
                    Ok(Some(format!(r#"{{"metadata":{{"labels":{{"app":"{name}"}}}},"spec":{{}}}}"#).into()))
                }
            }
        }
    }

    #[test]
    fn a_pod_is_asked_for_once_and_nobody_while_the_api_is_away() {
        let asked = Arc::<AtomicUsize>::default();
        let pods = Pods::new(Box::new(Api { asked: Arc::clone(&asked) }));
        let app = |name: &str| Some(pods.labels("shop", name)?.get("app").cloned().unwrap_or_default());
        assert_eq!(
            (app("api-1"), app("api-1"), app("gone")),
            (Some("api-1".into()), Some("api-1".into()), Some(String::new()))
        );
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        for name in ["../../secrets", "A", "a b", "", "a/b", "-a"] {
            assert_eq!(app(name), Some(String::new()), "{name} is the name of no pod, and is not asked for");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 2);
        assert_eq!((app("away"), app("api-2"), app("odd")), (None, None, None));
        assert_eq!(asked.load(Ordering::Relaxed), 3, "what is away is left alone for a while");
        assert_eq!(app("api-1"), Some("api-1".into()), "what is known stays known");
    }

    #[test]
    fn what_is_no_pod_says_so() {
        assert!(read(Some(b"{}")).is_err() && read(Some(b"[]")).is_err());
        assert_eq!(read(Some(br#"{"metadata":{}}"#)), Ok(BTreeMap::new()));
    }
}
