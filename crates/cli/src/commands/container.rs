//! `container`: its verbs, and what several of them share.

use std::ops::ControlFlow;

use crate::app::App;
use crate::command::{Noun, Outcome};
use crate::failure::Failure;
use crate::output;

mod api_socket;
pub(crate) mod attach;
pub(crate) mod commit;
pub(crate) mod cp;
pub(crate) mod create;
pub(crate) mod debug;
pub(crate) mod diff;
pub(crate) mod exec;
pub(crate) mod export;
mod in_order;
pub(crate) mod inspect;
pub(crate) mod kill;
pub(crate) mod logs;
pub(crate) mod ls;
pub(crate) mod pause;
pub(crate) mod port;
pub(crate) mod prune;
pub(crate) mod rename;
pub(crate) mod restart;
pub(crate) mod rm;
pub(crate) mod run;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod stop;
pub(crate) mod top;
pub(crate) mod unpause;
pub(crate) mod update;
pub(crate) mod wait;
pub(crate) mod why;

pub(crate) const NOUN: Noun = Noun {
    name: "container",
    usage: "",
    about: "Manage containers",
    verbs: &[
        &attach::COMMAND,
        &commit::COMMAND,
        &cp::COMMAND,
        &create::COMMAND,
        &debug::COMMAND,
        &diff::COMMAND,
        &exec::COMMAND,
        &export::COMMAND,
        &inspect::COMMAND,
        &kill::COMMAND,
        &logs::COMMAND,
        &ls::COMMAND,
        &pause::COMMAND,
        &port::COMMAND,
        &prune::COMMAND,
        &rename::COMMAND,
        &restart::COMMAND,
        &rm::COMMAND,
        &run::COMMAND,
        &start::COMMAND,
        &stats::COMMAND,
        &stop::COMMAND,
        &top::COMMAND,
        &unpause::COMMAND,
        &update::COMMAND,
        &wait::COMMAND,
        &why::COMMAND,
    ],
};

/// Does something to each container, to `at_once` at a time, and prints its name; failures are printed at the end, and the
/// status is 1.
pub(crate) async fn each<'a, F>(
    app: &'a App,
    names: &'a [String],
    at_once: usize,
    mut act: impl FnMut(&'a App, &'a str) -> F,
) -> Outcome
where
    F: Future<Output = Result<(), client::Error>>,
{
    let mut told = Told::default();
    in_order::each(names, at_once, |name| act(app, name), |name, result| told.hear(name, result)).await;
    told.outcome()
}

/// What became of each container so far.
#[derive(Default)]
struct Told {
    failures: Vec<String>,
    no_engine: bool,
}

impl Told {
    /// Broken off where there is no engine: the others would say the same.
    fn hear(&mut self, name: &str, result: Result<(), client::Error>) -> ControlFlow<()> {
        match result {
            Ok(()) => output::out(&format!("{name}\n")),
            Err(error) => {
                self.no_engine |= error.is_connect();
                self.failures.push(error.to_string());
            }
        }
        if self.no_engine { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn fail(&mut self, why: &str) -> ControlFlow<()> {
        self.failures.push(why.to_owned());
        ControlFlow::Continue(())
    }

    fn outcome(self) -> Outcome {
        if self.failures.is_empty() {
            return Ok(0);
        }
        Err(Failure { no_engine: self.no_engine, ..Failure::new(self.failures.join("\n")) })
    }
}
