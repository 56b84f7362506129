//! What commands print: tables, templates, human sizes and durations.

pub(crate) mod table;
pub(crate) mod units;
