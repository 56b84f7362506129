//! `images`: the list of images, a row for each name.

use std::collections::BTreeMap;

use api::image::ImageSummary;
use serde_json::json;

use super::{split_reference, tree};
use crate::app::App;
use crate::command::{Command, Operands};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::output::table::{Listing, Row, render};
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
        Flag::switch("tree", "List multi-platform images as a tree (EXPERIMENTAL)"),
    ],
    operands: Operands::AtMost(1),
    interspersed: true,
    spellings: &["image ls", "image list", "images"],
    run: |app, line| {
        Box::pin(async move {
            run(app, &line).await?;
            Ok(0)
        })
    },
};

/// As `images`, which takes a name where `image` takes a verb: it helps who mistakes the one for the other.
pub(crate) const IMAGES: Command = Command {
    run: |app, line| {
        Box::pin(async move {
            let shown = run(app, &line).await?;
            if let Some(name) = line.operands.first()
                && shown == 0
                && super::NOUN.verb(name).is_some()
            {
                output::err(&format!(
                    "No images found matching {name:?}: did you mean \"{} image {name}\"?\n",
                    app.program
                ));
            }
            Ok(0)
        })
    },
    ..COMMAND
};

const TABLE: &str = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";
const TABLE_DIGESTS: &str =
    "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}";

pub(crate) const RAW: &str = "repository: {{.Repository}}\ntag: {{.Tag}}\nimage_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n";

pub(crate) const LISTING: Listing = Listing {
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
    ],
};

/// Prints the list, and answers how many images it has.
async fn run(app: &App, line: &Parsed) -> Result<usize, Failure> {
    let mut filters = filters::collect(&line.list("filter"));
    if let Some(reference) = line.operands.first() {
        filters.add("reference", reference.as_str());
    }
    let (quiet, digests) = (line.switch("quiet"), line.switch("digests"));
    let as_tree = tree::applies(line)?;
    let all = line.switch("all");
    let dangling = Some(filters.get("dangling").collect::<Vec<_>>()).filter(|values| !values.is_empty());
    let shows_dangling = all || dangling.is_some_and(|values| !values.contains(&"false"));
    let mut images = app.client.images().list(all, as_tree, &filters).await?;
    images.retain(|image| shows_dangling || !has_no_name(image));
    let format = match line.text("format") {
        "" if !quiet && !line.switch("tree") && !app.config.images_format.is_empty() => {
            app.config.images_format.as_str()
        }
        "" if as_tree => {
            let trees = tree::rows(&images, line.switch("tree"));
            output::out(&tree::render(&trees));
            return Ok(trees.len());
        }
        format => format,
    };
    let format = template(format, quiet, digests);
    let with_digests = digests || format.contains("{{.Digest}}");
    let truncate = !line.switch("no-trunc");
    let rows: Vec<Row> = images.iter().flat_map(|image| rows(image, with_digests, truncate)).collect();
    output::out(&render(&LISTING, &format, rows).map_err(Failure::new)?);
    Ok(images.len())
}

fn template(format: &str, quiet: bool, digests: bool) -> String {
    match format {
        "" | "table" if quiet => "{{.ID}}".into(),
        "" | "table" if digests => TABLE_DIGESTS.into(),
        "" | "table" => TABLE.into(),
        "raw" if quiet => "image_id: {{.ID}}".into(),
        "raw" if digests => RAW.replace("image_id:", "digest: {{.Digest}}\nimage_id:"),
        "raw" => RAW.into(),
        table if table.starts_with("table") && digests && !table.contains("{{.Digest}}") => {
            format!("{table}\t{{{{.Digest}}}}")
        }
        custom => custom.into(),
    }
}

/// Neither tag nor digest, or what stands for none of either.
pub(crate) fn has_no_name(image: &ImageSummary) -> bool {
    let none = |names: &[String], name: &str| matches!(names, [one] if one == name);
    image.repo_tags.is_empty()
        || (none(&image.repo_tags, "<none>:<none>") && none(&image.repo_digests, "<none>@<none>"))
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

pub(crate) fn row(image: &ImageSummary, name: &str, tag: &str, digest: &str, truncate: bool) -> Row {
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
