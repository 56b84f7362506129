//! Swarm and what belongs to one: nodes, services, tasks, secrets, configs. Wharf makes none and joins none (`swarm init` and
//! `swarm join` are refused by name), so to a client it is what any engine outside of one is, and answers as that.

use engine::{Error, Result};
use http::Response;

use crate::body::Body;
use crate::call::Call;

pub(crate) async fn ask_manager(_: Call) -> Result<Response<Body>> {
    Err(Error::no_swarm_manager())
}

pub(crate) async fn leave(_: Call) -> Result<Response<Body>> {
    Err(Error::unavailable("This node is not part of a swarm"))
}
