//! `images`: the list of images, a row for each name.

use std::collections::BTreeMap;

use api::image::ImageSummary;
use serde_json::json;

use super::split_reference;
use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::output::table::{Listing, Row, check, render};
use crate::output::units::{human_duration, human_size};
use crate::output::{self, short_id};
use crate::{filters, moment};

pub(crate) const COMMAND: Command = Command {
    name: "ls",
    aliases: &["list"],
    usage: "[OPTIONS] [REPOSITORY[:TAG]]",
    about: "List images",
    flags: &[
        Flag::switch("all", "Show all images (default hides intermediate and dangling images)").short('a'),
        Flag::switch("digests", "Show digests"),
        Flag::checked_list("filter", "filter", filters::check, "Filter output based on conditions provided")
            .short('f'),
        Flag::text("format", output::FORMAT_HELP),
        Flag::switch("no-trunc", "Don't truncate output"),
        Flag::switch("quiet", "Only show image IDs").short('q'),
    ],
    operands: Operands::AtMost(1),
    interspersed: true,
    spellings: &["image ls", "image list", "images"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

const TABLE: &str = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const TABLE_DIGESTS: &str =
    "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";

const LISTING: Listing = Listing {
    type_name: "*formatter.imageContext",
    titles: &[
        ("ID", "IMAGE ID"),
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Size", "SIZE"),
        ("Containers", "CONTAINERS"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
        ("VirtualSize", "SIZE"),
    ],
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let mut filters = filters::collect(&line.list("filter"));
    if let Some(reference) = line.operands.first() {
        filters.add("reference", reference.as_str());
    }
    let (quiet, digests) = (line.switch("quiet"), line.switch("digests"));
    let format = match line.text("format") {
        "" if !quiet && !app.config.images_format.is_empty() => app.config.images_format.clone(),
        "" | "table" if quiet => "{{.ID}}".to_owned(),
        "" | "table" if digests => TABLE_DIGESTS.to_owned(),
        "" | "table" => TABLE.to_owned(),
        format => format.to_owned(),
    };
    check(&format).map_err(|error| Failure::new(format!("template parsing error: {error}")))?;
    let images = app.client.images().list(line.switch("all"), digests, &filters).await?;
    let with_digests = digests || format.contains(".Digest");
    let truncate = !line.switch("no-trunc");
    let rows: Vec<Row> = images.iter().flat_map(|image| rows(image, with_digests, truncate)).collect();
    if rows.is_empty()
        && let Some(name) = line.operands.first()
        && super::NOUN.verb(name).is_some()
    {
        output::err(&format!(
            "No images found matching {name:?}: did you mean \"{} image {name}\"?\n",
            app.program
        ));
    }
    output::out(&render(&LISTING, &format, rows).map_err(Failure::new)?);
    Ok(0)
}

/// A row for each tag, and for each digest without a tag; one row of `<none>` for an image without either.
fn rows(image: &ImageSummary, with_digests: bool, truncate: bool) -> Vec<Row> {
    let mut names: BTreeMap<String, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for reference in image.repo_tags.iter().filter(|reference| *reference != "<none>:<none>") {
        if let (name, Some(tag)) = split_reference(reference) {
            names.entry(name.to_owned()).or_default().0.push(tag.to_owned());
        }
    }
    for reference in image.repo_digests.iter().filter(|reference| *reference != "<none>@<none>") {
        if let (name, Some(digest)) = split_reference(reference) {
            names.entry(name.to_owned()).or_default().1.push(digest.to_owned());
        }
    }
    let none = || "<none>".to_owned();
    let mut rows = Vec::new();
    for (name, (tags, digests)) in names {
        match (tags.is_empty(), with_digests && !digests.is_empty()) {
            (true, _) => {
                rows.extend(digests.iter().take(if with_digests { usize::MAX } else { 1 }).map(|digest| {
                    row(image, &name, &none(), if with_digests { digest } else { "<none>" }, truncate)
                }));
            }
            (false, true) => {
                for tag in &tags {
                    rows.extend(digests.iter().map(|digest| row(image, &name, tag, digest, truncate)));
                }
            }
            (false, false) => rows.extend(tags.iter().map(|tag| row(image, &name, tag, "<none>", truncate))),
        }
    }
    if rows.is_empty() {
        rows.push(row(image, "<none>", "<none>", "<none>", truncate));
    }
    rows
}

fn row(image: &ImageSummary, name: &str, tag: &str, digest: &str, truncate: bool) -> Row {
    let at = moment::rfc3339(image.created);
    let since = match moment::age(&at) {
        _ if image.created <= 0 => "N/A".to_owned(),
        Some(age) => format!("{} ago", human_duration(age)),
        None => "N/A".to_owned(),
    };
    let size = |bytes: i64| if bytes < 0 { "N/A".to_owned() } else { human_size(bytes as f64, 3) };
    let containers = if image.containers < 0 { "N/A".to_owned() } else { image.containers.to_string() };
    let unique = if image.shared_size < 0 { -1 } else { image.size - image.shared_size };
    let id = if truncate { short_id(&image.id) } else { &image.id };
    Row {
        cells: vec![
            ("Containers", json!(containers)),
            ("CreatedAt", json!(moment::go_string(image.created))),
            ("CreatedSince", json!(since)),
            ("Digest", json!(digest)),
            ("ID", json!(id)),
            ("Repository", json!(name)),
            ("SharedSize", json!(size(image.shared_size))),
            ("Size", json!(size(image.size))),
            ("Tag", json!(tag)),
            ("UniqueSize", json!(size(unique))),
            ("VirtualSize", json!(size(image.size))),
        ],
        labels: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_for_each_name() {
        let image = ImageSummary {
            id: "sha256:0123456789abcdef".into(),
            repo_tags: vec!["busybox:1".into(), "busybox:latest".into(), "h:5000/b:1".into()],
            size: 1_234_567,
            ..ImageSummary::default()
        };
        let format = "{{.Repository}} {{.Tag}} {{.ID}} {{.Size}}";
        assert_eq!(
            render(&LISTING, format, rows(&image, false, true)).unwrap(),
            "busybox 1 0123456789ab 1.23MB\nbusybox latest 0123456789ab 1.23MB\nh:5000/b 1 0123456789ab 1.23MB\n"
        );
        let dangling = ImageSummary::default();
        assert_eq!(
            render(&LISTING, "{{.Repository}}:{{.Tag}}", rows(&dangling, false, true)).unwrap(),
            "<none>:<none>\n"
        );
    }
}
