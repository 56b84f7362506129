//! What images take of the disk: what several have counts once.

use std::path::Path;

use serde_json::Value;
use testkit::Engine;

use super::{good, imported};

fn commit(engine: &Engine, directory: &Path, bytes: usize, name: &str) {
    let file = directory.join(name);
    std::fs::write(&file, vec![b'x'; bytes]).expect("write a file");
    good(engine.wharf(&["create", "--name", name, "bb", "true"]));
    good(engine.wharf(&["cp", "-q", &file.display().to_string(), &format!("{name}:/new")]));
    good(engine.wharf(&["commit", name, name]));
    good(engine.wharf(&["rm", name]));
}

#[test]
fn shared_layers_count_once() {
    let directory = testkit::directory();
    let engine = imported(directory.path());
    commit(&engine, directory.path(), 300_000, "one");
    commit(&engine, directory.path(), 500_000, "two");
    let raw = good(engine.wharf(&["system", "df", "-v", "--format", "json"]));
    let usage: Value = serde_json::from_str(&raw).expect("JSON");
    let image = |name: &str| {
        let found = usage["Images"].as_array().unwrap().iter().find(|image| image["Repository"] == name);
        let found = found.unwrap_or_else(|| panic!("{name}: {raw}"));
        ["Size", "SharedSize", "UniqueSize"].map(|key| found[key].as_str().unwrap().to_owned())
    };
    let base = image("bb");
    assert_eq!(base[0], base[1], "all of it is below others, too");
    assert_eq!(base[2], "0B");
    assert_eq!(
        (image("one")[1..].to_vec(), image("two")[1..].to_vec()),
        (vec![base[0].clone(), "300kB".to_owned()], vec![base[0].clone(), "500kB".to_owned()])
    );

    let sizes: Value = {
        let mut curl = std::process::Command::new("curl");
        curl.args(["-sS", "--unix-socket"])
            .arg(engine.socket())
            .arg("http://x/system/df?verbose=1&type=image");
        serde_json::from_slice(&curl.output().expect("run curl").stdout).expect("JSON")
    };
    let usage = &sizes["ImageUsage"];
    let number = |value: &Value| value.as_i64().unwrap_or_else(|| panic!("{sizes}"));
    let list = usage["Items"].as_array().unwrap();
    let below = list.iter().map(|image| number(&image["Size"])).min().expect("an image");
    assert_eq!(number(&usage["TotalSize"]), below + 800_000);
    // No container has any of it.
    assert_eq!(number(&usage["Reclaimable"]), below + 800_000);
}
