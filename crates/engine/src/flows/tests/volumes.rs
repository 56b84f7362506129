//! Volumes: made and removed whole or not at all, and kept for whoever refers to them.

use super::*;
use crate::volumes::{CreateRequest, Volumes};

pub(super) fn volumes(containers: &Containers) -> Volumes {
    let registries = crate::registries::Registries::new(containers.core.settings().registries.clone());
    Volumes { core: containers.core.clone(), pruning: Arc::default(), registries: Arc::new(registries) }
}

pub(super) fn labelled(name: &str) -> CreateRequest {
    CreateRequest { name: name.into(), labels: [("a".into(), "b".into())].into(), ..CreateRequest::default() }
}

#[tokio::test]
async fn a_volume_is_made_whole_or_not_at_all() {
    for point in ["volume.directory", "volume.record", "volume.data", "volume.publish"] {
        for crash in ["", ":crash"] {
            let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
            let containers = engine(&world, root.path());
            containers.core.failpoints.arm(&format!("{point}{crash}"));
            volumes(&containers).create(labelled("data")).await.unwrap_err();
            let next = if crash.is_empty() { containers } else { rebooted(&world, root.path()).await };
            next.core.failpoints.arm("");
            match volumes(&next).inspect("data").await {
                Ok(volume) => {
                    assert_eq!((point, crash), ("volume.publish", ":crash"), "it is there");
                    assert_eq!(volume.labels["a"], "b");
                }
                Err(error) => {
                    assert_eq!(error.message, "get data: no such volume", "{point}{crash}");
                    assert_eq!(entries(&root.path().join("data/volumes")), 0, "left after {point}{crash}");
                    assert!(world.volumes.lock().unwrap().is_empty(), "record left after {point}{crash}");
                }
            }
            assert_eq!(volumes(&next).create(labelled("data")).await.unwrap().labels["a"], "b");
        }
    }
}

#[tokio::test]
async fn a_volume_is_removed_whole_or_not_at_all() {
    for point in ["volume.mark", "volume.tree", "volume.forget"] {
        for crash in ["", ":crash"] {
            let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
            let containers = engine(&world, root.path());
            let data = volumes(&containers).create(labelled("data")).await.unwrap().mountpoint.clone();
            std::fs::write(data.join("kept"), "x").unwrap();
            containers.core.failpoints.arm(&format!("{point}{crash}"));
            volumes(&containers).remove("data", false).await.unwrap_err();
            containers.core.failpoints.arm("");
            let next = rebooted(&world, root.path()).await;
            let found = volumes(&next).inspect("data").await;
            // Behind the mark a killed engine's removal is finished, and a failed one's is off.
            let is_there = point == "volume.mark" || crash.is_empty() && point == "volume.tree";
            assert_eq!(found.is_ok(), is_there, "{point}{crash}");
            assert_eq!(data.join("kept").exists(), is_there, "{point}{crash}");
            assert_eq!(world.volumes.lock().unwrap().len(), usize::from(is_there), "{point}{crash}");
        }
    }
}

#[tokio::test]
async fn who_refers_to_a_volume_keeps_it_over_engines_and_the_last_takes_an_anonymous_one_along() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    let mut one = spec();
    one.host.binds = vec!["named:/n".into()];
    let id = containers.create("one", one).await.unwrap().id;
    let mut two = spec();
    two.host.volumes_from = vec!["one:ro".into()];
    containers.create("two", two).await.unwrap();
    let next = rebooted(&world, root.path()).await;
    let error = volumes(&next).remove("named", true).await.unwrap_err();
    assert_eq!(error.class, Class::Conflict);
    assert!(error.message.starts_with("remove named: volume is in use - [") && error.message.contains(&id));
    let anonymous = next
        .inspect("one", false)
        .await
        .unwrap()
        .mounts
        .iter()
        .find(|m| m.destination == "/v")
        .unwrap()
        .name
        .clone();
    let with_volumes = RemoveRequest { volumes: true, ..RemoveRequest::default() };
    next.remove("one", with_volumes).await.unwrap();
    assert!(volumes(&next).inspect(&anonymous).await.is_ok(), "another container has it");
    let next = rebooted(&world, root.path()).await;
    next.remove("two", with_volumes).await.unwrap();
    assert!(volumes(&next).inspect(&anonymous).await.is_err(), "nobody has it");
    assert!(volumes(&next).inspect("named").await.is_ok());
    volumes(&next).remove("named", false).await.unwrap();
    assert_clean(&world, root.path(), "after all");
    assert_eq!(entries(&root.path().join("data/volumes")), 0);
}

#[tokio::test]
async fn prune_takes_anonymous_ones_unless_told_otherwise() {
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let containers = engine(&world, root.path());
    let volumes = volumes(&containers);
    volumes.create(labelled("data")).await.unwrap();
    let anonymous = volumes.create(CreateRequest::default()).await.unwrap().name.clone();
    let filters = |key: &str, value: &str| Filters([(key.to_owned(), vec![value.to_owned()])].into());
    assert_eq!(volumes.prune(filters("label", "nosuch")).await.unwrap().ids.len(), 0);
    let pruned = volumes.prune(Filters::default()).await.unwrap();
    assert_eq!((pruned.ids, pruned.space_bytes), (vec![anonymous], 7));
    assert_eq!(volumes.prune(filters("all", "true")).await.unwrap().ids, ["data"]);
    assert!(volumes.prune(filters("all", "maybe")).await.is_err());
}
