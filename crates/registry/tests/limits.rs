//! What stays, and how much there may be.

mod kit;

use std::path::Path;
use std::time::{Duration, SystemTime};

use oci::{Digest, media_type};
use registry::{Quota, Rule, Settings, Storage};
use serde_json::json;

use kit::{Registry, noise, settings};

/// As if a tag had been pushed so long ago.
fn age(root: &Path, repository: &str, tag: &str, hours: u64) {
    let path =
        root.join(format!("docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}/current/link"));
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
}

#[test]
fn tags_stay_by_number_age_and_name_and_a_dry_run_says_exactly_what_goes() {
    let directory = tempfile::tempdir().unwrap();
    let registry = Registry::start(settings(directory.path()));
    let mut digests = Vec::new();
    for number in 1..=5u64 {
        digests.push(registry.image("team/app", &format!("v{number}"), format!("layer {number}").as_bytes()));
        age(directory.path(), "team/app", &format!("v{number}"), 100 - number * 10);
    }
    let stable = registry.image("team/app", "stable", b"layer 1");
    assert_eq!(stable, digests[0]);
    registry.image("own", "v1", b"old");
    age(directory.path(), "own", "v1", 1000);
    // About v2 and about v5, as clients without the API for it keep it.
    let about = |digest: &Digest, of: &str| {
        let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [], "annotations": { "of": of } });
        registry.manifest("team/app", &digest.as_str().replace(':', "-"), &index)
    };
    let (about_2, _) = (about(&digests[1], "2"), about(&digests[4], "5"));
    let rule = |repositories: &str, tags: &str, keep, hours: Option<u64>| Rule {
        repositories: repositories.into(),
        tags: tags.into(),
        keep,
        age: hours.map(|hours| Duration::from_secs(hours * 3600)),
    };
    // v5, v4: the newest; v3: young enough; v2 and v1 go, but what v1 means is stable, too.
    let rules = [rule("team/**", "v*", Some(2), Some(75)), rule("team/**", "*", None, None)];
    let storage = Storage::open(directory.path()).unwrap();
    let would = storage.retain(&rules, true).unwrap();
    let lines: Vec<String> = would.iter().map(ToString::to_string).collect();
    let why = "it is not among the newest 2, and it is older than 75h";
    let (two, one) = (&digests[1], &digests[0]);
    let mut manifests = [two, &about_2];
    manifests.sort_by_key(|digest| digest.as_str());
    let expected = [
        format!("team/app:v2 {two} {why}"),
        format!("team/app:v1 {one} {why}"),
        format!("team/app:{} {about_2} what it is about goes", two.as_str().replace(':', "-")),
        format!("team/app@{} no tag leads to it any more", manifests[0]),
        format!("team/app@{} no tag leads to it any more", manifests[1]),
    ];
    assert_eq!(lines, expected);
    assert_eq!(registry.get("/v2/team/app/manifests/v2").status, 200);
    assert_eq!(storage.retain(&rules, false).unwrap(), would);
    let five = digests[4].as_str().replace(':', "-");
    assert_eq!(
        registry.get("/v2/team/app/tags/list").json()["tags"],
        json!([five, "stable", "v3", "v4", "v5"])
    );
    assert_eq!(registry.get(&format!("/v2/team/app/manifests/{two}")).status, 404);
    assert_eq!(registry.get("/v2/team/app/manifests/stable").status, 200);
    assert_eq!(registry.get("/v2/own/manifests/v1").status, 200);
    assert_eq!(storage.retain(&rules, false).unwrap(), []);
}

#[test]
fn no_more_is_pushed_than_the_quota_has() {
    let directory = tempfile::tempdir().unwrap();
    let quotas = vec![Quota { repositories: "team/**".into(), bytes: 1_000_000 }];
    let with = || Settings { quotas: quotas.clone(), ..settings(directory.path()) };
    let registry = Registry::start(with());
    let bytes = noise(2_000_000);
    registry.push("team/a", &bytes[..600_000]);
    let push = |registry: &Registry, repository: &str, bytes: &[u8]| {
        let path = format!("/v2/{repository}/blobs/uploads/?digest={}", Digest::of(bytes));
        registry.ask("POST", &path, &[], bytes)
    };
    let refused = push(&registry, "team/b", &bytes[..500_000]);
    assert_eq!((refused.status, refused.code().as_str()), (403, "DENIED"), "{refused:?}");
    assert_eq!(
        refused.json()["errors"][0]["message"],
        "quota of team/** exceeded: 600.0 kB of 1.0 MB are used, and this needs 500.0 kB"
    );
    // Elsewhere there is none; and what is there already needs nothing, also in another repository of the place.
    registry.push("other", &bytes);
    let mount = format!("/v2/team/b/blobs/uploads/?mount={}&from=team/a", Digest::of(&bytes[..600_000]));
    assert_eq!(registry.ask("POST", &mount, &[], b"").status, 201);
    let mount = format!("/v2/team/b/blobs/uploads/?mount={}&from=other", Digest::of(&bytes));
    assert_eq!(registry.ask("POST", &mount, &[], b"").status, 403);
    // In pieces, of which each would fit; nothing of it stays.
    let begun = registry.ask("POST", "/v2/team/c/blobs/uploads/", &[], b"");
    let location = begun.header("location");
    assert_eq!(registry.ask("PATCH", location, &[], &bytes[..300_000]).status, 202);
    let refused = registry.ask("PATCH", location, &[], &bytes[300_000..600_000]);
    assert_eq!((refused.status, refused.code().as_str()), (403, "DENIED"));
    assert_eq!(registry.get(location).code(), "BLOB_UPLOAD_UNKNOWN");
    // Two that fit alone do not fit together, whichever processes they come to.
    let other = Registry::start(with());
    let (a, b) = (&bytes[1_000_000..1_300_000], &bytes[1_300_000..1_600_000]);
    let mut statuses = std::thread::scope(|scope| {
        let first = scope.spawn(|| push(&registry, "team/d", a).status);
        let second = scope.spawn(|| push(&other, "team/e", b).status);
        [first.join().unwrap(), second.join().unwrap()]
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 403]);
    // What is deleted makes room.
    let path = |name: &str| format!("/v2/{name}/blobs/{}", Digest::of(&bytes[..600_000]));
    assert_eq!(registry.ask("DELETE", &path("team/a"), &[], b"").status, 202);
    assert_eq!(registry.ask("DELETE", &path("team/b"), &[], b"").status, 202);
    assert_eq!(push(&registry, "team/f", &bytes[..500_000]).status, 201);
}
