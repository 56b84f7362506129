//! `image gc`: removes unused images, from the high water mark down to the low one, as the engine does by itself where
//! `daemon.json` says so. Docker has no such command.

use api::image::{GarbageImage, ImageGarbage};
use serde_json::json;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::values::parse_duration;
use crate::flags::{Flag, Parsed};
use crate::moment;
use crate::output::table::{Listing, Row, render};
use crate::output::units::{human_duration, human_size};
use crate::output::{self, short_id};

pub(crate) const COMMAND: Command = Command {
    name: "gc",
    aliases: &[],
    usage: "[OPTIONS]",
    about: "Remove unused images, the oldest first, when they take too much space",
    flags: &[
        Flag::switch("dry-run", "Only print what would be removed"),
        Flag::text(
            "high",
            "Begin when so much is taken: \"85%\" of the disk, or \"20GB\" of images (default: daemon.json's)",
        ),
        Flag::text("low", "End when no more than this is taken"),
        Flag::text(
            "min-age",
            "With --high and --low: keep what was brought in, named or used later than this ago (default 10m)",
        ),
        Flag::switch("no-trunc", "Don't truncate output"),
        Flag::switch("quiet", "Only show image IDs").short('q'),
    ],
    operands: Operands::None,
    interspersed: true,
    spellings: &["image gc"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

const LISTING: Listing = Listing {
    type_name: "*formatter.garbageContext",
    titles: &[("Image", "IMAGE"), ("ID", "IMAGE ID"), ("LastUsed", "LAST USED"), ("Size", "FREES")],
};
const TABLE: &str = "table {{.Image}}\t{{.ID}}\t{{.LastUsed}}\t{{.Size}}";

async fn run(app: &App, line: &Parsed) -> Outcome {
    let dry_run = line.switch("dry-run");
    let (high, low) = (line.text("high"), line.text("low"));
    let age_s = match line.text("min-age") {
        "" => String::new(),
        _ if high.is_empty() => return Err(Failure::new("--min-age is of no use without --high and --low")),
        text => {
            let nanoseconds = parse_duration(text).map_err(|why| {
                Failure::new(format!("invalid argument {text:?} for \"--min-age\" flag: {why}"))
            })?;
            (nanoseconds.max(0) / 1_000_000_000).to_string()
        }
    };
    let garbage = app.client.images().collect_garbage(dry_run, high, low, &age_s).await?;
    let truncate = !line.switch("no-trunc");
    let quiet = line.switch("quiet");
    if quiet || !garbage.images.is_empty() {
        let rows = garbage.images.iter().map(|image| row(image, truncate)).collect();
        output::out(&render(&LISTING, if quiet { "{{.ID}}" } else { TABLE }, rows).map_err(Failure::new)?);
    }
    if !quiet {
        output::out(&summary(&garbage, dry_run));
    }
    Ok(0)
}

fn row(image: &GarbageImage, truncate: bool) -> Row {
    let since =
        moment::age(&image.last_used).map(|age| format!("{} ago", human_duration(age))).unwrap_or_default();
    let names = if image.names.is_empty() { "<untagged>".to_owned() } else { image.names.join(", ") };
    let id = if truncate { short_id(&image.id) } else { &image.id };
    Row {
        cells: vec![
            ("ID", json!(id)),
            ("Image", json!(names)),
            ("LastUsed", json!(since)),
            ("Size", json!(human_size(image.size as f64, 3))),
        ],
        labels: None,
    }
}

fn summary(garbage: &ImageGarbage, dry_run: bool) -> String {
    let size = |bytes: u64| human_size(bytes as f64, 4);
    let marks = format!(
        "{} taken, high water mark {}, low {}",
        size(garbage.used),
        size(garbage.high),
        size(garbage.low)
    );
    if garbage.used < garbage.high {
        return format!("Nothing to do: {marks}\n");
    }
    let title = if dry_run { "Space that would be reclaimed" } else { "Total reclaimed space" };
    format!("{title}: {} ({marks})\n", size(garbage.space_reclaimed))
}
