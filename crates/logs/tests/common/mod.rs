//! What the tests of all drivers need.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use logs::{ContainerFacts, Destination};

pub(crate) fn id() -> String {
    "ab".repeat(32)
}

/// Of a container `name` with the label `team` and the variables `A` and `B`.
pub(crate) fn destination(driver: &str, options: &[(&str, &str)], path: &Path) -> Destination {
    let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let labels = BTreeMap::from([("team".to_owned(), "a b".to_owned())]);
    let facts = ContainerFacts {
        id: &id(),
        name: "/name",
        image_id: "sha256:0123456789abcdef",
        image_name: "image:1",
        command: &["sh".to_owned(), "-c".to_owned()],
        labels: &labels,
        env: &["A=1".to_owned(), "B=2".to_owned()],
        created: "2026-01-01T00:00:00Z",
    };
    logs::resolve(driver, &options, &facts, path.to_owned()).unwrap()
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::new(second, 0).unwrap()
}
