//! What the `prune` verbs share, and the list that `system prune` goes through.

use api::filters::Filters;

use crate::app::App;
use crate::command::{Outcome, Running};
use crate::commands::{container, image, network, volume};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::output::units::human_size;
use crate::{filters, output, prompt};

/// What is to go.
#[derive(Debug)]
pub(crate) struct Options {
    /// All that is unused, not only what has no name.
    pub(crate) all: bool,
    /// Volumes, too.
    pub(crate) volumes: bool,
    /// The line's and the configuration's.
    pub(crate) filters: Filters,
}

/// What went.
#[derive(Debug, Default)]
pub(crate) struct Pruned {
    /// With its title; empty when nothing went.
    pub(crate) list: String,
    pub(crate) space_bytes: u64,
}

/// One kind of thing.
pub(crate) struct Pruner {
    /// What the warning of `system prune` says of it; `None`: it stays.
    pub(crate) warning: fn(&Options) -> Option<&'static str>,
    pub(crate) run: for<'a> fn(&'a App, &'a Options) -> Running<'a, Pruned>,
}

/// In Docker's order: what is used by the one before goes after it. A kind that is built gets its line here.
pub(crate) const PRUNERS: &[&Pruner] =
    &[&container::prune::PRUNER, &network::prune::PRUNER, &volume::prune::PRUNER, &image::prune::PRUNER];

pub(crate) const FORCE: Flag = Flag::switch("force", "Do not prompt for confirmation").short('f');

/// What the line says.
pub(crate) fn options(app: &App, line: &Parsed, all: bool) -> Options {
    let volumes = line.knows("volumes") && line.switch("volumes");
    Options { all, volumes, filters: app.config.prune_filters(filters::collect(&line.list("filter"))) }
}

/// Asks, unless `--force` was said. False: it shall not be done, which is told to nobody: who said no knows.
pub(crate) async fn confirmed(line: &Parsed, warning: &str) -> Result<bool, Failure> {
    if line.switch("force") {
        return Ok(true);
    }
    prompt::confirm(&format!("{warning}\nAre you sure you want to continue?")).await
}

/// Runs one kind for its own command.
pub(crate) async fn run(app: &App, line: &Parsed, pruner: &Pruner, all: bool, warning: &str) -> Outcome {
    if !confirmed(line, warning).await? {
        return Ok(0);
    }
    let options = options(app, line, all);
    let pruned = (pruner.run)(app, &options).await?;
    if !pruned.list.is_empty() {
        output::out(&format!("{}\n", pruned.list));
    }
    output::out(&total(pruned.space_bytes));
    Ok(0)
}

pub(crate) fn total(space_bytes: u64) -> String {
    format!("Total reclaimed space: {}\n", human_size(space_bytes as f64, 4))
}
