//! `GET /events`.

use crate::body::{self, Body};
use crate::call::Call;
use crate::convert;
use crate::versions::{ApiVersion, answers};
use api::media_type::{JSON, JSON_LINES, JSON_SEQ, NDJSON};
use bytes::Bytes;
use engine::{Error, Result};
use http::Response;
use http::header::ACCEPT;

pub(crate) async fn stream(call: Call) -> Result<Response<Body>> {
    let since = call.query.time("since", '\'')?;
    let until = call.query.time("until", '\'')?;
    if let (Some(from), Some(to)) = (since, until)
        && to < from
    {
        let (from, to) = (call.query.get("since"), call.query.get("until"));
        return Err(Error::invalid(format!("`since` time ({from}) cannot be after `until` time ({to})")));
    }
    let mut events = call.engine().events.subscribe(since, until, call.query.filters()?).await?;
    let content_type = negotiate(&call);
    let (sender, response) = body::channel(content_type);
    let (version, peer) = (call.version, call.peer);
    tokio::spawn(async move {
        let gone = peer.gone();
        tokio::pin!(gone);
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = &mut gone => return,
                () = sender.closed() => return,
            };
            let Some(event) = event else { return };
            let is_new_kind = event.kind == "image" && event.action == "create";
            if version < ApiVersion::minor(46) && is_new_kind {
                continue;
            }
            let line = answers::event(version, &convert::event::message(&event));
            let separator = if content_type == JSON_SEQ { "\x1e" } else { "" };
            if sender.send(Ok(Bytes::from(format!("{separator}{line}\n")))).await.is_err() {
                return;
            }
        }
    });
    Ok(response)
}

/// What the client accepts by name; wildcards do not count.
fn negotiate(call: &Call) -> &'static str {
    let accepted = call.request.headers().get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let asked = accepted.split(',').filter_map(|item| item.split(';').next()).map(str::trim);
    asked
        .filter_map(|item| {
            [JSON_LINES, NDJSON, JSON_SEQ].into_iter().find(|known| item.eq_ignore_ascii_case(known))
        })
        .next()
        // It is not one JSON document, but was called so.
        .unwrap_or(if call.version < ApiVersion::minor(52) { JSON } else { JSON_LINES })
}
