//! Images that go by themselves, as the water marks say.

use std::path::Path;
use std::time::Instant;

use testkit::Engine;

use super::{DEADLINE, binary, good, text};

/// Not to be compressed, and no two alike: each image takes 2 MB as a blob, and 2 MB unpacked.
fn import(engine: &Engine, directory: &Path, name: &str) -> String {
    let place = directory.join(format!("files-{name}"));
    std::fs::create_dir_all(&place).expect("make a directory");
    let mut noise = Vec::new();
    let mut state = name.bytes().fold(7_u64, |state, byte| state.wrapping_mul(31).wrapping_add(byte.into()));
    while noise.len() < 2_000_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        noise.extend(state.to_le_bytes());
    }
    std::fs::write(place.join("noise"), noise).expect("write a file");
    let tar = directory.join(format!("{name}.tar"));
    let packed =
        std::process::Command::new("tar").arg("-C").arg(&place).arg("-cf").arg(&tar).arg(".").status();
    assert!(packed.expect("run tar").success());
    good(engine.wharf(&["import", "-c", "CMD [\"x\"]", text(&tar), name]))
}

fn names(engine: &Engine) -> Vec<String> {
    let listed = good(engine.wharf(&["images", "--format", "{{.Repository}}"]));
    let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn a_dry_run_prints_what_goes_and_containers_keep_theirs() {
    let directory = testkit::directory();
    let place = directory.path().join("engine");
    std::fs::create_dir(&place).expect("make the engine's directory");
    let engine = Engine::start(binary(), &place);
    let unset = engine.wharf(&["image", "gc", "--dry-run"]);
    assert!(unset.status == 1 && unset.stderr.contains("no water marks are set"), "{unset:?}");
    let ids: Vec<String> = ["a", "b", "c", "d"].map(|name| import(&engine, directory.path(), name)).into();
    good(engine.wharf(&["create", "--name", "of-a", "a"]));
    let gc = |more: &[&str]| {
        let marks = ["image", "gc", "--high", "12MB", "--low", "9MB", "--min-age", "0s"];
        good(engine.wharf(&[&marks[..], more].concat()))
    };
    let wanted = format!("{}\n{}", ids[1], ids[2]);
    assert_eq!(gc(&["--dry-run", "-q", "--no-trunc"]), wanted);
    let said = gc(&["--dry-run"]);
    assert!(said.contains("Space that would be reclaimed: 8"), "{said}");
    assert_eq!(names(&engine), ["a", "b", "c", "d"], "a dry run removes nothing");
    // Too young for the usual least age.
    let young = good(engine.wharf(&["image", "gc", "--high", "12MB", "--low", "9MB", "-q"]));
    assert_eq!(young, "");

    assert_eq!(gc(&["-q", "--no-trunc"]), wanted);
    assert_eq!(names(&engine), ["a", "d"]);
    let said = gc(&[]);
    assert!(said.starts_with("Nothing to do: 8"), "{said}");
    // All that is unused is less than is wanted.
    let all = ["image", "gc", "--high", "2B", "--low", "1B", "--min-age", "0s", "-q", "--no-trunc"];
    assert_eq!(good(engine.wharf(&all)), ids[3]);
    assert_eq!(names(&engine), ["a"]);
    good(engine.wharf(&["rm", "of-a"]));
    for (words, why) in [
        (&["--high", "80%", "--low", "90%"][..], "the low water mark must be below the high one"),
        (&["--high", "80%", "--low", "9GB"], "both water marks must be shares, or both sizes"),
        (&["--high", "x", "--low", "9GB"], "invalid water mark \"x\""),
    ] {
        let wrong = engine.wharf(&[&["image", "gc"], words].concat());
        assert!(wrong.status == 1 && wrong.stderr.contains(why), "{wrong:?}");
    }
}

#[test]
fn a_line_of_daemon_json_turns_it_on() {
    let directory = testkit::directory();
    let place = directory.path().join("engine");
    std::fs::create_dir(&place).expect("make the engine's directory");
    let marks = r#"{"image-gc": {"high": "10MB", "low": "9MB", "min-age": "0s"}}"#;
    std::fs::write(place.join("daemon.json"), marks).expect("write daemon.json");
    let engine = Engine::start(binary(), &place);
    import(&engine, directory.path(), "a");
    good(engine.wharf(&["create", "--name", "of-a", "a"]));
    import(&engine, directory.path(), "b");
    assert_eq!(names(&engine), ["a", "b"], "below the mark");
    import(&engine, directory.path(), "c");
    let deadline = Instant::now() + DEADLINE;
    // The log has it after the names have gone.
    while names(&engine) != ["a", "c"] || !engine.log().contains("unused images removed") {
        assert!(Instant::now() < deadline, "{:?}\n{}", names(&engine), engine.log());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    // What is wrong in there is told before anything starts.
    std::fs::write(place.join("daemon.json"), r#"{"image-gc": {"high": "10MB"}}"#)
        .expect("write daemon.json");
    let refused = testkit::Output::of(engine.daemon().arg("--validate"));
    assert!(refused.status == 1 && refused.stderr.contains("image-gc: low is missing"), "{refused:?}");
}
