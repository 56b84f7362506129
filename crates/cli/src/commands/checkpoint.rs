//! `checkpoint`: its verbs.

use crate::command::Noun;

pub(crate) mod create;
pub(crate) mod ls;
pub(crate) mod rm;

pub(crate) const NOUN: Noun = Noun {
    name: "checkpoint",
    usage: " COMMAND",
    about: "Manage checkpoints",
    verbs: &[&create::COMMAND, &ls::COMMAND, &rm::COMMAND],
};
