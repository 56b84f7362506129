//! Swarm and what belongs to one: nodes, services, tasks, secrets, configs. Wharf makes none and joins none (`swarm init` and
//! `swarm join` are refused by name), so to a client it is what any engine outside of one is, and answers as that.

use engine::{Error, Result};
use http::Response;

use crate::body::Body;
use crate::call::Call;

/// What only a manager can answer.
pub(crate) const NO_MANAGER: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect \
                                     this node to swarm and try again.";

pub(crate) async fn ask_manager(_: Call) -> Result<Response<Body>> {
    Err(Error::unavailable(NO_MANAGER))
}

pub(crate) async fn leave(_: Call) -> Result<Response<Body>> {
    Err(Error::unavailable("This node is not part of a swarm"))
}
