//! `history`: what an image was made of.

use api::image::HistoryItem;
use serde_json::json;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::output::table::{Listing, Row, render};
use crate::output::units::{human_duration, human_size};
use crate::output::{self, ellipsis, short_id};
use crate::{moment, platforms};

pub(crate) const COMMAND: Command = Command {
    name: "history",
    aliases: &[],
    usage: "[OPTIONS] IMAGE",
    about: "Show the history of an image",
    flags: &[
        Flag::text("format", output::FORMAT_HELP),
        Flag::switch("human", "Print sizes and dates in human readable format").short('H').default("true"),
        Flag::switch("no-trunc", "Don't truncate output"),
        Flag::text(
            "platform",
            "Show history for the given platform. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")",
        ),
        Flag::switch("quiet", "Only show image IDs").short('q'),
    ],
    operands: Operands::Exactly(1),
    interspersed: true,
    spellings: &["image history", "history"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

const TABLE: &str = "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const TABLE_PLAIN: &str = "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";

const LISTING: Listing = Listing {
    type_name: "*image.historyContext",
    titles: &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ],
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let platform = platforms::encoded(line.text("platform")).map_err(platforms::invalid)?;
    let items = app.client.images().history(&line.operands[0], &platform).await?;
    let human = line.switch("human");
    let format = match line.text("format") {
        "" | "table" if line.switch("quiet") => "{{.ID}}",
        "" | "table" if human => TABLE,
        "" | "table" => TABLE_PLAIN,
        format => format,
    };
    let truncate = !line.switch("no-trunc");
    let rows = items.iter().map(|item| row(item, human, truncate)).collect();
    output::out(&render(&LISTING, format, rows).map_err(Failure::new)?);
    Ok(0)
}

fn row(item: &HistoryItem, human: bool, truncate: bool) -> Row {
    let created_by = item.created_by.replace('\t', " ");
    let created_by = if truncate { ellipsis(&created_by, 45) } else { created_by };
    let at = moment::rfc3339(item.created);
    let since = match moment::age(&at) {
        _ if item.created <= 0 => "N/A".to_owned(),
        Some(age) => format!("{} ago", human_duration(age)),
        None => String::new(),
    };
    let size = if human { human_size(item.size as f64, 3) } else { item.size.to_string() };
    let id = if truncate { short_id(&item.id) } else { &item.id };
    Row {
        cells: vec![
            ("Comment", json!(item.comment)),
            ("CreatedAt", json!(at)),
            ("CreatedBy", json!(created_by)),
            ("CreatedSince", json!(since)),
            ("ID", json!(id)),
            ("Size", json!(size)),
        ],
        labels: None,
    }
}
