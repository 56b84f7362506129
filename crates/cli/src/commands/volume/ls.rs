//! `volume ls`.

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
    about: "List volumes",
    flags: &[
        Flag::switch("cluster", "Display only cluster volumes, and use cluster volume list formatting")
            .hidden(),
        Flag::checked_list(
            "filter",
            "filter",
            filters::check,
            "Provide filter values (e.g. \"dangling=true\")",
        )
        .short('f'),
        Flag::text("format", output::FORMAT_HELP),
        Flag::switch("quiet", "Only display volume names").short('q'),
    ],
    operands: Operands::None,
    interspersed: true,
    spellings: &["volume ls", "volume list"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    if line.switch("cluster") {
        return Err(Failure::new("--cluster is not supported: Swarm is not part of Wharf"));
    }
    let listed = app.client.volumes().list(&filters::collect(&line.list("filter"))).await?;
    // Of plugins that could not be asked.
    for warning in &listed.warnings {
        output::err(&format!("WARNING: {warning}\n"));
    }
    let mut volumes = listed.volumes;
    volumes.sort_by(|a, b| natural::compare(&a.name, &b.name));
    let quiet = line.switch("quiet");
    let format = match line.text("format") {
        "" if !quiet && !app.config.volumes_format.is_empty() => app.config.volumes_format.as_str(),
        format => format,
    };
    let format = match format {
        "" | "table" if quiet => "{{.Name}}",
        "" | "table" => "table {{.Driver}}\t{{.Name}}",
        "raw" if quiet => "name: {{.Name}}",
        "raw" => "name: {{.Name}}\ndriver: {{.Driver}}\n",
        format => format,
    };
    output::out(&render(&LISTING, format, volumes.iter().map(row).collect()).map_err(Failure::new)?);
    Ok(0)
}
