//! `network ls`.

use super::{LISTING, row};
use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::output::natural;
use crate::output::table::render;
use crate::{filters, output};

pub(crate) const COMMAND: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS]",
    about: "List networks",
    flags: &[
        Flag::checked_list(
            "filter",
            "filter",
            filters::check,
            "Provide filter values (e.g. \"driver=bridge\")",
        )
        .short('f'),
        Flag::text("format", output::FORMAT_HELP),
        Flag::switch("no-trunc", "Do not truncate the output"),
        Flag::switch("quiet", "Only display network IDs").short('q'),
    ],
    operands: Operands::None,
    interspersed: true,
    spellings: &["network ls", "network list"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let mut networks = app.client.networks().list(&filters::collect(&line.list("filter"))).await?;
    networks.sort_by(|a, b| natural::compare(&a.name, &b.name));
    let quiet = line.switch("quiet");
    let format = match line.text("format") {
        "" if !quiet && !app.config.networks_format.is_empty() => app.config.networks_format.as_str(),
        format => format,
    };
    let format = match format {
        "" | "table" if quiet => "{{.ID}}",
        "" | "table" => "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
        "raw" if quiet => "network_id: {{.ID}}",
        "raw" => "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n",
        format => format,
    };
    let truncate = !line.switch("no-trunc");
    let rows = networks.iter().map(|network| row(network, truncate)).collect();
    output::out(&render(&LISTING, format, rows).map_err(Failure::new)?);
    Ok(0)
}
