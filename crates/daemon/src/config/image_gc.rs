//! `"image-gc": {"high": "85%", "low": "80%"}`: when unused images go by themselves. Docker has no such key.

use std::time::Duration;

use engine::{ImageGc, Mark};
use serde_json::Value;

use super::Config;

impl Config {
    /// The water marks; `None` where there are none.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn image_gc(&self) -> Result<Option<ImageGc>, String> {
        let said = self.map("image-gc");
        if said.is_empty() {
            return Ok(None);
        }
        let wrong = |why: String| format!("image-gc: {why}");
        if let Some(unknown) = said.keys().find(|key| !matches!(key.as_str(), "high" | "low" | "min-age")) {
            return Err(wrong(format!("unknown key {unknown:?} (known: high, low, min-age)")));
        }
        let text = |key: &str| match said.get(key) {
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(other) => Err(wrong(format!("{key} must be a text, not {other}"))),
            None => Ok(None),
        };
        let mark = |key: &str| -> Result<Mark, String> {
            text(key)?.ok_or_else(|| wrong(format!("{key} is missing")))?.parse().map_err(wrong)
        };
        let (high, low) = (mark("high")?, mark("low")?);
        let min_age = match text("min-age")? {
            Some(text) => {
                age(text).ok_or_else(|| wrong(format!("invalid min-age {text:?} (like 30s, 10m, 24h)")))?
            }
            None => ImageGc::MIN_AGE,
        };
        ImageGc::new(high, low, min_age).map(Some).map_err(wrong)
    }
}

/// One number with its unit.
fn age(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).map(Duration::from_secs)
}
