//! `network prune`: removes what no running container is on.

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::commands::prune::{Pruned, Pruner};
use crate::flags::{Flag, Parsed};
use crate::{filters, output, prompt};

pub(crate) const COMMAND: Command = Command {
    name: "prune",
    aliases: &[],
    usage: "[OPTIONS]",
    about: "Remove all unused networks",
    flags: &[
        Flag::checked_list(
            "filter",
            "filter",
            filters::check,
            "Provide filter values (e.g. \"until=<timestamp>\")",
        ),
        Flag::switch("force", "Do not prompt for confirmation").short('f'),
    ],
    operands: Operands::None,
    interspersed: true,
    spellings: &["network prune"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

const WARNING: &str = "WARNING! This will remove all custom networks not used by at least one container.\n\
                       Are you sure you want to continue?";

async fn run(app: &App, line: &Parsed) -> Outcome {
    let filters = app.config.prune_filters(filters::collect(&line.list("filter")));
    if !line.switch("force") && !prompt::confirm(WARNING).await? {
        // Told to nobody, as Docker does: who said no knows.
        return Ok(0);
    }
    let report = app.client.networks().prune(&filters).await?;
    if !report.networks_deleted.is_empty() {
        output::out(&format!("Deleted Networks:\n{}\n\n", report.networks_deleted.join("\n")));
    }
    Ok(0)
}

pub(crate) const PRUNER: Pruner = Pruner {
    warning: |_| Some("all networks not used by at least one container"),
    run: |app, options| {
        Box::pin(async move {
            let deleted = app.client.networks().prune(&options.filters).await?.networks_deleted;
            if deleted.is_empty() {
                return Ok(Pruned::default());
            }
            Ok(Pruned { list: format!("Deleted Networks:\n{}\n", deleted.join("\n")), space_bytes: 0 })
        })
    },
};
