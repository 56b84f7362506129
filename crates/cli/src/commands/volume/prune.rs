//! `volume prune`: removes what no container refers to.

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::commands::prune::{Pruned, Pruner};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::output::units::human_size;
use crate::{filters, output, prompt};

pub(crate) const COMMAND: Command = Command {
    name: "prune",
    aliases: &[],
    usage: "[OPTIONS]",
    about: "Remove unused local volumes",
    flags: &[
        Flag::switch("all", "Remove all unused volumes, not just anonymous ones").short('a'),
        Flag::checked_list(
            "filter",
            "filter",
            filters::check,
            "Provide filter values (e.g. \"label=<label>\")",
        ),
        Flag::switch("force", "Do not prompt for confirmation").short('f'),
    ],
    operands: Operands::None,
    interspersed: true,
    spellings: &["volume prune"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let mut filters = app.config.prune_filters(filters::collect(&line.list("filter")));
    let all = line.switch("all");
    if all {
        if filters.get("all").next().is_some() {
            return Err(Failure::new("conflicting options: cannot specify both --all and --filter all=1"));
        }
        filters.add("all", "true");
    }
    let what = if all { "all local volumes" } else { "anonymous local volumes" };
    let warning = format!(
        "WARNING! This will remove {what} not used by at least one container.\nAre you sure you want to continue?"
    );
    if !line.switch("force") && !prompt::confirm(&warning).await? {
        // Told to nobody, as Docker does: who said no knows.
        return Ok(0);
    }
    let report = app.client.volumes().prune(&filters).await?;
    let mut space = 0;
    if !report.volumes_deleted.is_empty() {
        output::out(&format!("Deleted Volumes:\n{}\n\n", report.volumes_deleted.join("\n")));
        space = report.space_reclaimed;
    }
    output::out(&format!("Total reclaimed space: {}\n", human_size(space as f64, 4)));
    Ok(0)
}

/// The anonymous ones, and only when they are asked for by name.
pub(crate) const PRUNER: Pruner = Pruner {
    warning: |options| options.volumes.then_some("all anonymous volumes not used by at least one container"),
    run: |app, options| {
        Box::pin(async move {
            if !options.volumes {
                return Ok(Pruned::default());
            }
            let report = app.client.volumes().prune(&options.filters).await?;
            if report.volumes_deleted.is_empty() {
                return Ok(Pruned::default());
            }
            let list = format!("Deleted Volumes:\n{}\n", report.volumes_deleted.join("\n"));
            Ok(Pruned { list, space_bytes: report.space_reclaimed })
        })
    },
};
