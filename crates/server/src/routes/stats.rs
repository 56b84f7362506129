//! `GET /containers/{id}/stats`.

use crate::body::{self, Body};
use crate::call::Call;
use crate::convert;
use crate::versions::ApiVersion;
use bytes::Bytes;
use engine::Result;
use engine::stats::StatsRequest;
use http::Response;

pub(crate) async fn stream(call: Call) -> Result<Response<Body>> {
    let request = StatsRequest {
        stream: !call.query.has("stream") || call.query.flag("stream"),
        one_shot: call.version >= ApiVersion::minor(41) && call.query.flag("one-shot"),
    };
    let mut samples = call.engine().containers.stats(&call.name, request).await?;
    // The head goes out at once also where a second sample is to be waited for: who asks about many need not do so one
    // after the other.
    let (sender, response) = body::channel(api::media_type::JSON);
    let peer = call.peer;
    tokio::spawn(async move {
        let gone = peer.gone();
        tokio::pin!(gone);
        loop {
            let (sample, previous) = tokio::select! {
                next = samples.next() => match next {
                    Some(next) => next,
                    None => return,
                },
                () = &mut gone => return,
                () = sender.closed() => return,
            };
            // Numbers and texts have a JSON form.
            let answer = convert::stats::response(&sample, previous.as_deref());
            let mut line = serde_json::to_vec(&answer).unwrap_or_default();
            line.push(b'\n');
            if sender.send(Ok(Bytes::from(line))).await.is_err() {
                return;
            }
        }
    });
    Ok(response)
}
