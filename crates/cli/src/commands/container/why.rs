//! `why`: why a container ended, or could not be started, in one line.

use serde_json::Value;

use crate::command::{Command, Operands};
use crate::commands::inspect::FORMAT_HELP;
use crate::failure::Failure;
use crate::flags::Flag;
use crate::output;
use crate::output::table::{self, Listing, Row};

pub(crate) const COMMAND: Command = Command {
    name: "why",
    aliases: &[],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Say why containers ended, or could not be started",
    flags: &[Flag::text("format", FORMAT_HELP).short('f')],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["container why", "why"],
    run: |app, line| {
        Box::pin(async move {
            let mut failures = Vec::new();
            for name in &line.operands {
                let found = match app.client.containers().why(name).await {
                    Ok(found) => found,
                    Err(error) if error.is_connect() => return Err(error.into()),
                    Err(error) => {
                        failures.push(error.to_string());
                        continue;
                    }
                };
                let text = match line.text("format") {
                    "" if line.operands.len() == 1 => sentence(&found),
                    "" => format!("{name}: {}", sentence(&found)),
                    format => {
                        let row = row(name, &found);
                        let text = table::render(&LISTING, format, vec![row]);
                        text.map_err(|error| Failure::with_status(error, 64))?
                    }
                };
                output::out(&text);
            }
            if failures.is_empty() { Ok(0) } else { Err(Failure::new(failures.join("\n"))) }
        })
    },
};

const LISTING: Listing = Listing {
    type_name: "container.Why",
    titles: &[("Container", "CONTAINER"), ("Cause", "CAUSE"), ("Why", "WHY"), ("Evidence", "EVIDENCE")],
};

fn row(name: &str, found: &api::container::WhyResponse) -> Row {
    let evidence = found.evidence.iter().cloned().map(Value::String).collect();
    let cells = vec![
        ("Container", Value::String(name.to_owned())),
        ("Cause", Value::String(found.cause.clone())),
        ("Why", Value::String(found.why.clone())),
        ("Evidence", Value::Array(evidence)),
    ];
    Row { cells, labels: None }
}

fn sentence(found: &api::container::WhyResponse) -> String {
    match found.evidence.join("; ") {
        evidence if evidence.is_empty() => format!("{}\n", found.why),
        evidence => format!("{} ({evidence})\n", found.why),
    }
}
