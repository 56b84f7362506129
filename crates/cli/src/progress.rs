//! The engine's progress streams (pull, load, import) as Docker shows them.

use api::progress::{ProgressDetail, ProgressMessage};
use client::JsonStream;

use crate::failure::Failure;
use crate::output;
use crate::output::units::human_size;

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    Stdout,
    Stderr,
    Nowhere,
}

impl To {
    fn print(self, text: &str) {
        match self {
            Self::Stdout => output::out(text),
            Self::Stderr => output::err(text),
            Self::Nowhere => {}
        }
    }

    fn is_terminal(self) -> bool {
        match self {
            Self::Stdout => crate::terminal::stdout_is_terminal(),
            Self::Stderr => rustix::termios::isatty(rustix::stdio::stderr()),
            Self::Nowhere => false,
        }
    }
}

/// Of a terminal that does not say how wide it is.
const WIDTH: u16 = 200;
/// Narrower ones get no bar.
const BAR_WIDTH: u16 = 110;

/// `[====>    ]  1.2MB/3.4MB`, as Docker draws it.
fn how_far(detail: &ProgressDetail, width: u16) -> String {
    let size = |bytes: i64| human_size(bytes as f64, 4);
    if detail.total <= 0 {
        return match detail.units.as_str() {
            "" => format!("{:>8}", size(detail.current)),
            units => format!("{} {units}", detail.current),
        };
    }
    let done = (detail.current as f64 / detail.total as f64 * 100.0) as usize / 2;
    let done = done.min(50);
    let bar = match width {
        ..=BAR_WIDTH => String::new(),
        _ => format!("[{}>{}] ", "=".repeat(done), " ".repeat(50 - done)),
    };
    let numbers = match detail.units.as_str() {
        _ if detail.hide_counts => String::new(),
        "" if detail.current > detail.total => format!("{:>8}", size(detail.current)),
        "" => format!("{:>8}/{}", size(detail.current), size(detail.total)),
        units if detail.current > detail.total => format!("{} {units}", detail.current),
        units => format!("{}/{} {units}", detail.current, detail.total),
    };
    format!("{bar}{numbers}")
}

/// Shows a stream to its end.
///
/// # Errors
/// The error the stream carries, or its break.
pub(crate) async fn show(stream: JsonStream<ProgressMessage>, to: To) -> Result<(), Failure> {
    show_with(stream, to, |_| ()).await
}

/// As [`show`], for one who wants to know of what stands beside the lines.
///
/// # Errors
/// The error the stream carries, or its break.
pub(crate) async fn show_with(
    mut stream: JsonStream<ProgressMessage>,
    to: To,
    mut aside: impl FnMut(&serde_json::Value),
) -> Result<(), Failure> {
    let in_place = to.is_terminal();
    // The ids that have a line of their own, topmost first.
    let mut lines: Vec<String> = Vec::new();
    while let Some(message) = stream.next().await? {
        if let Some(text) = error_of(&message) {
            return Err(Failure::new(text));
        }
        if let Some(aux) = &message.aux {
            aside(aux);
        }
        if !message.stream.is_empty() {
            to.print(&message.stream);
            continue;
        }
        if message.status.is_empty() {
            continue;
        }
        let bar = message.progress_detail.as_ref().filter(|detail| detail.current > 0 || detail.total > 0);
        if !in_place {
            if bar.is_none() {
                to.print(&line(&message, ""));
            }
            continue;
        }
        let width = crate::terminal::size().map_or(WIDTH, |size| size.columns);
        let shown = bar.map_or_else(String::new, |detail| format!(" {}", how_far(detail, width)));
        if message.id.is_empty() {
            to.print(&line(&message, &shown));
            lines.clear();
            continue;
        }
        match lines.iter().position(|id| *id == message.id) {
            None => {
                to.print(&line(&message, &shown));
                lines.push(message.id.clone());
            }
            Some(at) => {
                let up = lines.len() - at;
                to.print(&format!(
                    "\x1b[{up}A\x1b[2K\r{}\x1b[{up}B\r",
                    line(&message, &shown).trim_end_matches('\n')
                ));
            }
        }
    }
    Ok(())
}

fn error_of(message: &ProgressMessage) -> Option<String> {
    let detail = message.error_detail.as_ref().map(|detail| detail.message.clone());
    detail
        .filter(|text| !text.is_empty())
        .or_else(|| (!message.error.is_empty()).then(|| message.error.clone()))
}

fn line(message: &ProgressMessage, bar: &str) -> String {
    match message.id.as_str() {
        "" => format!("{}{bar}\n", message.status),
        id => format!("{id}: {}{bar}\n", message.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_drawn_where_there_is_room() {
        let at = |current, total| ProgressDetail { current, total, ..ProgressDetail::default() };
        let bar = format!("[{}>{}]     25MB/100MB", "=".repeat(12), " ".repeat(38));
        assert_eq!(how_far(&at(25_000_000, 100_000_000), 120), bar);
        assert_eq!(how_far(&at(25_000_000, 100_000_000), 110), "    25MB/100MB");
        assert_eq!(how_far(&at(512, 0), 200), "    512B");
        assert!(how_far(&at(5, 5), 200).contains(&format!("[{}>]", "=".repeat(50))));
    }
}
