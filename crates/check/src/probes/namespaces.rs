//! The eight kinds of namespace: known to the kernel, and allowed to this process.

use super::{first_line, present};
use crate::report::{Finding, Group, Status};

pub(super) fn probe() -> Vec<Finding> {
    let mut findings: Vec<Finding> = [
        ("mount", "mnt", Status::Fatal, "CONFIG_NAMESPACES"),
        ("pid", "pid", Status::Fatal, "CONFIG_PID_NS"),
        ("ipc", "ipc", Status::Fatal, "CONFIG_IPC_NS"),
        ("uts", "uts", Status::Fatal, "CONFIG_UTS_NS"),
        ("cgroup", "cgroup", Status::Missing, "CONFIG_CGROUPS"),
        ("user", "user", Status::Missing, "CONFIG_USER_NS"),
        ("time", "time", Status::Missing, "CONFIG_TIME_NS"),
    ]
    .into_iter()
    .map(|(name, file, lack, option)| {
        let result = present(&format!("/proc/self/ns/{file}")).map(|_| String::new());
        Finding::of(Group::Namespaces, name, result, lack, &format!("use a kernel with {option}"))
    })
    .collect();
    let made = in_own_thread(|| net::NetNs::unshare().map(|_| String::new()).map_err(|e| e.to_string()));
    let remedy = "use a kernel with CONFIG_NET_NS, as root, and raise user.max_net_namespaces";
    findings.insert(1, Finding::of(Group::Namespaces, "network", made, Status::Fatal, remedy));
    if let Some(user) = findings.iter_mut().find(|f| f.name == "user" && f.status == Status::Ok)
        && let Some(limit) = first_line("/proc/sys/user/max_user_namespaces")
    {
        user.detail = format!("at most {limit}");
        if limit == "0" {
            user.status = Status::Missing;
            user.remedy = Some("sysctl -w user.max_user_namespaces=15000".to_owned());
        }
    }
    findings
}

/// Namespaces made in a thread end with it.
pub(super) fn in_own_thread<T: Send>(probe: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    std::thread::scope(|scope| {
        scope.spawn(probe).join().unwrap_or_else(|_| Err("the probe failed".to_owned()))
    })
}
