//! What the registry says: a line for each request on standard output, and what happens to itself on standard error; as
//! JSON, or as `key=value`.

use std::fmt::Write as _;
use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Map, Value};

/// How much, and in which form.
#[derive(Clone, Debug)]
pub struct Log {
    /// A line for each request.
    pub access: bool,
    pub level: Level,
    pub form: Form,
    /// In every line.
    pub fields: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Json,
    Text,
}

impl Default for Log {
    fn default() -> Self {
        Log { access: true, level: Level::Info, form: Form::Json, fields: Vec::new() }
    }
}

/// One request.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    /// `None`: over a socket of this machine.
    pub(crate) remote: Option<IpAddr>,
    pub(crate) user: Option<&'a str>,
    pub(crate) method: &'a str,
    pub(crate) uri: &'a str,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
    pub(crate) agent: Option<&'a str>,
    pub(crate) error: Option<&'a str>,
}

impl Log {
    pub(crate) fn request(&self, line: &Line<'_>) {
        if !self.access {
            return;
        }
        let milliseconds = (line.took.as_secs_f64() * 1e6).round() / 1e3;
        let remote = line.remote.map_or_else(|| "@".to_owned(), |ip| ip.to_string());
        let mut fields: Vec<(&str, Value)> = vec![("remote", remote.into())];
        fields.extend(line.user.map(|user| ("user", user.into())));
        fields.extend([
            ("method", line.method.into()),
            ("uri", line.uri.into()),
            ("status", line.status.into()),
            ("bytes", line.bytes.into()),
            ("duration_ms", milliseconds.into()),
        ]);
        fields.extend(line.agent.map(|agent| ("agent", agent.into())));
        fields.extend(line.error.map(|error| ("error", error.into())));
        let text = self.form(fields);
        // In one write, so that lines of several threads do not mix. Who closed our standard output does not want it.
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }

    /// Something that concerns whoever runs this registry.
    pub(crate) fn say(&self, level: Level, message: &str) {
        if level > self.level {
            return;
        }
        let text = self.form(vec![("level", level.word().into()), ("msg", message.into())]);
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }

    fn form(&self, fields: Vec<(&str, Value)>) -> String {
        let time = jiff::Timestamp::now().to_string();
        let own = self.fields.iter().map(|(key, value)| (key.as_str(), Value::from(value.as_str())));
        let all = std::iter::once(("time", Value::from(time))).chain(fields).chain(own);
        let mut text = match self.form {
            Form::Json => {
                let map: Map<String, Value> = all.map(|(key, value)| (key.to_owned(), value)).collect();
                Value::Object(map).to_string()
            }
            Form::Text => all.fold(String::new(), |mut text, (key, value)| {
                let space = if text.is_empty() { "" } else { " " };
                let bare = value.as_str().filter(|text| {
                    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '='))
                });
                // What is not plainly a word is quoted as in JSON.
                let _ = match bare {
                    Some(word) => write!(text, "{space}{key}={word}"),
                    None => write!(text, "{space}{key}={value}"),
                };
                text
            }),
        };
        text.push('\n');
        text
    }
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Level::Error => "error",
            Level::Warn => "warning",
            Level::Info => "info",
            Level::Debug => "debug",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_form_and_the_fields_of_the_settings() {
        let mut log = Log { fields: vec![("service".into(), "my registry".into())], ..Log::default() };
        let fields = || vec![("uri", Value::from("/v2/")), ("status", Value::from(200))];
        let value: Value = serde_json::from_str(&log.form(fields())).unwrap();
        assert_eq!(
            (&value["uri"], &value["status"], &value["service"]),
            (&"/v2/".into(), &200.into(), &"my registry".into())
        );
        log.form = Form::Text;
        let text = log.form(fields());
        assert!(text.ends_with(" uri=/v2/ status=200 service=\"my registry\"\n"), "{text}");
    }
}
