//! `images` as Docker shows it since 29: a line for each name, or, with `--tree`, an image with its platforms below.
//!
//! ```text
//! IMAGE            ID             DISK USAGE   CONTENT SIZE   EXTRA
//! busybox:latest   0123456789ab       4.27MB         2.21MB    U
//! ```

use api::image::{ImageSummary, Platform};

use crate::failure::Failure;
use crate::flags::Parsed;
use crate::output::short_id;
use crate::output::units::human_size;
use crate::terminal;

const GAP: usize = 3;
const UNTAGGED: &str = "<untagged>";

/// An image, or one of its names.
#[derive(Debug)]
pub(super) struct Row {
    names: Vec<String>,
    details: Details,
    platforms: Vec<Child>,
}

/// An image's part for one platform.
#[derive(Debug)]
struct Child {
    platform: String,
    available: bool,
    details: Details,
}

#[derive(Debug, Clone)]
struct Details {
    id: String,
    disk_usage: String,
    content_size: String,
    in_use: bool,
}

/// Is this what `images` shows? Not where a flag asks for what it cannot.
pub(super) fn applies(line: &Parsed) -> Result<bool, Failure> {
    let tree = line.switch("tree");
    let asked = [
        ("--quiet", line.switch("quiet")),
        ("--no-trunc", line.switch("no-trunc")),
        ("--show-digest", line.switch("digests")),
        ("--format", !line.text("format").is_empty()),
    ];
    match asked.into_iter().find(|(_, given)| *given) {
        Some((flag, _)) if tree => Err(Failure::new(format!("{flag} is not yet supported with --tree"))),
        found => Ok(found.is_none()),
    }
}

/// The rows, by name. `expanded`: one for each image, with all its names and platforms.
pub(super) fn rows(images: &[ImageSummary], expanded: bool) -> Vec<Row> {
    let size = |bytes: i64| human_size(bytes as f64, 3);
    let mut rows = Vec::new();
    for image in images {
        let mut details = Details {
            id: image.id.clone(),
            disk_usage: size(image.size),
            content_size: size(image.manifests.iter().map(|manifest| manifest.size.content).sum()),
            in_use: image.containers > 0,
        };
        let mut platforms = Vec::new();
        for manifest in image.manifests.iter().filter(|manifest| manifest.kind == "image") {
            let data = manifest.image_data.clone().unwrap_or_default();
            let in_use = !data.containers.is_empty();
            details.in_use |= in_use;
            platforms.push(Child {
                platform: formatted(&data.platform),
                available: manifest.available,
                details: Details {
                    id: manifest.id.clone(),
                    disk_usage: size(manifest.size.total),
                    content_size: size(manifest.size.content),
                    in_use,
                },
            });
        }
        let mut names = image.repo_tags.clone();
        names.sort();
        if expanded {
            rows.push(Row { names, details, platforms });
        } else if names.is_empty() {
            rows.push(Row { names, details, platforms: Vec::new() });
        } else {
            rows.extend(names.into_iter().map(|name| Row {
                names: vec![name],
                details: details.clone(),
                platforms: Vec::new(),
            }));
        }
    }
    // What has no name comes last.
    rows.sort_by(|a, b| (a.names.is_empty(), a.names.first()).cmp(&(b.names.is_empty(), b.names.first())));
    rows
}

fn formatted(platform: &Platform) -> String {
    let parts = [&platform.os, &platform.architecture, &platform.variant];
    let parts: Vec<&str> = parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    if platform.os.is_empty() { "unknown".into() } else { parts.join("/") }
}

/// What a column shows of a line's details; none in the first.
struct Column {
    title: &'static str,
    width: usize,
    right: bool,
    value: fn(&Details, bool) -> String,
}

/// How to draw: colours, and as wide as the terminal.
pub(super) fn render(rows: &[Row]) -> String {
    let is_terminal = terminal::stdout_is_terminal();
    let plain = !is_terminal || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let width = terminal::size().filter(|_| is_terminal).map(|size| usize::from(size.columns).max(20));
    drawn(rows, !plain, width)
}

/// SGR sequences; each is ended by a reset.
mod style {
    pub(super) const TITLE: &str = "\x1b[39;1m";
    pub(super) const NAME: &str = "\x1b[34;1m";
    pub(super) const UNTAGGED: &str = "\x1b[39;2m";
    pub(super) const DETAIL: &str = "\x1b[39m";
    pub(super) const UNAVAILABLE: &str = "\x1b[39;2m";
}

fn chip(in_use: bool, fancy: bool) -> String {
    match (in_use, fancy) {
        (true, false) => "U".into(),
        (false, false) => " ".into(),
        (true, true) => "\x1b[38;5;0m\x1b[48;5;14m U \x1b[0m".into(),
        (false, true) => "   ".into(),
    }
}

fn drawn(rows: &[Row], fancy: bool, width: Option<usize>) -> String {
    let any_in_use =
        rows.iter().any(|row| row.details.in_use || row.platforms.iter().any(|child| child.details.in_use));
    let extra: fn(&Details, bool) -> String =
        if any_in_use { |details, fancy| chip(details.in_use, fancy) } else { |_, _| String::new() };
    let mut columns = vec![
        Column { title: "ID", width: 12, right: false, value: |details, _| short_id(&details.id).to_owned() },
        Column {
            title: "DISK USAGE",
            width: 10,
            right: true,
            value: |details, _| details.disk_usage.clone(),
        },
        Column {
            title: "CONTENT SIZE",
            width: 12,
            right: true,
            value: |details, _| details.content_size.clone(),
        },
        Column { title: "EXTRA", width: 5, right: false, value: extra },
    ];
    let name_width = narrowed(&mut columns, widest_name(rows), width);
    let mut text = String::new();
    if let Some(width) = width {
        let legend = if fancy {
            format!("\x1b[36m\u{2139}\x1b[0m\x1b[39m Info \u{2192}\x1b[0m   {} In Use", chip(true, true))
        } else {
            format!("Info -> {} In Use", chip(true, false))
        };
        text.push_str(&" ".repeat(width.saturating_sub(visible(&legend))));
        text.push_str(&legend);
        text.push('\n');
    }
    let pen = Pen { fancy };
    text.push_str(&pen.left("IMAGE", name_width, style::TITLE));
    for column in &columns {
        text.push_str(&" ".repeat(GAP));
        text.push_str(&pen.cell(column.title, column, style::TITLE));
    }
    text.push('\n');
    let spaced = rows.iter().any(|row| !row.platforms.is_empty());
    for row in rows {
        pen.names(row, name_width, &mut text);
        pen.details(&row.details, &columns, style::DETAIL, &mut text);
        if spaced {
            text.push('\n');
        }
        for (at, child) in row.platforms.iter().enumerate() {
            let branch =
                if at + 1 == row.platforms.len() { "\u{2514}\u{2500} " } else { "\u{251c}\u{2500} " };
            let style = if child.available { style::DETAIL } else { style::UNAVAILABLE };
            text.push_str(&pen.left(&format!("{branch}{}", child.platform), name_width, style));
            pen.details(&child.details, &columns, style, &mut text);
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

/// The width of the first column; columns that leave it too little on a terminal are dropped.
fn narrowed(columns: &mut Vec<Column>, widest: usize, width: Option<usize>) -> usize {
    let Some(mut left) = width else { return widest };
    let mut kept = 0;
    for column in columns.iter() {
        let taken = column.width + GAP;
        if left < taken + 12 {
            break;
        }
        left -= taken;
        kept += 1;
    }
    columns.truncate(kept);
    left.min(widest)
}

fn widest_name(rows: &[Row]) -> usize {
    let names = rows.iter().flat_map(|row| {
        let untagged = row.names.is_empty().then_some(UNTAGGED.len());
        let platforms = row.platforms.iter().map(|child| child.platform.len() + "\u{251c}\u{2500} ".len());
        row.names.iter().map(String::len).chain(untagged).chain(platforms)
    });
    names.max().unwrap_or(0).max("IMAGE".len())
}

/// Columns that a text takes, without what only colours it.
fn visible(text: &str) -> usize {
    let mut rest = text;
    let mut count = 0;
    while let Some((before, after)) = rest.split_once('\x1b') {
        count += before.chars().count();
        rest = after.split_once('m').map_or("", |(_, after)| after);
    }
    count + rest.chars().count()
}

struct Pen {
    fancy: bool,
}

impl Pen {
    fn styled(&self, text: &str, style: &str) -> String {
        if self.fancy { format!("{style}{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Never cut: the names are what one looks for.
    fn left(&self, text: &str, width: usize, style: &str) -> String {
        format!("{}{}", self.styled(text, style), " ".repeat(width.saturating_sub(visible(text))))
    }

    fn cell(&self, text: &str, column: &Column, style: &str) -> String {
        let fill = " ".repeat(column.width.saturating_sub(visible(text)));
        let text = self.styled(&crate::output::ellipsis(text, column.width.max(visible(text))), style);
        if column.right { format!("{fill}{text}") } else { format!("{text}{fill}") }
    }

    fn details(&self, details: &Details, columns: &[Column], style: &str, out: &mut String) {
        for column in columns {
            out.push_str(&" ".repeat(GAP));
            let value = (column.value)(details, self.fancy);
            let style = if column.title == "EXTRA" { "" } else { style };
            let plain = Pen { fancy: self.fancy && !style.is_empty() };
            out.push_str(&plain.cell(&value, column, style));
        }
    }

    /// Each name has a line; the last shares it with the details when it fits.
    fn names(&self, row: &Row, width: usize, out: &mut String) {
        let Some((last, before)) = row.names.split_last() else {
            out.push_str(&self.left(UNTAGGED, width, style::UNTAGGED));
            return;
        };
        for name in before {
            out.push_str(&self.left(name, width, style::NAME));
            out.push('\n');
        }
        out.push_str(&self.left(last, width, style::NAME));
        if visible(last) > width {
            out.push('\n');
            out.push_str(&" ".repeat(width));
        }
    }
}

#[cfg(test)]
mod tests {
    use api::image::{ManifestImageData, ManifestSize, ManifestSummary};

    use super::*;

    fn image() -> ImageSummary {
        let manifest = |architecture: &str, available| ManifestSummary {
            id: "sha256:fedcba9876543210".into(),
            available,
            size: ManifestSize { content: 1_000_000, total: 2_000_000 },
            kind: "image".into(),
            image_data: Some(ManifestImageData {
                platform: Platform {
                    os: "linux".into(),
                    architecture: architecture.into(),
                    ..Platform::default()
                },
                ..ManifestImageData::default()
            }),
            ..ManifestSummary::default()
        };
        ImageSummary {
            id: "sha256:0123456789abcdef".into(),
            repo_tags: vec!["busybox:latest".into(), "busybox:1".into()],
            size: 4_270_000,
            containers: 1,
            manifests: vec![manifest("amd64", true), manifest("arm64", false)],
            ..ImageSummary::default()
        }
    }

    #[test]
    fn a_line_for_each_name() {
        assert_eq!(
            drawn(&rows(&[ImageSummary::default(), image()], false), false, None),
            "IMAGE            ID             DISK USAGE   CONTENT SIZE   EXTRA\n\
             busybox:1        0123456789ab       4.27MB            2MB   U    \n\
             busybox:latest   0123456789ab       4.27MB            2MB   U    \n\
             <untagged>                              0B             0B        \n"
        );
    }

    #[test]
    fn a_tree_has_platforms() {
        assert_eq!(
            drawn(&rows(&[image()], true), false, None),
            "IMAGE                ID             DISK USAGE   CONTENT SIZE   EXTRA\n\
             busybox:1         \n\
             busybox:latest       0123456789ab       4.27MB            2MB   U    \n\
             \u{251c}\u{2500} linux/amd64       fedcba987654          2MB            1MB        \n\
             \u{2514}\u{2500} linux/arm64       fedcba987654          2MB            1MB        \n\n"
        );
    }

    #[test]
    fn a_narrow_terminal_has_fewer_columns() {
        let text = drawn(&rows(&[image()], false), false, Some(40));
        assert_eq!(text.lines().nth(1), Some("IMAGE          ID             DISK USAGE"));
    }
}
