//! The engine's progress streams (pull, load, import) as Docker shows them.

use api::progress::ProgressMessage;
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

/// Shows a stream to its end.
///
/// # Errors
/// The error the stream carries, or its break.
pub(crate) async fn show(mut stream: JsonStream<ProgressMessage>, to: To) -> Result<(), Failure> {
    let in_place = to.is_terminal();
    // The ids that have a line of their own, topmost first.
    let mut lines: Vec<String> = Vec::new();
    while let Some(message) = stream.next().await? {
        if let Some(text) = error_of(&message) {
            return Err(Failure::new(text));
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
        let shown = match bar {
            Some(detail) if detail.total > 0 => {
                format!(" {}/{}", human_size(detail.current as f64, 4), human_size(detail.total as f64, 4))
            }
            Some(detail) => format!(" {}", human_size(detail.current as f64, 4)),
            None => String::new(),
        };
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
