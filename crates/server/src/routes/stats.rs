//! `GET /containers/{id}/stats`.

use crate::body::{self, Body};
use crate::call::Call;
use crate::convert;
use crate::versions::ApiVersion;
use bytes::Bytes;
use engine::Result;
use engine::stats::StatsRequest;
use http::Response;

/// As much as most of them have.
const LINE_BYTES: usize = 4096;

pub(crate) async fn stream(call: Call) -> Result<Response<Body>> {
    let request = StatsRequest {
        stream: !call.query.has("stream") || call.query.flag("stream"),
        one_shot: call.version >= ApiVersion::minor(41) && call.query.flag("one-shot"),
    };
    let samples = call.engine().containers.stats(&call.name, request).await?;
    // The head goes out at once also where a second sample is to be waited for: who asks about many need not do so one
    // after the other. A client that has gone is noticed at the next line, a second later at most.
    let answers = convert::stats::Answers::default();
    Ok(body::pulled(api::media_type::JSON, (samples, answers), |(mut samples, mut answers)| async move {
        let (sample, previous) = samples.next().await?;
        let answer = answers.next(&sample, previous.as_deref());
        // Numbers and texts have a JSON form.
        let mut line = Vec::with_capacity(LINE_BYTES);
        let _ = serde_json::to_writer(&mut line, &answer);
        line.push(b'\n');
        Some((Bytes::from(line), (samples, answers)))
    }))
}
