//! Whether this registry can do what it is for: what the settings want looked at, again and again. Requests are refused while
//! something fails, so that a load balancer goes elsewhere.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method};
use serde_json::{Map, Value};
use tokio::net::TcpStream;

use crate::blocking::blocking;
use crate::settings::{Check, Checked};
use crate::storage::Storage;

#[derive(Debug)]
pub(crate) struct Health {
    checks: Vec<Check>,
    storage: Storage,
    /// By what is looked at: what is wrong with it. A look or a change; never across an await.
    failing: Mutex<BTreeMap<String, String>>,
}

impl Health {
    pub(crate) fn watch(checks: &[Check], storage: &Storage) -> Arc<Health> {
        Arc::new(Health { checks: checks.to_vec(), storage: storage.clone(), failing: Mutex::default() })
    }

    /// One that never ends for each check.
    pub(crate) fn checks(self: &Arc<Self>) -> Vec<impl Future<Output = ()> + Send + 'static> {
        let each = |check: &Check| {
            let (health, check) = (self.clone(), check.clone());
            async move { health.look(&check).await }
        };
        self.checks.iter().map(each).collect()
    }

    /// Everything that fails: nothing, if all is well.
    pub(crate) fn failing(&self) -> Option<Value> {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let map = failing.iter().map(|(name, what)| (name.clone(), what.as_str().into()));
        (!failing.is_empty()).then(|| Value::Object(map.collect::<Map<_, _>>()))
    }

    async fn look(&self, check: &Check) {
        let name = match &check.what {
            Checked::Storage => format!("storagedriver_{}", self.storage.kind()),
            Checked::File(path) => path.display().to_string(),
            Checked::Tcp { address, .. } => address.clone(),
            Checked::Http { url, .. } => url.clone(),
        };
        let mut in_a_row = 0;
        loop {
            let outcome = self.once(&check.what).await;
            in_a_row = if outcome.is_ok() { 0 } else { in_a_row + 1 };
            {
                let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
                match outcome {
                    Ok(()) => _ = failing.remove(&name),
                    Err(what) if in_a_row >= check.threshold => _ = failing.insert(name.clone(), what),
                    Err(_) => {}
                }
            }
            tokio::time::sleep(check.every).await;
        }
    }

    async fn once(&self, what: &Checked) -> Result<(), String> {
        match what {
            Checked::Storage => {
                let storage = self.storage.clone();
                blocking(move || storage.reach_medium()).await.map_err(|error| error.message)
            }
            // Somebody makes it to take this registry out of service.
            Checked::File(path) => match tokio::fs::symlink_metadata(path).await {
                Ok(_) => Err("file exists".into()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error.to_string()),
            },
            Checked::Http { place, headers, status, timeout, .. } => {
                let mut map = HeaderMap::new();
                for (name, value) in headers {
                    if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), value.parse()) {
                        map.append(name, value);
                    }
                }
                let asked = place.ask(Method::HEAD, &map, Bytes::new());
                match tokio::time::timeout(*timeout, asked).await {
                    Ok(Ok(found)) if found.as_u16() == *status => Ok(()),
                    Ok(Ok(found)) => {
                        Err(format!("downstream service returned unexpected status: {}", found.as_u16()))
                    }
                    Ok(Err(why)) => Err(why),
                    Err(_) => Err("i/o timeout".into()),
                }
            }
            Checked::Tcp { address, timeout } => {
                let connected = async {
                    let (host, port) = address.rsplit_once(':').ok_or("no port in it")?;
                    let port = port.parse().map_err(|_| "no port in it")?;
                    let found = dial::resolve(host.trim_matches(['[', ']']), port).await;
                    let addresses = found.map_err(|error| error.to_string())?;
                    TcpStream::connect(addresses.as_slice()).await.map_err(|error| error.to_string())
                };
                match tokio::time::timeout(*timeout, connected).await {
                    Ok(connected) => connected.map(drop),
                    Err(_) => Err("i/o timeout".into()),
                }
            }
        }
    }
}
