//! What the path of a container's log says: namespace, pod and container.
//!
//! `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/N.log` is where the kubelet has them written; `/var/log/containers` holds links named
//! `POD_NAMESPACE_CONTAINER-ID.log`. None of the names can have a `_` in it.

use std::path::Path;

/// The labels that a path gives; `None` when it is not one of a container's log.
pub(crate) fn labels(path: &Path) -> Option<[(&'static str, &str); 3]> {
    let file = path.file_name()?.to_str()?;
    let parent = path.parent()?;
    let pod = parent.parent().and_then(Path::file_name).and_then(|name| name.to_str());
    if let (Some(container), Some(pod)) = (parent.file_name().and_then(|name| name.to_str()), pod)
        && let Some((namespace, rest)) = pod.split_once('_')
        && let Some((pod, _uid)) = rest.split_once('_')
        && file.starts_with(|first: char| first.is_ascii_digit())
    {
        return Some([("namespace", namespace), ("pod", pod), ("container", container)]);
    }
    let mut parts = file.strip_suffix(".log")?.splitn(3, '_');
    let (pod, namespace, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (container, _id) = rest.rsplit_once('-')?;
    Some([("namespace", namespace), ("pod", pod), ("container", container)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_containers_say_where_they_run() {
        let expected = Some([("namespace", "shop"), ("pod", "api-7d9f-x2"), ("container", "web-app")]);
        for path in [
            "/var/log/pods/shop_api-7d9f-x2_0f5c7a3e-1111-4222-8333-444455556666/web-app/0.log",
            "/var/log/pods/shop_api-7d9f-x2_0f5c7a3e/web-app/12.log.20261121-100000",
            "/var/log/containers/api-7d9f-x2_shop_web-app-4a5b6c7d8e9f.log",
        ] {
            assert_eq!(labels(Path::new(path)), expected, "{path}");
        }
        for path in ["/var/log/syslog", "/var/log/app/x_y.log", "/a/b_c_d/e/app.log", "/"] {
            assert_eq!(labels(Path::new(path)), None, "{path}");
        }
    }
}
