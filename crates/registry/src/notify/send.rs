//! Sending, one event after another, until the endpoint has said that it has it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, HeaderName, Method};

use super::queue::Queue;
use crate::blocking::blocking;
use crate::error::{Code, Error, Result};
use crate::log::{Level, Log};
use crate::settings::Endpoint;

const KIND: HeaderValue = HeaderValue::from_static("application/vnd.docker.distribution.events.v2+json");
/// How often one looks for events that another process has queued, and for a lock that it has let go.
const LOOK: Duration = Duration::from_secs(1);
/// Between two attempts, before there were too many of them.
const AGAIN: Duration = Duration::from_millis(50);

/// For ever.
pub(super) async fn all(endpoint: Endpoint, queue: Arc<Queue>, log: Log) {
    let headers = headers(&endpoint);
    let mut held = None;
    let mut failures = 0;
    loop {
        match round(&endpoint, &headers, &queue, &log, &mut held, &mut failures).await {
            Ok(true) => {}
            Ok(false) => _ = tokio::time::timeout(LOOK, queue.more.notified()).await,
            Err(error) => {
                log.say(Level::Error, &format!("events for {}: {error}", endpoint.name));
                tokio::time::sleep(endpoint.backoff.max(LOOK)).await;
            }
        }
    }
}

/// Sends what waits; whether there was anything.
async fn round(
    endpoint: &Endpoint,
    headers: &HeaderMap,
    queue: &Arc<Queue>,
    log: &Log,
    held: &mut Option<std::fs::File>,
    failures: &mut u32,
) -> Result<bool> {
    if held.is_none() {
        let queue = queue.clone();
        *held = blocking(move || queue.lock()).await?;
    }
    if held.is_none() {
        return Ok(false);
    }
    let waiting = {
        let queue = queue.clone();
        blocking(move || queue.waiting()).await?
    };
    if waiting.dropped > 0 {
        let message = format!("{}: {} events were too many and are lost", endpoint.name, waiting.dropped);
        log.say(Level::Error, &message);
    }
    let any = !waiting.paths.is_empty();
    for path in waiting.paths {
        let envelope = read(path.clone()).await?;
        while let Err(why) = post(endpoint, headers, envelope.clone()).await {
            *failures += 1;
            if *failures < endpoint.threshold {
                tokio::time::sleep(AGAIN.min(endpoint.backoff)).await;
                continue;
            }
            if *failures == endpoint.threshold {
                let message = format!("{}: {why}: trying again every {:?}", endpoint.name, endpoint.backoff);
                log.say(Level::Warn, &message);
            }
            tokio::time::sleep(endpoint.backoff).await;
        }
        *failures = 0;
        remove(path).await?;
    }
    Ok(any)
}

async fn post(endpoint: &Endpoint, headers: &HeaderMap, envelope: Bytes) -> Result<(), String> {
    let asked = endpoint.place.ask(Method::POST, headers, envelope);
    match tokio::time::timeout(endpoint.timeout, asked).await {
        Err(_) => Err(format!("no answer within {:?}", endpoint.timeout)),
        Ok(Err(why)) => Err(why),
        // As in Docker's registry.
        Ok(Ok(status)) if status.is_success() || status.is_redirection() => Ok(()),
        Ok(Ok(status)) => Err(format!("response status {status} unaccepted")),
    }
}

fn headers(endpoint: &Endpoint) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, KIND);
    for (name, value) in &endpoint.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    headers
}

async fn read(path: PathBuf) -> Result<Bytes> {
    let read = tokio::fs::read(&path).await;
    read.map(Bytes::from).map_err(|error| failed("read", &path, &error))
}

async fn remove(path: PathBuf) -> Result<()> {
    tokio::fs::remove_file(&path).await.map_err(|error| failed("remove", &path, &error))
}

fn failed(what: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::new(Code::Unknown, format!("{what} {}: {error}", path.display()))
}
