//! Operations that are answered with lines of JSON while they go on: load, import, pull, push.

use std::future::Future;
use std::sync::Arc;

use api::media_type::JSON;
use api::progress::{ErrorDetail, ProgressMessage};
use bytes::Bytes;
use engine::images::{Progress, Report};
use engine::{Error, Result};
use http::{Response, StatusCode};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::body::{self, Body, ChunkSender};
use crate::convert;
use crate::listen::Peer;

/// Where an operation's lines go. Unbounded: lines are few and small, and may be put from any thread.
#[derive(Clone)]
pub(crate) struct Lines(mpsc::UnboundedSender<Bytes>);

impl Lines {
    pub(crate) fn put(&self, line: &ProgressMessage) {
        // Strings and numbers have a JSON form; a client that has gone needs no lines.
        let mut text = serde_json::to_vec(line).unwrap_or_default();
        text.extend_from_slice(b"\r\n");
        let _ = self.0.send(text.into());
    }

    /// Lines of what a pull or push tells.
    pub(crate) fn report(self) -> Report {
        Box::new(move |progress| self.put(&line(progress)))
    }
}

fn line(progress: Progress) -> ProgressMessage {
    match progress {
        Progress::Line(status) => ProgressMessage { status, ..Default::default() },
        Progress::Status { id, status } => ProgressMessage { id, status, ..Default::default() },
        Progress::Layer { id, status, current, total } => ProgressMessage {
            id,
            status: status.to_owned(),
            progress_detail: Some(convert::registry::detail(current, total)),
            ..Default::default()
        },
        Progress::PushedInstead { index, manifest } => ProgressMessage {
            progress_detail: Some(convert::registry::detail(0, 0)),
            aux: Some(serde_json::json!({
                "manifestPushedInsteadOfIndex": true,
                "originalIndex": convert::image::descriptor(&index),
                "selectedManifest": convert::image::descriptor(&manifest),
            })),
            ..Default::default()
        },
        Progress::Pushed { tag, digest, size } => ProgressMessage {
            progress_detail: Some(convert::registry::detail(0, 0)),
            aux: Some(serde_json::json!({ "Tag": tag, "Digest": digest, "Size": size })),
            ..Default::default()
        },
    }
}

/// Runs an operation and answers its lines. A failure before the first line is a proper error; later it is a line. What has
/// begun is finished, whether its client is there or not.
pub(crate) async fn progress<F, T>(operation: F) -> Result<Response<Body>>
where
    F: FnOnce(Lines) -> T,
    T: Future<Output = Result<()>> + Send + 'static,
{
    let (sender, lines) = mpsc::unbounded_channel();
    let running = tokio::spawn(operation(Lines(sender)));
    answer(running, lines, std::future::pending()).await
}

/// As [`progress`], of an operation that ends when its client goes: nobody waits for it any more.
pub(crate) async fn transfer<F, T>(peer: Arc<Peer>, operation: F) -> Result<Response<Body>>
where
    F: FnOnce(Lines) -> T,
    T: Future<Output = Result<()>> + Send + 'static,
{
    let (sender, lines) = mpsc::unbounded_channel();
    let operation = operation(Lines(sender));
    let gone = peer.clone();
    let running = tokio::spawn(async move {
        tokio::select! {
            outcome = operation => outcome,
            () = gone.gone() => Err(Error::new(engine::Class::Cancelled, "the client has gone")),
        }
    });
    answer(running, lines, async move { peer.gone().await }).await
}

async fn answer(
    mut running: JoinHandle<Result<()>>,
    mut lines: mpsc::UnboundedReceiver<Bytes>,
    gone: impl Future<Output = ()> + Send + 'static,
) -> Result<Response<Body>> {
    let first = lines.recv().await;
    if first.is_none() {
        outcome((&mut running).await)?;
        return Ok(body::bytes(StatusCode::OK, JSON, Vec::new()));
    }
    let (to, response) = body::channel(JSON);
    tokio::spawn(async move {
        let send = async {
            let mut line = first;
            while let Some(text) = line {
                if to.send(Ok(text)).await.is_err() {
                    return;
                }
                line = lines.recv().await;
            }
            if let Err(e) = outcome(running.await) {
                send_error(&to, &e).await;
            }
        };
        tokio::select! {
            () = send => {}
            () = gone => {}
        }
    });
    Ok(response)
}

fn outcome(ended: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|e| Err(Error::internal(format!("the operation broke off: {e}"))))
}

async fn send_error(to: &ChunkSender, e: &Error) {
    let line = error_line(e);
    let mut text = serde_json::to_vec(&line).unwrap_or_default();
    text.extend_from_slice(b"\r\n");
    // A client that has gone needs no reason.
    let _ = to.send(Ok(text.into())).await;
}

pub(crate) fn error_line(e: &Error) -> ProgressMessage {
    let message = e.message.clone();
    ProgressMessage {
        error: message.clone(),
        error_detail: Some(ErrorDetail { message, code: 0 }),
        ..Default::default()
    }
}
