//! What commands print: tables, templates, human sizes and durations.

use std::io::Write;

pub(crate) mod file;
pub(crate) mod natural;
pub(crate) mod table;
pub(crate) mod units;

/// What `--format` of a list takes.
pub(crate) const FORMAT_HELP: &str = "Format output using a custom template:\n'table':            Print output in table format with column headers (default)\n'table TEMPLATE':   Print output in table format using the given Go template\n'json':             Print in JSON format\n'TEMPLATE':         Print output using the given Go template.";

/// Prints on stdout. A reader that went away is not this command's failure.
pub(crate) fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Prints on stderr.
pub(crate) fn err(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// The first twelve digits of an id, without the algorithm.
pub(crate) fn short_id(id: &str) -> &str {
    let id = id.split_once(':').map_or(id, |(_, digits)| digits);
    id.get(..12).unwrap_or(id)
}

/// At most `width` columns, the last of them an ellipsis when something was cut.
pub(crate) fn ellipsis(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let cut: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{cut}…")
}
