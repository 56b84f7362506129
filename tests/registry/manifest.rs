//! `manifest`: as Docker's own client does it, to the byte.

use testkit::{Engine, Output};

use crate::kit::{Layout, Registry, busybox_tar, engine, good, tar_of};

fn docker(engine: &Engine, args: &[&str]) -> Output {
    let mut docker = engine.docker().expect("the docker CLI is installed (Debian: docker.io or docker-cli)");
    Output::of(docker.arg("manifest").args(args))
}

fn wharf(engine: &Engine, args: &[&str]) -> Output {
    engine.wharf(&[&["manifest"], args].concat())
}

#[test]
fn a_list_is_put_together_and_pushed_as_docker_does_it() {
    let directory = testkit::directory();
    let registry = Registry::start();
    for (name, architecture) in [("amd", "amd64"), ("arm", "arm64")] {
        let tars = [busybox_tar(), tar_of(&[("arch", architecture.as_bytes())])];
        registry.put(&Layout::make(&directory.path().join(name), architecture, &tars), &format!("{name}:1"));
    }
    let engine = engine(&directory.path().join("engine"));
    let host = registry.host();
    let (amd, arm) = (format!("{host}/amd:1"), format!("{host}/arm:1"));
    let lists = [format!("{host}/ours:1"), format!("{host}/dockers:1")];
    type Client = fn(&Engine, &[&str]) -> Output;
    let clients: [(Client, &String); 2] = [(wharf, &lists[0]), (docker, &lists[1])];
    let mut digests = Vec::new();
    for (client, list) in clients {
        let made = good(client(&engine, &["create", "--insecure", list, &amd, &arm]));
        assert_eq!(made, format!("Created manifest list {list}"));
        good(client(&engine, &["annotate", list, &arm, "--variant", "v8", "--os-features", "a,b"]));
        let pushed = good(client(&engine, &["push", "--insecure", list]));
        let refs: Vec<&str> = pushed.lines().collect();
        assert_eq!(refs.len(), 3, "{pushed}");
        assert!(
            refs[0].starts_with(&format!("Pushed ref {}@sha256:", list.trim_end_matches(":1"))),
            "{pushed}"
        );
        digests.push(refs[2].to_owned());
    }
    assert_eq!(digests[0], digests[1]);

    // What each of them keeps, the other reads; and both show the same.
    for list in &lists {
        for args in [
            &["inspect", list][..],
            &["inspect", "-v", list],
            &["inspect", list, &arm],
            &["inspect", "-v", list, &arm],
        ] {
            assert_eq!(good(wharf(&engine, args)), good(docker(&engine, args)), "{args:?}");
        }
    }
    good(wharf(&engine, &["rm", &lists[0], &lists[1]]));
    for list in &lists {
        for args in [&["inspect", "--insecure", list][..], &["inspect", "--insecure", "-v", list]] {
            assert_eq!(good(wharf(&engine, args)), good(docker(&engine, args)), "{args:?}");
        }
    }
    for args in [&["inspect", "--insecure", &amd][..], &["inspect", "--insecure", "-v", &amd]] {
        assert_eq!(good(wharf(&engine, args)), good(docker(&engine, args)), "{args:?}");
    }
    good(engine.wharf(&["run", "--rm", &lists[0], "grep", "amd64", "/arch"]));
}

#[test]
fn what_is_wrong_with_a_list_is_told_in_dockers_words() {
    let directory = testkit::directory();
    let (registry, other) = (Registry::start(), Registry::start());
    let image = Layout::make(&directory.path().join("image"), "amd64", &[busybox_tar()]);
    registry.put(&image, "app:1");
    other.put(&image, "app:1");
    let engine = engine(&directory.path().join("engine"));
    let (app, list) = (format!("{}/app:1", registry.host()), format!("{}/list:1", registry.host()));
    let elsewhere = format!("{}/app:1", other.host());
    let nosuch = format!("{}/nosuch:1", registry.host());
    good(wharf(&engine, &["create", "--insecure", &list, &app]));
    for args in [
        &["create", "--insecure", &list, &app][..],
        &["create", "--insecure", "--amend", &list, &nosuch],
        &["annotate", &list, &nosuch, "--arch", "arm"],
        &["annotate", &list, &app, "--arch", "vax"],
        &["annotate", "Upper", &app],
        &["inspect", "--insecure", &nosuch],
        &["inspect", &list, &nosuch],
        &["push", &nosuch],
        &["rm", &nosuch, "Upper"],
    ] {
        let (ours, dockers) = (wharf(&engine, args), docker(&engine, args));
        assert_eq!((ours.status, ours.stderr), (dockers.status, dockers.stderr), "{args:?}");
    }
    good(wharf(&engine, &["create", "--insecure", "--amend", &list, &elsewhere]));
    let said = wharf(&engine, &["push", "--insecure", &list]);
    assert!(said.stderr.starts_with("cannot use source images from a different registry"), "{said:?}");
    good(wharf(&engine, &["rm", &list]));
    assert!(!engine.directory().join("config/manifests").read_dir().unwrap().any(|_| true));
    // A list in a list.
    good(wharf(&engine, &["create", "--insecure", &list, &app]));
    good(wharf(&engine, &["push", "--insecure", "--purge", &list]));
    let said = wharf(&engine, &["create", "--insecure", &nosuch, &list]);
    assert_eq!((said.status, said.stderr), (1, format!("{list} is a manifest list\n")));
}
