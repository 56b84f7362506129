//! `--filter key=value`.

use api::filters::Filters;

/// A filter needs its value.
pub(crate) fn check(text: &str) -> Result<(), String> {
    if text.is_empty() || text.contains('=') {
        return Ok(());
    }
    Err("bad format of filter (expected name=value)".into())
}

pub(crate) fn collect(given: &[String]) -> Filters {
    let mut filters = Filters::default();
    for (key, value) in given.iter().filter_map(|filter| filter.split_once('=')) {
        filters.add(key.trim().to_ascii_lowercase(), value.trim());
    }
    filters
}
