//! What is attested of an image, as the API tells it.

use oci::Digest;
use serde_json::{Value, json};

use crate::kit::{Layout, Registry, busybox_tar, engine, get, good, tar_of};

#[test]
fn statements_of_a_platform_with_and_without_their_text() {
    let directory = testkit::directory();
    let registry = Registry::start();
    let layers = |word: &str| vec![busybox_tar(), tar_of(&[("arch", word.as_bytes())])];
    let place = directory.path().join("image");
    let (index, parts) =
        Layout::make_attested(&place, &[("arm64", layers("arm64")), ("amd64", layers("amd64"))]);
    registry.put(&index, "attested:1");
    let engine = engine(&directory.path().join("engine"));
    let name = format!("{}/attested:1", registry.host());
    good(engine.wharf(&["pull", "-q", &name]));
    let of = |name: &str, query: &str| {
        get(&engine, &format!("/images/{}/attestations{query}", name.replace('/', "%2F")))
    };
    let ask = |query: &str| of(&name, query);
    let predicate = "https://slsa.dev/provenance/v0.2";

    let blob = |digest: &str| -> Vec<u8> {
        let hex = digest.trim_start_matches("sha256:");
        std::fs::read(place.join("blobs/sha256").join(hex)).expect("read a blob")
    };
    let manifest: Value = serde_json::from_slice(&blob(parts["attested-amd64"].as_ref())).unwrap();
    let expected = json!([{ "Descriptor": manifest["layers"][0], "PredicateType": predicate }]);
    assert_eq!(ask(""), expected);
    assert_eq!(ask(&format!("?type={predicate}&type=https://spdx.dev/Document")), expected);
    assert_eq!(ask("?type=https://spdx.dev/Document"), json!([]));

    let told = ask("?statement=1");
    let bytes = blob(manifest["layers"][0]["digest"].as_str().unwrap());
    let statement: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(told[0]["Statement"], statement);
    assert_eq!(statement["subject"][0]["digest"]["sha256"], parts["amd64"].hex());
    // As it came: no field moved, no number was written anew.
    assert_eq!(Digest::of(told[0]["Statement"].to_string().as_bytes()), Digest::of(&bytes));

    // Another platform is not here until it is pulled.
    let arm = "?platform=%7B%22os%22:%22linux%22,%22architecture%22:%22arm64%22%7D";
    let missing = ask(arm)["message"].as_str().unwrap_or_default().to_owned();
    assert!(missing.ends_with("does not provide the specified platform (linux/arm64)"), "{missing}");
    good(engine.wharf(&["pull", "-q", "--platform", "linux/arm64", &name]));
    let manifest: Value = serde_json::from_slice(&blob(parts["attested-arm64"].as_ref())).unwrap();
    assert_eq!(ask(arm)[0]["Descriptor"], manifest["layers"][0]);

    assert_eq!(
        ask("?platform=x")["message"].as_str().map(|text| text.starts_with("failed to parse")),
        Some(true)
    );
    let two = ask(&format!("{arm}&{}", &arm[1..]));
    assert_eq!(two["message"], "only one platform can be specified");
    assert_eq!(of("nothing:1", "")["message"], "No such image: nothing:1");
    // What was made here has nothing attested.
    good(engine.wharf(&["create", "--name", "made", &name, "true"]));
    good(engine.wharf(&["commit", "made", "made:1"]));
    assert_eq!(of("made:1", "?statement=1"), json!([]));
}
