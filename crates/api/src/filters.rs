//! The `filters` query parameter: `{"label":{"a=b":true}}`, or of old clients `{"label":["a=b"]}`.

use std::collections::{BTreeMap, BTreeSet};

/// Keys to sets of values. A value mapped to `false` was sent and still counts as given, as in Docker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(pub BTreeMap<String, BTreeSet<String>>);

/// The text was neither form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidFilter;

impl std::fmt::Display for InvalidFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("invalid filter")
    }
}

impl std::error::Error for InvalidFilter {}

impl Filters {
    /// Reads either form; the empty text is no filter.
    pub fn parse(text: &str) -> Result<Filters, InvalidFilter> {
        if text.is_empty() {
            return Ok(Filters::default());
        }
        type New = BTreeMap<String, BTreeMap<String, bool>>;
        type Old = BTreeMap<String, Vec<String>>;
        if let Ok(map) = crate::go::from_slice::<New>(text.as_bytes()) {
            return Ok(Filters(map.into_iter().map(|(k, v)| (k, v.into_keys().collect())).collect()));
        }
        let map: Old = crate::go::from_slice(text.as_bytes()).map_err(|_| InvalidFilter)?;
        Ok(Filters(map.into_iter().map(|(k, v)| (k, v.into_iter().collect())).collect()))
    }

    pub fn add(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.0.entry(key.into()).or_default().insert(value.into());
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values of a key, in order; none if the key is absent.
    pub fn get(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }

    /// The newer form, for a query string; empty text when there is nothing to filter.
    pub fn to_json(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let map: BTreeMap<&String, BTreeMap<&String, bool>> =
            self.0.iter().map(|(k, values)| (k, values.iter().map(|v| (v, true)).collect())).collect();
        // A map of strings to booleans has no way to fail.
        serde_json::to_string(&map).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_read_alike() {
        let new = Filters::parse(r#"{"label":{"a=b":true,"c":true},"status":{"exited":false}}"#).unwrap();
        let old = Filters::parse(r#"{"label":["a=b","c"],"status":["exited"]}"#).unwrap();
        assert_eq!(new, old);
        assert_eq!(new.get("label").collect::<Vec<_>>(), ["a=b", "c"]);
        assert_eq!(new.to_json(), r#"{"label":{"a=b":true,"c":true},"status":{"exited":true}}"#);
        assert_eq!(Filters::parse("").unwrap().to_json(), "");
        assert_eq!(Filters::parse("[]"), Err(InvalidFilter));
        assert_eq!(Filters::parse("{\"a\":3}"), Err(InvalidFilter));
    }
}
