//! A change to a container.

use std::collections::BTreeMap;

use super::host_config::mount_spec;
use super::{resources, restart};
use api::host_config::HostConfig;
use api::network::{self as wire, PortMap};
use api::update::Additions;
use engine::Result;
use engine::containers::{PortBinding, UpdateRequest};

/// One body has both: Docker's fields, and ours.
pub(crate) fn request(host: &HostConfig, ours: Additions) -> Result<UpdateRequest> {
    let restart = match host.restart_policy.name.as_str() {
        "" => None,
        _ => Some(restart::policy(&host.restart_policy)?),
    };
    Ok(UpdateRequest {
        resources: resources::change(host)?,
        restart,
        labels_add: ours.label_add,
        labels_remove: ours.label_remove,
        env_add: ours.env_add,
        env_remove: ours.env_remove,
        // To bind a port is to name where; no name is any.
        ports_add: bindings(ours.port_bindings, true),
        ports_remove: bindings(ours.port_bindings_remove, false),
        mounts_add: ours.mount_add.into_iter().map(mount_spec).collect::<Result<_>>()?,
        mounts_remove: ours.mount_remove,
    })
}

fn binding(wire::PortBinding { host_ip, host_port }: wire::PortBinding) -> PortBinding {
    PortBinding { host_ip, host_port }
}

fn bindings(ports: PortMap, any: bool) -> BTreeMap<String, Vec<PortBinding>> {
    let of = |(port, bindings): (String, Option<Vec<wire::PortBinding>>)| {
        let mut bindings: Vec<_> = bindings.unwrap_or_default().into_iter().map(binding).collect();
        if any && bindings.is_empty() {
            bindings.push(PortBinding::default());
        }
        (port, bindings)
    };
    ports.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> Result<UpdateRequest> {
        request(&api::go::from_slice(body.as_bytes()).unwrap(), api::go::from_slice(body.as_bytes()).unwrap())
    }

    #[test]
    fn nothing_said_is_nothing_changed() {
        // What Docker's client sends for one flag.
        let body = r#"{"CpuShares":512,"Memory":0,"NanoCpus":0,"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":null,
            "BlkioDeviceReadBps":null,"CpuPeriod":0,"CpusetCpus":"","Devices":null,"DeviceCgroupRules":null,"DeviceRequests":null,
            "MemorySwap":0,"MemorySwappiness":null,"OomKillDisable":null,"PidsLimit":null,"Ulimits":null,"CpuCount":0,
            "IOMaximumIOps":0,"RestartPolicy":{"Name":"","MaximumRetryCount":0}}"#;
        let mut expected = UpdateRequest::default();
        expected.resources.cpu_shares = 512;
        assert_eq!(of(body).unwrap(), expected);
        for limit in [0, -1, -7] {
            let request = of(&format!(r#"{{"PidsLimit":{limit}}}"#)).unwrap();
            assert_eq!(request.resources.pids_limit, Some(0));
        }
        let ours =
            of(r#"{"LabelAdd":{"a":"b"},"LabelRemove":["c"],"EnvAdd":["D=e"],"EnvRemove":["F"]}"#).unwrap();
        assert_eq!(
            (ours.labels_add["a"].as_str(), ours.labels_remove, ours.env_add, ours.env_remove),
            ("b", vec!["c".into()], vec!["D=e".into()], vec!["F".into()])
        );
        let ports = of(
            r#"{"PortBindings":{"80/tcp":[{"HostPort":"8080"}],"81":null},"PortBindingsRemove":{"82":null}}"#,
        )
        .unwrap();
        assert_eq!(
            ports.ports_add["80/tcp"],
            [PortBinding { host_port: "8080".into(), ..PortBinding::default() }]
        );
        assert_eq!(
            (&ports.ports_add["81"][..], ports.ports_remove["82"].len()),
            (&[PortBinding::default()][..], 0)
        );
    }

    #[test]
    fn mounts_are_those_of_a_host_config() {
        let said =
            of(r#"{"MountAdd":[{"Type":"bind","Source":"/a","Target":"/b"}],"MountRemove":["/c"]}"#).unwrap();
        assert_eq!(
            (said.mounts_add[0].target.as_str(), &said.mounts_remove[..]),
            ("/b", &["/c".to_owned()][..])
        );
        let wrong = of(r#"{"MountAdd":[{"Type":"bind","Source":"a","Target":"/b"}]}"#).unwrap_err();
        assert!(wrong.message.contains("mount path must be absolute"), "{}", wrong.message);
    }

    #[test]
    fn what_cannot_be_changed_is_refused_by_name() {
        let refused = |body: &str| of(body).unwrap_err().message;
        assert_eq!(
            refused(r#"{"Ulimits":[{"Name":"nofile"}]}"#),
            "Ulimits of a container cannot be changed: it is set when the container is made"
        );
        assert!(
            refused(r#"{"RestartPolicy":{"Name":"foo"}}"#)
                .starts_with("invalid restart policy: unknown policy 'foo'")
        );
    }
}
