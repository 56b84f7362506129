//! `image prune`.

use crate::command::{Command, Operands};
use crate::commands::prune::{self, FORCE, Pruned, Pruner};
use crate::filters;
use crate::flags::Flag;

pub(crate) const COMMAND: Command = Command {
    name: "prune",
    aliases: &[],
    usage: "[OPTIONS]",
    about: "Remove unused images",
    flags: &[
        Flag::switch("all", "Remove all unused images, not just dangling ones").short('a'),
        Flag::checked_list(
            "filter",
            "filter",
            filters::check,
            "Provide filter values (e.g. \"until=<timestamp>\")",
        ),
        FORCE,
    ],
    operands: Operands::None,
    interspersed: true,
    spellings: &["image prune"],
    run: |app, line| {
        Box::pin(async move {
            let all = line.switch("all");
            let warning = match all {
                true => {
                    "WARNING! This will remove all images without at least one container associated to them."
                }
                false => "WARNING! This will remove all dangling images.",
            };
            prune::run(app, &line, &PRUNER, all, warning).await
        })
    },
};

pub(crate) const PRUNER: Pruner = Pruner {
    warning: |options| match options.all {
        true => Some("all images without at least one container associated to them"),
        false => Some("all dangling images"),
    },
    run: |app, options| {
        Box::pin(async move {
            let mut filters = options.filters.clone();
            filters.add("dangling", (!options.all).to_string());
            let pruned = app.client.images().prune(&filters).await?;
            let lines = pruned.images_deleted.iter().map(|item| match item.untagged.as_str() {
                "" => format!("deleted: {}\n", item.deleted),
                name => format!("untagged: {name}\n"),
            });
            let lines: String = lines.collect();
            let list = if lines.is_empty() { lines } else { format!("Deleted Images:\n{lines}") };
            Ok(Pruned { list, space_bytes: pruned.space_reclaimed })
        })
    },
};
