//! What builds leave.

use crate::body::{self, Body};
use crate::call::Call;
use api::build::BuildPruneResponse;
use engine::Result;
use http::{Response, StatusCode};

/// Docker's `system prune` asks for it each time. There is no build yet that could have left a cache.
pub(crate) async fn prune(call: Call) -> Result<Response<Body>> {
    call.query.filters()?;
    Ok(body::json(StatusCode::OK, &BuildPruneResponse::default()))
}
