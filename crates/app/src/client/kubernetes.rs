//! Asks Kubernetes for pods, for the agent.

use std::fs;
use std::path::PathBuf;

use timberyard_agent::PodApi;
use timberyard_agent::settings::KubernetesSettings;

use super::questions;
use crate::failure::Failure;

/// Where a pod finds token and certificates of its service account.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A client of the API of one cluster.
pub(crate) struct KubernetesClient {
    agent: ureq::Agent,
    root: String,
    token_file: PathBuf,
}

impl KubernetesClient {
    /// The API that the settings name, else that of the cluster in which the process runs; `None` where there is neither.
    ///
    /// # Errors
    /// When the certificates cannot be read, where TLS is spoken.
    pub(crate) fn of(
        settings: &KubernetesSettings,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, Failure> {
        let in_cluster = || {
            let host = variable("KUBERNETES_SERVICE_HOST")?;
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            let port = variable("KUBERNETES_SERVICE_PORT").unwrap_or_else(|| "443".to_owned());
            Some(format!("https://{host}:{port}"))
        };
        let Some(root) = settings.api.clone().or_else(in_cluster) else { return Ok(None) };
        let of_account = |name: &str| PathBuf::from(SERVICE_ACCOUNT).join(name);
        let roots =
            settings.ca_file.clone().or_else(|| Some(of_account("ca.crt")).filter(|file| file.exists()));
        Ok(Some(Self {
            agent: questions::client(&root, roots.as_deref())?,
            root: root.trim_end_matches('/').to_owned(),
            token_file: settings.token_file.clone().unwrap_or_else(|| of_account("token")),
        }))
    }
}

impl PodApi for KubernetesClient {
    fn pod(&self, namespace: &str, name: &str) -> Result<Option<Vec<u8>>, String> {
        let url = format!("{}/api/v1/namespaces/{namespace}/pods/{name}", self.root);
        let request = self.agent.get(&url).header("Accept", "application/json");
        // It is exchanged every hour. A proxy on this machine wants none.
        let request = match fs::read_to_string(&self.token_file) {
            Ok(token) => request.header("Authorization", format!("Bearer {}", token.trim())),
            Err(_) => request,
        };
        match request.call() {
            Ok(response) if response.status().as_u16() == 404 => Ok(None),
            response => questions::body(&url, response).map(Some),
        }
    }
}
