//! `system df`: what takes how much of the disk.

mod detailed;

use api::system::Usage;
use serde_json::json;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::output;
use crate::output::table::{Listing, Row, render};
use crate::output::units::human_size;

pub(crate) const COMMAND: Command = Command {
    name: "df",
    aliases: &[],
    usage: "[OPTIONS]",
    about: "Show docker disk usage",
    flags: &[
        Flag::text("format", output::FORMAT_HELP),
        Flag::switch("verbose", "Show detailed information on space usage").short('v'),
    ],
    operands: Operands::None,
    interspersed: true,
    spellings: &["system df"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

const TABLE: &str = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";

const LISTING: Listing = Listing {
    type_name: "*formatter.diskUsageImagesContext",
    titles: &[
        ("Type", "TYPE"),
        ("TotalCount", "TOTAL"),
        ("Active", "ACTIVE"),
        ("Size", "SIZE"),
        ("Reclaimable", "RECLAIMABLE"),
    ],
};

const RAW: &str = "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\nreclaimable: {{.Reclaimable}}\n";

async fn run(app: &App, line: &Parsed) -> Outcome {
    let verbose = line.switch("verbose");
    let usage = app.client.system().disk_usage(&[], verbose).await?;
    if verbose {
        output::out(
            &detailed::page(&usage, line.text("format"), app.program != "docker").map_err(Failure::new)?,
        );
        return Ok(0);
    }
    let format = match line.text("format") {
        "" | "table" => TABLE,
        "raw" => RAW,
        format => format,
    };
    let rows = vec![
        row("Images", usage.image_usage.as_ref()),
        row("Containers", usage.container_usage.as_ref()),
        row("Local Volumes", usage.volume_usage.as_ref()),
        row("Build Cache", usage.build_cache_usage.as_ref()),
    ];
    output::out(&render(&LISTING, format, rows).map_err(Failure::new)?);
    Ok(0)
}

fn row<T: PartialEq>(kind: &'static str, usage: Option<&Usage<T>>) -> Row {
    let (total, active, size, reclaimable) = usage.map_or((0, 0, 0, 0), |usage| {
        (usage.total_count, usage.active_count, usage.total_size, usage.reclaimable)
    });
    let reclaimable_text = match size {
        0 => human_size(reclaimable as f64, 4),
        size => format!("{} ({}%)", human_size(reclaimable as f64, 4), reclaimable * 100 / size),
    };
    Row {
        cells: vec![
            ("Active", json!(active.to_string())),
            ("Reclaimable", json!(reclaimable_text)),
            ("Size", json!(human_size(size as f64, 4))),
            ("TotalCount", json!(total.to_string())),
            ("Type", json!(kind)),
        ],
        labels: None,
    }
}
