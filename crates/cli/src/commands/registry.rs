//! What the user has to do with registries: `login`, `logout`.

pub(crate) mod login;
pub(crate) mod logout;
