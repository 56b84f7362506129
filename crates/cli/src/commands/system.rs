//! `system`: the engine about itself.

use crate::command::Noun;

pub(crate) mod df;
pub(crate) mod events;
pub(crate) mod info;
pub(crate) mod prune;

pub(crate) const NOUN: Noun = Noun {
    name: "system",
    usage: "",
    about: "Manage the engine",
    verbs: &[&df::COMMAND, &events::COMMAND, &info::COMMAND, &prune::COMMAND],
};
