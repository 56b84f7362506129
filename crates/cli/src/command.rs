//! What a command is: a row in a static tree.
//!
//! A verb's file in `commands/<noun>/` holds one [`Command`] and the function it runs. The noun's `mod.rs` lists its
//! verbs, and `commands/mod.rs` says which verbs also stand at the top (`docker ps` is `docker container ls`). Nothing
//! of this is built at run time: the tree is `const`, and only the chosen command's flags are looked at.

use std::future::Future;
use std::pin::Pin;

use crate::app::App;
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};

/// What a command's future yields: the exit status.
pub(crate) type Outcome = Result<u8, Failure>;

/// A command, or a part of one, at work.
pub(crate) type Running<'a, T = u8> = Pin<Box<dyn Future<Output = Result<T, Failure>> + 'a>>;

/// A verb.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// Further names below the noun (`ls`: `list`, `ps`).
    pub(crate) aliases: &'static [&'static str],
    /// What follows the command's path in the usage line.
    pub(crate) usage: &'static str,
    pub(crate) about: &'static str,
    pub(crate) flags: &'static [Flag],
    pub(crate) operands: Operands,
    /// Off: the first operand ends the flags.
    pub(crate) interspersed: bool,
    /// The full spellings on the help page, when there is more than one.
    pub(crate) spellings: &'static [&'static str],
    pub(crate) run: for<'a> fn(&'a App, Parsed) -> Running<'a>,
}

/// How many operands a command takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operands {
    None,
    Exactly(usize),
    AtLeast(usize),
    AtMost(usize),
    Between(usize, usize),
}

impl Operands {
    /// Why `count` operands are wrong, as Docker says it after the command's path.
    pub(crate) fn complaint(self, count: usize) -> Option<String> {
        let plural = |n: usize| if n == 1 { "argument" } else { "arguments" };
        match self {
            Self::None if count > 0 => Some("accepts no arguments".into()),
            Self::Exactly(n) if count != n => Some(format!("requires {n} {}", plural(n))),
            Self::AtLeast(n) if count < n => Some(format!("requires at least {n} {}", plural(n))),
            Self::AtMost(n) if count > n => Some(format!("requires at most {n} {}", plural(n))),
            Self::Between(min, max) if !(min..=max).contains(&count) => {
                Some(format!("requires at least {min} and at most {max} {}", plural(max)))
            }
            _ => None,
        }
    }
}

/// A noun with its verbs.
#[derive(Debug)]
pub(crate) struct Noun {
    pub(crate) name: &'static str,
    /// What follows it in complaints; not each of Docker's nouns has it.
    pub(crate) usage: &'static str,
    pub(crate) about: &'static str,
    pub(crate) verbs: &'static [&'static Command],
}

impl Noun {
    pub(crate) fn verb(&self, name: &str) -> Option<&'static Command> {
        self.verbs.iter().copied().find(|verb| verb.name == name || verb.aliases.contains(&name))
    }
}
