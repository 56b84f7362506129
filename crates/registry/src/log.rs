//! The access log: a line of JSON for each request.

use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Line<'a> {
    pub(crate) time: String,
    pub(crate) remote: IpAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<&'a str>,
    pub(crate) method: &'a str,
    pub(crate) uri: &'a str,
    pub(crate) status: u16,
    pub(crate) bytes: u64,
    #[serde(rename = "duration_ms", serialize_with = "milliseconds")]
    pub(crate) took: Duration,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<&'a str>,
}

fn milliseconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((took.as_secs_f64() * 1e6).round() / 1e3)
}

impl Line<'_> {
    /// In one write, so that lines of several threads do not mix.
    pub(crate) fn write(&self) {
        let Ok(mut line) = serde_json::to_vec(self) else { return };
        line.push(b'\n');
        // Who closed our standard output does not want it.
        let _ = std::io::stdout().lock().write_all(&line);
    }
}
