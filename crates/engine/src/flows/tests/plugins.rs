//! Volumes of a plugin: made, mounted and taken back, with an engine that fails or is killed at each step.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::volumes::{labelled, volumes};
use super::world::Fake;
use super::*;
use crate::ports::*;
use crate::volumes::{CreateRequest, Scope, Volumes};

impl Fake {
    /// The answer of a plugin that is there and alive.
    fn plug<'a, T: Send + 'a>(
        &'a self,
        driver: &'a str,
        answer: impl FnOnce(&mut BTreeMap<String, BTreeSet<String>>) -> Result<T, &'static str> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, PluginError>> {
        let failed = |kind, message: String| Err(PluginError { kind, message });
        Box::pin(async move {
            if driver != "plug" {
                return failed(PluginErrorKind::NotFound, format!("plugin \"{driver}\" not found"));
            }
            if *self.0.hangs.lock().unwrap() {
                return failed(PluginErrorKind::Open, "it does not answer".into());
            }
            let answer = answer(&mut self.0.plugged.lock().unwrap());
            answer.or_else(|why| failed(PluginErrorKind::Refused, why.into()))
        })
    }
}

impl VolumePlugins for Fake {
    fn names(&self) -> Vec<String> {
        vec!["plug".into()]
    }
    fn drivers(&self) -> Vec<String> {
        vec!["plug".into()]
    }
    fn look_up<'a>(&'a self, driver: &'a str) -> BoxFuture<'a, Result<(), PluginError>> {
        self.plug(driver, |_| Ok(()))
    }
    fn create<'a>(
        &'a self,
        driver: &'a str,
        name: &'a str,
        options: &'a BTreeMap<String, String>,
    ) -> BoxFuture<'a, Result<(), PluginError>> {
        self.plug(driver, |all| match options.contains_key("refuse") {
            true => Err("I do not want to"),
            false => {
                all.insert(name.to_owned(), BTreeSet::new());
                Ok(())
            }
        })
    }
    fn remove<'a>(&'a self, driver: &'a str, name: &'a str) -> BoxFuture<'a, Result<(), PluginError>> {
        self.plug(driver, |all| match all.get(name).map(BTreeSet::is_empty) {
            Some(false) => Err("it is mounted"),
            _ => all.remove(name).map(drop).ok_or("no such volume"),
        })
    }
    fn mount<'a>(
        &'a self,
        driver: &'a str,
        name: &'a str,
        id: &'a str,
    ) -> BoxFuture<'a, Result<PathBuf, PluginError>> {
        self.plug(driver, |all| {
            all.get_mut(name).ok_or("no such volume")?.insert(id.to_owned());
            Ok("/tmp".into())
        })
    }
    fn unmount<'a>(
        &'a self,
        driver: &'a str,
        name: &'a str,
        id: &'a str,
    ) -> BoxFuture<'a, Result<(), PluginError>> {
        self.plug(driver, |all| match all.get_mut(name).is_some_and(|ids| ids.remove(id)) {
            true => Ok(()),
            false => Err("not mounted"),
        })
    }
    fn get<'a>(
        &'a self,
        driver: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<PluginVolume>, PluginError>> {
        self.plug(driver, |all| {
            let found = all.contains_key(name);
            Ok(found.then(|| PluginVolume { name: name.into(), ..PluginVolume::default() }))
        })
    }
    fn list<'a>(&'a self, driver: &'a str) -> BoxFuture<'a, Result<Vec<PluginVolume>, PluginError>> {
        self.plug(driver, |all| {
            let named = |name: &String| PluginVolume { name: name.clone(), ..PluginVolume::default() };
            Ok(all.keys().map(named).collect())
        })
    }
    fn is_global<'a>(&'a self, _: &'a str) -> BoxFuture<'a, bool> {
        Box::pin(async { true })
    }
}

fn plugged(name: &str) -> CreateRequest {
    CreateRequest { driver: "plug".into(), ..labelled(name) }
}

/// What tasks do behind everybody's back is done when the condition holds.
async fn soon(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("not in time: {what}");
}

#[tokio::test]
async fn a_plugins_volume_is_made_whole_or_not_at_all() {
    for point in ["volume.record", "volume.plugin", "volume.publish"] {
        for crash in ["", ":crash"] {
            let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
            let containers = engine(&world, root.path());
            containers.core.failpoints.arm(&format!("{point}{crash}"));
            volumes(&containers).create(plugged("data")).await.unwrap_err();
            let next = if crash.is_empty() { containers } else { rebooted(&world, root.path()).await };
            next.core.failpoints.arm("");
            soon(&format!("{point}{crash} is taken back"), || {
                world.plugged.lock().unwrap().is_empty() && world.volumes.lock().unwrap().is_empty()
            })
            .await;
            let made = volumes(&next).create(plugged("data")).await.unwrap();
            assert_eq!((made.labels["a"].as_str(), made.scope), ("b", Scope::Global));
        }
    }
}

#[tokio::test]
async fn the_plugin_says_what_there_is_and_the_record_what_is_known_of_it() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    let all = volumes(&containers);
    all.create(plugged("mine")).await.unwrap();
    all.create(labelled("here")).await.unwrap();
    world.plugged.lock().unwrap().insert("others".into(), BTreeSet::new());
    let listed = async |all: &Volumes, filters| {
        let listing = all.list(filters).await.unwrap();
        let names = listing.volumes.iter().map(|v| format!("{} {}", v.driver, v.name)).collect::<Vec<_>>();
        (names.join(","), listing.warnings)
    };
    let everything = "local here,plug mine,plug others".to_owned();
    assert_eq!(listed(&all, Filters::default()).await, (everything, vec![]));
    let of = |driver: &str| Filters([("driver".to_owned(), vec![driver.to_owned()])].into());
    assert_eq!(listed(&all, of("plug")).await.0, "plug mine,plug others");
    assert_eq!(listed(&all, of("local")).await.0, "local here");
    assert_eq!(all.inspect("mine").await.unwrap().labels["a"], "b");
    assert_eq!(all.inspect("others").await.unwrap().driver, "plug");

    // The next engine knows them, also while the plugin says nothing.
    let next = rebooted(&world, root.path()).await;
    *world.hangs.lock().unwrap() = true;
    let (names, warnings) = listed(&volumes(&next), Filters::default()).await;
    assert_eq!(
        (names.as_str(), warnings.as_slice()),
        ("local here,plug mine", &["list plug: it does not answer".to_owned()][..])
    );
    let error = volumes(&next).inspect("mine").await.unwrap_err();
    assert_eq!(
        error.message,
        "get mine: error while checking if volume \"mine\" exists in driver \"plug\": it does not answer"
    );
    let error = volumes(&next).create(labelled("mine")).await.unwrap_err();
    assert!(error.message.contains("but got an error while checking the driver"), "{error}");
    assert!(volumes(&next).remove("mine", false).await.is_err());
    *world.hangs.lock().unwrap() = false;

    let taken = volumes(&next)
        .create(CreateRequest { driver: "local".into(), ..labelled("mine") })
        .await
        .unwrap_err();
    assert_eq!(
        taken.message,
        "create mine: driver 'plug' already has volume 'mine': volume name must be unique"
    );
    let nosuch =
        volumes(&next).create(CreateRequest { driver: "nosuch".into(), ..labelled("x") }).await.unwrap_err();
    assert_eq!(
        (nosuch.class, nosuch.message.as_str()),
        (Class::NotFound, "create x: plugin \"nosuch\" not found")
    );
    let mut refused = plugged("x");
    refused.options.insert("refuse".into(), String::new());
    assert_eq!(volumes(&next).create(refused).await.unwrap_err().message, "create x: I do not want to");
    volumes(&next).remove("mine", false).await.unwrap();
    volumes(&next).remove("others", false).await.unwrap();
    assert!(world.plugged.lock().unwrap().is_empty());
    // What somebody took out of the plugin is forgotten; what cannot be asked goes by force.
    for forced in [false, true] {
        volumes(&next).create(plugged("gone")).await.unwrap();
        world.plugged.lock().unwrap().clear();
        *world.hangs.lock().unwrap() = forced;
        assert_eq!(volumes(&next).remove("gone", forced).await.is_ok(), forced);
        assert_eq!(world.volumes.lock().unwrap().len(), 1, "here's");
        *world.hangs.lock().unwrap() = false;
    }
}

fn with_plugged() -> ContainerSpec {
    let mut spec = spec();
    spec.host.binds = vec!["data:/data:nocopy".into()];
    spec
}

#[tokio::test]
async fn what_a_container_has_mounted_is_unmounted_whenever_an_engine_dies() {
    let points = ["mount.note", "mount.plugin", "mount.done", "start.spec", "start.process", "start.publish"];
    for point in points {
        for crash in ["", ":crash"] {
            let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
            let containers = engine(&world, root.path());
            volumes(&containers).create(plugged("data")).await.unwrap();
            containers.create("web", with_plugged()).await.unwrap();
            containers.core.failpoints.arm(&format!("{point}{crash}"));
            containers.start("web").await.unwrap_err();
            let next = if crash.is_empty() { containers } else { rebooted(&world, root.path()).await };
            next.core.failpoints.arm("");
            let mounts = || world.plugged.lock().unwrap()["data"].len();
            let notes = || entries(&root.path().join("data/plugin-mounts"));
            let runs = next.inspect("web", false).await.unwrap().state.status == Status::Running;
            assert_eq!(runs, point == "start.publish" && !crash.is_empty(), "{point}{crash}");
            let wanted = usize::from(runs);
            soon(&format!("{point}{crash} leaves no mount"), || (mounts(), notes()) == (wanted, wanted))
                .await;
            if !runs {
                next.start("web").await.unwrap();
            }
            assert_eq!((mounts(), notes()), (1, 1), "{point}{crash}");
            assert_eq!(next.inspect("web", false).await.unwrap().mounts[0].source, "/tmp");
            next.remove("web", RemoveRequest { force: true, ..RemoveRequest::default() }).await.unwrap();
            soon("the end unmounts", || (mounts(), notes()) == (0, 0)).await;
        }
    }
}

#[tokio::test]
async fn anonymous_ones_go_with_their_container_and_with_a_create_that_fails() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    let mut wish = spec();
    wish.host.volume_driver = "plug".into();
    containers.core.failpoints.arm("create.record");
    containers.create("web", wish.clone()).await.unwrap_err();
    soon("the failed create's goes", || world.plugged.lock().unwrap().is_empty()).await;
    containers.core.failpoints.arm("create.record:crash");
    containers.create("web", wish.clone()).await.unwrap_err();
    assert_eq!(world.plugged.lock().unwrap().len(), 1);
    let next = rebooted(&world, root.path()).await;
    soon("the killed create's goes", || world.plugged.lock().unwrap().is_empty()).await;
    for auto_remove in [false, true] {
        wish.host.auto_remove = auto_remove;
        next.create("web", wish.clone()).await.unwrap();
        assert_eq!(world.plugged.lock().unwrap().len(), 1);
        let request = RemoveRequest { volumes: true, ..RemoveRequest::default() };
        next.remove("web", request).await.unwrap();
        assert!(world.plugged.lock().unwrap().is_empty());
        assert!(world.volumes.lock().unwrap().is_empty());
    }
}
