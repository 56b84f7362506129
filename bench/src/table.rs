//! The one table that comes out, in Markdown, so that the README can show it as it is.

use crate::measure::Samples;

/// One line: what was measured, by whom, in which unit.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) case: &'static str,
    pub(crate) contender: String,
    pub(crate) unit: &'static str,
    pub(crate) samples: Samples,
    /// The command line, without what prepared it; empty where none was timed.
    pub(crate) command: String,
}

/// Renders rows; the last column is the ratio to Wharf's row of the same case (how many times Wharf's figure).
pub(crate) fn render(rows: &[Row]) -> String {
    let mut out = String::from(
        "| what | who | median | min .. max | ratio to wharf |\n| --- | --- | ---: | ---: | ---: |\n",
    );
    for row in rows {
        let ours = rows.iter().find(|r| r.case == row.case && r.contender.starts_with("wharf"));
        let ratio = ours.map_or(f64::NAN, |ours| row.samples.median() / ours.samples.median());
        let (min, max) = row.samples.spread();
        out.push_str(&format!(
            "| {} | {} | {} {unit} | {} .. {} | {} |\n",
            row.case,
            row.contender,
            number(row.samples.median()),
            number(min),
            number(max),
            if ratio.is_nan() { "-".to_owned() } else { format!("{ratio:.2}") },
            unit = row.unit,
        ));
    }
    out
}

/// Says what is known of a case at once: a run that is broken off was not for nothing.
pub(crate) fn told(rows: &[Row], case: &str) {
    for row in rows.iter().filter(|row| row.case == case) {
        eprintln!("{case}: {}: {} {}", row.contender, number(row.samples.median()), row.unit);
    }
}

/// The command lines of the table, `$D` being the bench's directory.
pub(crate) fn commands(rows: &[Row], directory: &str) -> String {
    let mut out = String::new();
    for row in rows.iter().filter(|row| !row.command.is_empty()) {
        let command = row.command.replace(directory, "$D");
        out.push_str(&format!("- {}, {}: `{command}`\n", row.case, row.contender));
    }
    out.push('\n');
    out
}

fn number(value: f64) -> String {
    match value {
        v if v.is_nan() => "failed".to_owned(),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
