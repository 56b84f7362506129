//! `system prune`: everything that nothing uses.

use api::filters::Filters;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::commands::prune::{FORCE, Options, PRUNERS, confirmed, options, total};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::{filters, output};

pub(crate) const COMMAND: Command = Command {
    name: "prune",
    aliases: &[],
    usage: "[OPTIONS]",
    about: "Remove unused data",
    flags: &[
        Flag::switch("all", "Remove all unused images not just dangling ones").short('a'),
        Flag::checked_list(
            "filter",
            "filter",
            filters::check,
            "Provide filter values (e.g. \"label=<key>=<value>\")",
        ),
        FORCE,
        Flag::switch("volumes", "Prune anonymous volumes"),
    ],
    operands: Operands::None,
    interspersed: true,
    spellings: &["system prune"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let options = options(app, line, line.switch("all"));
    if options.volumes && options.filters.get("until").next().is_some() {
        return Err(Failure::new("ERROR: The \"until\" filter is not supported with \"--volumes\""));
    }
    if !confirmed(line, &warning(&options)).await? {
        return Ok(0);
    }
    let mut space_bytes = 0;
    for pruner in PRUNERS {
        let pruned = (pruner.run)(app, &options).await?;
        space_bytes += pruned.space_bytes;
        if !pruned.list.is_empty() {
            output::out(&format!("{}\n", pruned.list));
        }
    }
    output::out(&total(space_bytes));
    Ok(0)
}

fn warning(options: &Options) -> String {
    let kinds = PRUNERS.iter().filter_map(|pruner| (pruner.warning)(options));
    let what: String = kinds.map(|kind| format!("\n  - {kind}")).collect();
    let shown = shown(&options.filters);
    let filters = match shown.is_empty() {
        true => String::new(),
        false => {
            let lines: String = shown.iter().map(|filter| format!("\n  - {filter}")).collect();
            format!("\n  Items to be pruned will be filtered with:{lines}\n")
        }
    };
    format!("WARNING! This will remove:{what}\n{filters}")
}

fn shown(filters: &Filters) -> Vec<String> {
    let mut shown: Vec<String> = ["label", "label!", "until"]
        .iter()
        .flat_map(|key| filters.get(key).map(move |value| format!("{key}={value}")))
        .collect();
    shown.sort();
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_warning_names_what_goes_and_what_it_is_filtered_with() {
        let mut options = Options { all: false, volumes: false, filters: Filters::default() };
        assert_eq!(
            warning(&options),
            "WARNING! This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n  - all \
             dangling images\n"
        );
        options.volumes = true;
        assert!(warning(&options).contains(
            "one container\n  - all anonymous volumes not used by at least one container\n  - all dangling images\n"
        ));
        options.all = true;
        options.filters.add("until", "24h");
        options.filters.add("label", "a=b");
        assert!(warning(&options).ends_with(
            "  - all images without at least one container associated to them\n\n  Items to be pruned will be filtered with:\n  \
             - label=a=b\n  - until=24h\n"
        ));
    }
}
