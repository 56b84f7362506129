//! A container's life through bollard.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{
    ContainerCreateBody, ContainerStateStatusEnum, ContainerUpdateBody, HostConfig, Mount, MountType,
    NetworkConnectRequest, NetworkCreateRequest, RestartPolicy, RestartPolicyNameEnum, VolumeCreateRequest,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, DownloadFromContainerOptionsBuilder,
    EventsOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, RemoveVolumeOptions, StartContainerOptions, StatsOptionsBuilder,
    StopContainerOptionsBuilder, UploadToContainerOptionsBuilder, WaitContainerOptions,
};
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::io::AsyncWriteExt;

use super::House;

fn body(cmd: &[&str]) -> ContainerCreateBody {
    let cmd = cmd.iter().map(|&word| word.to_owned()).collect();
    ContainerCreateBody { image: Some("bb".to_owned()), cmd: Some(cmd), ..ContainerCreateBody::default() }
}

async fn create(docker: &Docker, name: &str, body: ContainerCreateBody) -> Result<String, Error> {
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    Ok(docker.create_container(Some(options), body).await?.id)
}

async fn start(docker: &Docker, id: &str) -> Result<(), Error> {
    docker.start_container(id, None::<StartContainerOptions>).await
}

async fn remove(docker: &Docker, id: &str) {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    docker.remove_container(id, Some(options)).await.unwrap();
}

/// The exit code; bollard makes an error of any but 0.
async fn wait(docker: &Docker, id: &str) -> i64 {
    match docker.wait_container(id, None::<WaitContainerOptions>).next().await.unwrap() {
        Ok(answer) => answer.status_code,
        Err(Error::DockerContainerWaitError { code, .. }) => code,
        Err(error) => panic!("{error}"),
    }
}

/// What came by stdout, and by stderr.
async fn collected(stream: impl Stream<Item = Result<LogOutput, Error>>) -> (String, String) {
    let (mut out, mut err) = (String::new(), String::new());
    for part in stream.try_collect::<Vec<_>>().await.unwrap() {
        match part {
            LogOutput::StdErr { .. } => err.push_str(&part.to_string()),
            _ => out.push_str(&part.to_string()),
        }
    }
    (out, err)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Error>, status: u16, text: &str) {
    match answer {
        Err(Error::DockerResponseServerError { status_code, message }) => {
            assert!(status_code == status && message.contains(text), "{status_code} {message}");
        }
        other => panic!("not refused with {status} {text}: {other:?}"),
    }
}

fn with(scenario: impl AsyncFnOnce(Docker)) {
    let house = House::new();
    let socket = house.engine.host();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let docker = Docker::connect_with_unix(&socket, 60, bollard::API_DEFAULT_VERSION).unwrap();
        let docker = docker.negotiate_version().await.unwrap();
        scenario(docker.clone()).await;
        let all = ListContainersOptionsBuilder::default().all(true).build();
        assert_eq!(docker.list_containers(Some(all)).await.unwrap(), []);
    });
}

#[test]
fn lives() {
    with(async |docker| {
        let policy =
            RestartPolicy { name: Some(RestartPolicyNameEnum::ON_FAILURE), maximum_retry_count: Some(2) };
        let host = HostConfig {
            memory: Some(64 << 20),
            restart_policy: Some(policy.clone()),
            ..HostConfig::default()
        };
        let id = create(
            &docker,
            "bollard",
            ContainerCreateBody { host_config: Some(host), ..body(&["sleep", "1000"]) },
        )
        .await
        .unwrap();
        start(&docker, &id).await.unwrap();
        refused(create(&docker, "bollard", body(&["true"])).await, 409, "Conflict. The container name");
        let seen = docker.inspect_container("bollard", None::<InspectContainerOptions>).await.unwrap();
        let state = seen.state.unwrap();
        assert!(state.running == Some(true) && state.pid.unwrap() > 0);
        assert_eq!(state.status, Some(ContainerStateStatusEnum::RUNNING));
        assert_eq!(seen.host_config.unwrap().restart_policy, Some(policy));
        let once = StatsOptionsBuilder::default().stream(false).build();
        let stats = docker.stats(&id, Some(once)).next().await.unwrap().unwrap();
        assert!(stats.memory_stats.unwrap().usage.unwrap() > 0);
        docker.pause_container(&id).await.unwrap();
        refused(docker.pause_container(&id).await, 409, "is already paused");
        docker.unpause_container(&id).await.unwrap();
        let more = ContainerUpdateBody {
            memory: Some(128 << 20),
            memory_swap: Some(256 << 20),
            ..ContainerUpdateBody::default()
        };
        docker.update_container(&id, more).await.unwrap();
        let stop = StopContainerOptionsBuilder::default().t(0).build();
        docker.stop_container(&id, Some(stop)).await.unwrap();
        assert_eq!(wait(&docker, &id).await, 137);
        remove(&docker, &id).await;
        let gone = docker.inspect_container(&id, None::<InspectContainerOptions>).await;
        refused(gone, 404, "No such container");
    });
}

#[test]
fn speaks() {
    with(async |docker| {
        let cat = ContainerCreateBody {
            open_stdin: Some(true),
            stdin_once: Some(true),
            attach_stdin: Some(true),
            ..body(&["sh", "-c", "cat; echo e >&2; exit 7"])
        };
        let id = create(&docker, "cat", cat).await.unwrap();
        let options = AttachContainerOptionsBuilder::default();
        let options = options.stdin(true).stdout(true).stderr(true).stream(true).build();
        let mut attached = docker.attach_container(&id, Some(options)).await.unwrap();
        start(&docker, &id).await.unwrap();
        attached.input.write_all(b"there and back\n").await.unwrap();
        attached.input.shutdown().await.unwrap();
        assert_eq!(collected(attached.output).await, ("there and back\n".to_owned(), "e\n".to_owned()));
        assert_eq!(wait(&docker, &id).await, 7);
        let logs = || LogsOptionsBuilder::default().stdout(true).stderr(true);
        let follow = docker.logs(&id, Some(logs().follow(true).build()));
        assert_eq!(collected(follow).await, ("there and back\n".to_owned(), "e\n".to_owned()));
        remove(&docker, &id).await;

        let id = create(&docker, "executes", body(&["sleep", "1000"])).await.unwrap();
        start(&docker, &id).await.unwrap();
        let options = CreateExecOptions {
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            env: Some(vec!["A=1"]),
            cmd: Some(vec!["sh", "-c", "read a; echo $a$A; echo e >&2; exit 3"]),
            ..CreateExecOptions::default()
        };
        let exec = docker.create_exec(&id, options).await.unwrap().id;
        let started = docker.start_exec(&exec, None::<StartExecOptions>).await.unwrap();
        let StartExecResults::Attached { output, mut input } = started else { panic!("detached") };
        input.write_all(b"word\n").await.unwrap();
        assert_eq!(collected(output).await, ("word1\n".to_owned(), "e\n".to_owned()));
        assert_eq!(docker.inspect_exec(&exec).await.unwrap().exit_code, Some(3));
        remove(&docker, &id).await;
    });
}

#[test]
fn carries_files_and_has_volumes_and_networks() {
    with(async |docker| {
        docker
            .create_volume(VolumeCreateRequest {
                name: Some("bollardvol".to_owned()),
                ..VolumeCreateRequest::default()
            })
            .await
            .unwrap();
        let mount = Mount {
            target: Some("/data".to_owned()),
            source: Some("bollardvol".to_owned()),
            typ: Some(MountType::VOLUME),
            ..Mount::default()
        };
        let host = HostConfig { mounts: Some(vec![mount]), ..HostConfig::default() };
        let create_body = ContainerCreateBody { host_config: Some(host), ..body(&["sleep", "1000"]) };
        let id = create(&docker, "files", create_body).await.unwrap();
        start(&docker, &id).await.unwrap();
        let mut tar = archive::TarWriter::new(Vec::new());
        tar.append(&archive::FileEntry::file("put", 0o600, 5), &b"there"[..]).unwrap();
        let to = UploadToContainerOptionsBuilder::default().path("/data").build();
        let tar = bollard::body_full(tar.finish().unwrap().into());
        docker.upload_to_container(&id, Some(to), tar).await.unwrap();
        let from = DownloadFromContainerOptionsBuilder::default().path("/data/put").build();
        let got: Vec<_> = docker.download_from_container(&id, Some(from)).try_collect().await.unwrap();
        let got = got.concat();
        let mut entries = archive::Entries::new(&got[..]);
        assert_eq!(entries.next().unwrap().unwrap().name, b"put");
        let mut text = String::new();
        std::io::Read::read_to_string(&mut entries, &mut text).unwrap();
        assert_eq!(text, "there");
        refused(
            docker.remove_volume("bollardvol", None::<RemoveVolumeOptions>).await,
            409,
            "volume is in use",
        );

        let network = NetworkCreateRequest {
            name: "bollardnet".to_owned(),
            internal: Some(true),
            ..NetworkCreateRequest::default()
        };
        docker.create_network(network).await.unwrap();
        let connect = NetworkConnectRequest { container: id.clone(), ..NetworkConnectRequest::default() };
        docker.connect_network("bollardnet", connect).await.unwrap();
        let seen = docker.inspect_container(&id, None::<InspectContainerOptions>).await.unwrap();
        let networks = seen.network_settings.unwrap().networks.unwrap();
        assert!(networks["bollardnet"].ip_address.as_ref().is_some_and(|address| !address.is_empty()));
        refused(docker.remove_network("bollardnet").await, 403, "has active endpoints");
        remove(&docker, &id).await;
        docker.remove_network("bollardnet").await.unwrap();
        docker.remove_volume("bollardvol", None::<RemoveVolumeOptions>).await.unwrap();
    });
}

#[test]
fn tells() {
    with(async |docker| {
        let labels = [("watched".to_owned(), String::new())].into();
        let id = create(&docker, "watched", ContainerCreateBody { labels: Some(labels), ..body(&["true"]) })
            .await
            .unwrap();
        start(&docker, &id).await.unwrap();
        wait(&docker, &id).await;
        remove(&docker, &id).await;
        let filters = std::collections::HashMap::from([("container", vec!["watched"])]);
        let mut events =
            docker.events(Some(EventsOptionsBuilder::default().since("1").filters(&filters).build()));
        let mut actions = Vec::new();
        while actions.last().is_none_or(|last| last != "destroy") {
            actions.push(events.next().await.unwrap().unwrap().action.unwrap());
        }
        assert_eq!(actions, ["create", "start", "die", "destroy"]);
        assert!(docker.info().await.unwrap().images.unwrap() >= 1);
        assert!(docker.df(None::<bollard::query_parameters::DataUsageOptions>).await.is_ok());
    });
}
