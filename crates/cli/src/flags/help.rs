//! Help pages in Docker's layout: the flag column of pflag, wrapped to the terminal.

use super::{Flag, Kind};

/// The lines of a page's options, each ended by a newline.
///
/// `width` is the terminal's, in columns; 80 where there is none.
pub(crate) fn flag_usages(flags: &[Flag], width: usize) -> String {
    let mut shown: Vec<&Flag> = flags.iter().filter(|flag| !flag.hidden).collect();
    shown.sort_by_key(|flag| flag.long);
    let heads: Vec<String> = shown.iter().map(|flag| head(flag)).collect();
    // One column for the gap pflag marks, and one for each space it prints around it.
    let column = heads.iter().map(String::len).max().unwrap_or(0) + 3;
    let mut page = String::new();
    for (flag, head) in shown.iter().zip(&heads) {
        let text = format!("{}{}", flag.about, default_note(flag));
        page.push_str(head);
        page.push_str(&" ".repeat(column - head.len()));
        page.push_str(&wrap(&text, column, width.saturating_sub(1)));
        page.push('\n');
    }
    page
}

fn head(flag: &Flag) -> String {
    let names = match flag.short {
        Some(short) => format!("  -{short}, --{}", flag.long),
        None => format!("      --{}", flag.long),
    };
    match flag.type_name() {
        "" => names,
        word => format!("{names} {word}"),
    }
}

fn default_note(flag: &Flag) -> String {
    let shown = if flag.shown_default.is_empty() { flag.default } else { flag.shown_default };
    match flag.kind {
        _ if shown.is_empty() => String::new(),
        Kind::Switch if shown == "false" => String::new(),
        Kind::Int | Kind::Uint16 | Kind::Uint64 if shown == "0" => String::new(),
        Kind::Text => format!(" (default {shown:?})"),
        _ => format!(" (default {shown})"),
    }
}

/// Breaks `text` at blanks so that no line passes `width`; further lines start at `indent`.
fn wrap(text: &str, indent: usize, width: usize) -> String {
    /// A last word may stand out this far, rather than stand alone.
    const SLOP: usize = 5;
    /// Below this there is no sense in a column.
    const NARROWEST: usize = 24;

    let (mut indent, mut room) = (indent, width.saturating_sub(indent));
    let mut wrapped = String::new();
    if room < NARROWEST {
        indent = 16;
        room = width.saturating_sub(indent);
        wrapped.push('\n');
        wrapped.push_str(&" ".repeat(indent));
    }
    if room < NARROWEST {
        return text.to_owned();
    }
    let margin = format!("\n{}", " ".repeat(indent));
    let mut rest = text;
    loop {
        let (line, tail) = break_line(rest, room - SLOP, SLOP);
        wrapped.push_str(&line.replace('\n', &margin));
        if tail.is_empty() {
            return wrapped;
        }
        wrapped.push_str(&margin);
        rest = tail;
    }
}

fn break_line(text: &str, room: usize, slop: usize) -> (&str, &str) {
    if room + slop > text.len() {
        return (text, "");
    }
    let mut limit = room;
    while !text.is_char_boundary(limit) {
        limit -= 1;
    }
    let head = &text[..limit];
    let Some(blank) = head.rfind([' ', '\t', '\n']).filter(|at| *at > 0) else {
        return (text, "");
    };
    let at = head.rfind('\n').filter(|newline| *newline > 0 && *newline < blank).unwrap_or(blank);
    (&text[..at], &text[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_of_docker() {
        let page = flag_usages(
            &[
                Flag::switch("all", "Show all containers (default shows just running)").short('a'),
                Flag::int("last", "Show n last created containers (includes all states)")
                    .short('n')
                    .default("-1"),
                Flag::text("format", "Print").default("x"),
                Flag::text("gone", "never").hidden(),
            ],
            80,
        );
        let expected = concat!(
            "  -a, --all             Show all containers (default shows just running)\n",
            "      --format string   Print (default \"x\")\n",
            "  -n, --last int        Show n last created containers (includes all\n",
            "                        states) (default -1)\n",
        );
        assert_eq!(page, expected);
    }
}
