//! Lists as `--format` wants them: a table, JSON lines, or a template per row.
//!
//! A [`Listing`] names its columns and the default table; a command fills rows of cells and calls [`render`].

use std::collections::BTreeMap;

use gotemplate::{Data, Missing, Template};
use serde_json::Value as Json;

/// What a kind of list looks like.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The Go type named in errors about unknown fields.
    pub(crate) type_name: &'static str,
    /// Field names and their titles.
    pub(crate) titles: &'static [(&'static str, &'static str)],
}

/// One row: a cell per field, and the labels for `.Label "key"`.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) cells: Vec<(&'static str, Json)>,
    pub(crate) labels: Option<BTreeMap<String, String>>,
}

impl Row {
    /// For a template. A cell that is an object is a platform, which has a text as well: `linux/arm64/v8`.
    pub(crate) fn data(self) -> Data {
        let platforms: Vec<_> = self
            .cells
            .iter()
            .filter_map(|(name, cell)| {
                let part = |key: &str| cell.as_object()?.get(key)?.as_str().filter(|part| !part.is_empty());
                let parts = ["os", "architecture", "variant"].into_iter().filter_map(part);
                Some((*name, cell.as_object().map(|_| parts.collect::<Vec<_>>().join("/"))?))
            })
            .collect();
        let data = Data::row(self.cells, self.labels);
        platforms.into_iter().fold(data, |data, (name, text)| data.printed(name, text))
    }
}

fn read(format: &str) -> Result<Template, String> {
    let source = match format.strip_prefix("table") {
        _ if format == "json" => "{{json .}}".to_owned(),
        body => body.unwrap_or(format).trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n"),
    };
    Template::parse(&source).map_err(|error| error.to_string())
}

/// Prints rows in `format`: `json`, `table <template>` or a template.
///
/// # Errors
/// What is wrong with the template.
pub(crate) fn render(listing: &Listing, format: &str, rows: Vec<Row>) -> Result<String, String> {
    let table = format.strip_prefix("table");
    let template = read(format).map_err(|error| format!("template parsing error: {error}"))?;
    let mut text = String::new();
    if table.is_some() {
        let titles = Data::titles(listing.titles.iter().copied());
        // A title that cannot be made is an empty one, as in Docker: the rows will name the error.
        text.push_str(&template.execute_header(&titles).unwrap_or_default());
        text.push('\n');
    }
    for row in rows {
        let data = row.data();
        let line = template
            .execute(&data, Missing::Field(listing.type_name))
            .map_err(|error| format!("template parsing error: {error}"))?;
        text.push_str(&line);
        text.push('\n');
    }
    if table.is_none() {
        return Ok(text);
    }
    Ok(align(&text))
}

/// Lays out tab-terminated cells in columns at least ten wide and three apart.
pub(crate) fn align(text: &str) -> String {
    align_with(text, 10, 3)
}

/// As [`align`], with another least width and gap: the rules of Go's `text/tabwriter`.
///
/// A column is a block of lines below each other that have a cell there; the text after a line's last tab is no cell.
/// <https://pkg.go.dev/text/tabwriter>
pub(crate) fn align_with(text: &str, least: usize, gap: usize) -> String {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut aligned = String::with_capacity(text.len() * 2);
    Columns { lines: &lines, least, gap }.block(0..lines.len(), &mut Vec::new(), &mut aligned);
    aligned
}

struct Columns<'a> {
    lines: &'a [Vec<&'a str>],
    least: usize,
    gap: usize,
}

impl Columns<'_> {
    /// Lays out `range`; `widths` are those of the columns to the left that all its lines share.
    fn block(&self, range: std::ops::Range<usize>, widths: &mut Vec<usize>, out: &mut String) {
        let column = widths.len();
        let has_cell = |line: usize| column + 1 < self.lines[line].len();
        let mut next = range.start;
        while next < range.end {
            if !has_cell(next) {
                self.line(next, widths, out);
                next += 1;
                continue;
            }
            let end = (next..range.end).find(|line| !has_cell(*line)).unwrap_or(range.end);
            let widest = (next..end).map(|line| self.lines[line][column].chars().count()).max().unwrap_or(0);
            widths.push((widest + self.gap).max(self.least));
            self.block(next..end, widths, out);
            widths.pop();
            next = end;
        }
    }

    fn line(&self, line: usize, widths: &[usize], out: &mut String) {
        let cells = &self.lines[line];
        for (at, cell) in cells.iter().enumerate() {
            out.push_str(cell);
            if at + 1 < cells.len() {
                let width = widths.get(at).copied().unwrap_or(0);
                out.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
            }
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LISTING: Listing = Listing {
        type_name: "*formatter.ContainerContext",
        titles: &[("ID", "CONTAINER ID"), ("Names", "NAMES")],
    };

    fn rows() -> Vec<Row> {
        let row = |id: &str, names: &str| Row {
            cells: vec![("ID", json!(id)), ("Names", json!(names))],
            labels: None,
        };
        vec![row("abc", "web"), row("0123456789ab", "db")]
    }

    #[test]
    fn a_table_has_docker_s_columns() {
        assert_eq!(
            render(&LISTING, "table {{.ID}}\\t{{.Names}}", rows()).unwrap(),
            "CONTAINER ID   NAMES\nabc            web\n0123456789ab   db\n"
        );
    }

    #[test]
    fn columns_are_blocks_of_lines() {
        assert_eq!(align_with("a\tb\n\nlonger\tc\td\n", 4, 1), "a   b\n\nlonger c   d\n");
    }

    #[test]
    fn json_is_one_line_per_row() {
        assert_eq!(
            render(&LISTING, "json", rows()).unwrap(),
            "{\"ID\":\"abc\",\"Names\":\"web\"}\n{\"ID\":\"0123456789ab\",\"Names\":\"db\"}\n"
        );
    }

    #[test]
    fn an_unknown_field_is_named() {
        let error = render(&LISTING, "{{.Foo}}", rows()).unwrap_err();
        assert!(error.starts_with("template parsing error: template: :1:2: executing"), "{error}");
    }
}
