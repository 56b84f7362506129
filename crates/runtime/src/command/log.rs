//! What the command has to say, in the shapes engines look for: lines of text or JSON on stderr or in the log
//! file, and then an error on stderr too.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::Path;

use super::Failure;

/// How grave it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Debug,
    Warning,
    Error,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Where messages go. The default is text on stderr, without debug messages.
#[derive(Debug, Default)]
pub(crate) struct Log {
    file: Option<File>,
    json: bool,
    debug: bool,
}

impl Log {
    /// Opens the log file, if there is one.
    pub(super) fn open(path: Option<&Path>, format: &str, debug: bool) -> Result<Self, Failure> {
        let json = match format {
            "" | "text" => false,
            "json" => true,
            other => return Err(Failure(format!("invalid log-format: {other}"))),
        };
        let open = |path: &Path| {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            file.map_err(|error| Failure(format!("open {}: {error}", path.display())))
        };
        let file = path.filter(|p| !p.as_os_str().is_empty()).map(open).transpose()?;
        Ok(Self { file, json, debug })
    }

    /// Why the command failed.
    pub(super) fn error(&self, text: &str) {
        self.write(Level::Error, text);
        if self.file.is_some() {
            // With a failing stderr there is nowhere left to complain.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// What was not done as asked.
    pub(super) fn warn(&self, text: &str) {
        self.write(Level::Warning, text);
    }

    /// A step, for those who asked with `--debug`.
    pub(super) fn debug(&self, text: impl FnOnce() -> String) {
        if self.debug {
            self.write(Level::Debug, &text());
        }
    }

    fn write(&self, level: Level, text: &str) {
        let stderr = std::io::stderr();
        let line = if self.json {
            serde_json::json!({ "level": level.word(), "msg": text, "time": now() }).to_string()
        } else if self.file.is_none() && stderr.is_terminal() {
            format!("{}[0000] {text}", level.word()[..4].to_ascii_uppercase())
        } else {
            format!("time={:?} level={} msg={}", now(), level.word(), quoted(text))
        };
        // One write, so that lines of several processes do not mix; and nobody to tell if it fails.
        let line = format!("{line}\n");
        let _ = match &self.file {
            Some(file) => (&*file).write_all(line.as_bytes()),
            None => stderr.lock().write_all(line.as_bytes()),
        };
    }
}

/// Whole seconds, as RFC 3339 has them.
fn now() -> String {
    let now = jiff::Timestamp::now();
    jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

/// A word stands as it is, anything else in Go's quotes.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text.to_owned() } else { format!("{text:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_that_engines_parse() {
        let directory = tempfile::tempdir().unwrap();
        let read = |format: &str, debug: bool| {
            let path = directory.path().join(format!("{format}-{debug}"));
            let log = Log::open(Some(&path), format, debug).unwrap();
            log.debug(|| "step".into());
            log.warn("it is \"odd\"");
            std::fs::read_to_string(path).unwrap()
        };
        let text = read("text", false);
        assert!(
            text.starts_with("time=\"20") && text.ends_with("Z\" level=warning msg=\"it is \\\"odd\\\"\"\n")
        );
        let lines: Vec<serde_json::Value> =
            read("json", true).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["level"], &lines[0]["msg"]), (&"debug".into(), &"step".into()));
        assert_eq!(lines[1]["level"], "warning");
        assert!(Log::open(None, "xml", false).is_err());
    }
}
