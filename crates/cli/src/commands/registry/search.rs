//! `search`: repositories by words.

use api::registry::SearchResult;
use serde_json::json;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::output::table::{Listing, Row, render};
use crate::output::{self, ellipsis};
use crate::{credentials, filters};

/// Columns of a description in a table.
const DESCRIPTION_WIDTH: usize = 45;

pub(crate) const COMMAND: Command = Command {
    name: "search",
    aliases: &[],
    usage: "[OPTIONS] TERM",
    about: "Search Docker Hub for images",
    flags: &[
        Flag::checked_list("filter", "filter", filters::check, "Filter output based on conditions provided")
            .short('f'),
        Flag::text("format", "Pretty-print search using a Go template"),
        Flag::int("limit", "Max number of search results"),
        Flag::switch("no-trunc", "Don't truncate output"),
    ],
    operands: Operands::Exactly(1),
    interspersed: true,
    spellings: &["search"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

const LISTING: Listing = Listing {
    type_name: "*search.searchContext",
    titles: &[
        ("Name", "NAME"),
        ("Description", "DESCRIPTION"),
        ("StarCount", "STARS"),
        ("IsOfficial", "OFFICIAL"),
        ("IsAutomated", "AUTOMATED"),
    ],
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let term = &line.operands[0];
    let filters = filters::collect(&line.list("filter"));
    let auth = credentials::header(app, registry(term));
    let found = app.client.registries().search(term, line.int("limit"), &filters, &auth).await?;
    let format = match line.text("format") {
        "" | "table" => "table {{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}",
        format => format,
    };
    let whole = line.switch("no-trunc");
    let rows = found.iter().map(|one| row(one, whole)).collect();
    output::out(&render(&LISTING, format, rows).map_err(Failure::new)?);
    Ok(0)
}

/// The registry that a term names, or the Hub.
fn registry(term: &str) -> &str {
    let host = term.split_once('/').map(|(host, _)| host);
    host.filter(|host| host.contains(['.', ':']) || *host == "localhost").unwrap_or(oci::DEFAULT_DOMAIN)
}

fn row(found: &SearchResult, whole: bool) -> Row {
    let description = found.description.replace(['\n', '\r'], " ");
    let description = if whole { description } else { ellipsis(&description, DESCRIPTION_WIDTH) };
    let ok = |yes: bool| json!(if yes { "[OK]" } else { "" });
    Row {
        cells: vec![
            ("Description", json!(description)),
            ("IsAutomated", ok(found.is_automated)),
            ("IsOfficial", ok(found.is_official)),
            ("Name", json!(found.name)),
            ("StarCount", json!(found.star_count.to_string())),
        ],
        labels: None,
    }
}
