//! `container`: its verbs, and what several of them share.

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

/// Does something to each container and prints its name; failures are printed at the end, and the status is 1.
pub(crate) async fn each<'a, F>(
    app: &'a App,
    names: &'a [String],
    mut act: impl FnMut(&'a App, &'a str) -> F,
) -> Outcome
where
    F: Future<Output = Result<(), client::Error>>,
{
    let mut failures: Vec<String> = Vec::new();
    let mut no_engine = false;
    for name in names {
        match act(app, name).await {
            Ok(()) => output::out(&format!("{name}\n")),
            Err(error) => {
                no_engine |= error.is_connect();
                failures.push(error.to_string());
                if no_engine {
                    break;
                }
            }
        }
    }
    if failures.is_empty() {
        return Ok(0);
    }
    Err(Failure { no_engine, ..Failure::new(failures.join("\n")) })
}
