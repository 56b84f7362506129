//! The flows over fake ports: undo at each step, a killed engine at each step, name races, boot.

mod networks;
mod plugins;
mod volumes;
mod world;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::containers::{
    ContainerSpec, Containers, EndpointSpec, Filters, NetworkMode, RemoveRequest, Status, WaitCondition,
};
use crate::error::{Class, Result};

use self::world::rebooted;
pub(crate) use self::world::{FakeClock, FakeExec, World, boot, engine, spec};

fn entries(directory: &Path) -> usize {
    std::fs::read_dir(directory).map_or(0, Iterator::count)
}

/// Nothing of any container is left, in the fakes or on disk.
fn assert_clean(world: &World, root: &Path, when: &str) {
    assert!(world.layers.lock().unwrap().is_empty(), "layer left {when}");
    assert!(world.records.lock().unwrap().is_empty(), "record left {when}");
    assert!(world.sandboxes.lock().unwrap().is_empty(), "sandbox left {when}");
    assert!(world.processes.lock().unwrap().is_empty(), "process left {when}");
    assert_eq!(entries(&root.join("data/containers")), 0, "directory left {when}");
}

const CREATE: [&str; 10] = [
    "create.name",
    "create.directory",
    "create.layer",
    "create.volumes",
    "volume.directory",
    "volume.record",
    "volume.data",
    "volume.publish",
    "create.record",
    "create.publish",
];
const START: [&str; 5] = ["start.network", "start.files", "start.spec", "start.process", "start.publish"];
const REMOVE: [&str; 6] =
    ["remove.mark", "remove.process", "remove.layer", "remove.directory", "remove.volumes", "remove.record"];

#[tokio::test]
async fn a_create_that_fails_anywhere_leaves_nothing() {
    for point in CREATE {
        let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
        let containers = engine(&world, root.path());
        containers.core.failpoints.arm(point);
        containers.create("web", spec()).await.unwrap_err();
        assert_clean(&world, root.path(), point);
        assert_eq!(entries(&root.path().join("data/volumes")), 0, "volume left after {point}");
        containers.core.failpoints.arm("");
        containers.create("web", spec()).await.expect("the name is free again");
    }
}

#[tokio::test]
async fn an_engine_killed_in_create_is_tidied_up_by_the_next() {
    for point in &CREATE[..9] {
        let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
        let containers = engine(&world, root.path());
        containers.core.failpoints.arm(&format!("{point}:crash"));
        containers.create("web", spec()).await.unwrap_err();
        let next = engine(&world, root.path());
        boot(&next).await.unwrap();
        assert_clean(&world, root.path(), point);
        assert_eq!(entries(&root.path().join("data/volumes")), 0, "volume left after {point}");
        assert!(next.core.volumes.all().is_empty(), "volume known after {point}");
    }
}

#[tokio::test]
async fn a_start_that_fails_anywhere_can_be_repeated() {
    for point in START {
        let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
        let containers = engine(&world, root.path());
        let id = containers.create("web", spec()).await.unwrap().id;
        containers.core.failpoints.arm(point);
        containers.start(&id).await.unwrap_err();
        assert!(world.sandboxes.lock().unwrap().is_empty(), "sandbox left after {point}");
        assert!(world.processes.lock().unwrap().is_empty(), "process left after {point}");
        containers.core.failpoints.arm("");
        containers.start("web").await.unwrap();
        assert_eq!(containers.inspect("web", false).await.unwrap().state.status, Status::Running);
    }
}

#[tokio::test]
async fn an_engine_killed_in_start_leaves_a_container_that_starts() {
    for point in START {
        let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
        let containers = engine(&world, root.path());
        containers.create("web", spec()).await.unwrap();
        containers.core.failpoints.arm(&format!("{point}:crash"));
        containers.start("web").await.unwrap_err();
        let next = engine(&world, root.path());
        boot(&next).await.unwrap();
        let view = next.inspect("web", false).await.unwrap();
        if view.state.status == Status::Running {
            assert_eq!(point, "start.publish", "adopted");
        } else {
            next.start("web").await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_engine_killed_in_remove_is_finished_by_the_next() {
    // Killed before the mark, nothing has begun.
    for point in &REMOVE[1..] {
        let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
        let containers = engine(&world, root.path());
        containers.create("web", spec()).await.unwrap();
        // Play the kill inside the flow itself: the task would write its own failure.
        let mut record =
            crate::records::read("web", world.records.lock().unwrap().values().next().unwrap()).unwrap();
        record.status = Status::Removing;
        containers.core.failpoints.arm(&format!("{point}:crash"));
        super::remove::run(&containers.core, &record).await.unwrap_err();
        let next = engine(&world, root.path());
        boot(&next).await.unwrap();
        assert_clean(&world, root.path(), point);
        assert_eq!(next.inspect("web", false).await.unwrap_err().class, Class::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_creates_with_one_name_one_wins() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let containers = containers.clone();
        tasks.spawn(async move { containers.create("web", spec()).await });
    }
    let results = tasks.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let losers = results.iter().filter_map(|result| result.as_ref().err());
    for error in losers {
        assert!(
            error.message.starts_with("Conflict. The container name \"/web\" is already in use by container")
        );
    }
    assert_eq!(world.records.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_running_container_outlives_its_engine() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    let id = containers.create("web", spec()).await.unwrap().id;
    containers.start("web").await.unwrap();
    assert_eq!(containers.start("web").await.unwrap_err().class, Class::NotModified);

    let next = engine(&world, root.path());
    boot(&next).await.unwrap();
    assert_eq!(next.inspect(&id[..60], false).await.unwrap().state.status, Status::Running);
    let wait = next.wait("web", WaitCondition::NextExit).await.unwrap();
    next.kill("web", "KILL").await.unwrap();
    assert_eq!(wait.answer().await.unwrap().status_code, 137);
    next.remove("web", RemoveRequest::default()).await.unwrap();
    assert_clean(&world, root.path(), "after remove");
}

#[tokio::test]
async fn what_ended_while_no_engine_ran_is_told_by_the_next() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    let id = containers.create("web", spec()).await.unwrap().id;
    containers.start("web").await.unwrap();
    // The first engine is gone as far as the records go: it never sees this.
    world.processes.lock().unwrap()[&id].send_replace(None);
    let (ended, _) = watch::channel(Some(7));
    let _first = world.processes.lock().unwrap().insert(id, ended);
    let next = engine(&world, root.path());
    boot(&next).await.unwrap();
    let state = next.inspect("web", false).await.unwrap().state.clone();
    assert_eq!((state.status, state.exit_code), (Status::Exited, 7));
}

#[tokio::test]
async fn a_missing_executable_keeps_its_code_and_an_auto_removed_one_goes() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    let missing = ContainerSpec { cmd: Some(vec!["missing".into()]), ..spec() };
    containers.create("web", missing.clone()).await.unwrap();
    containers.start("web").await.unwrap_err();
    let state = containers.inspect("web", false).await.unwrap().state.clone();
    assert_eq!((state.status, state.exit_code), (Status::Created, 127));
    assert!(state.error.contains("executable file not found"));
    containers.remove("web", RemoveRequest::default()).await.unwrap();

    let mut auto = missing;
    auto.host.auto_remove = true;
    containers.create("web", auto).await.unwrap();
    let wait = containers.wait("web", WaitCondition::Removed).await.unwrap();
    containers.start("web").await.unwrap_err();
    let answer = wait.answer().await.unwrap();
    assert_eq!((answer.status_code, answer.error), (127, None));
    assert_clean(&world, root.path(), "after a failed --rm start");
}
