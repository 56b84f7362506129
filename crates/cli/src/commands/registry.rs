//! What the user has to do with registries: `login`, `logout`, `search`, `tags`.

pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod search;
pub(crate) mod tags;
