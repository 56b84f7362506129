//! Managed plugins. None can be installed (`pull` and `create` are refused by name), so there is none of any name. (Plugins of the
//! first kind, programs with a socket, are not listed here by Docker either.)

use engine::{Error, Result};
use http::{Response, StatusCode};

use crate::body::{self, Body};
use crate::call::Call;

pub(crate) async fn list(call: Call) -> Result<Response<Body>> {
    call.query.filters()?;
    Ok(body::json(StatusCode::OK, &Vec::<()>::new()))
}

pub(crate) async fn find(call: Call) -> Result<Response<Body>> {
    Err(Error::not_found(format!("plugin {:?} not found", call.name)))
}
