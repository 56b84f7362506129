//! Kinds of namespaces.

use oci::runtime::NamespaceType;
use sys::process::CloneFlags;

/// The flag of a kind of namespace.
pub(crate) fn flag(kind: NamespaceType) -> CloneFlags {
    match kind {
        NamespaceType::Pid => CloneFlags::NEWPID,
        NamespaceType::Network => CloneFlags::NEWNET,
        NamespaceType::Mount => CloneFlags::NEWNS,
        NamespaceType::Ipc => CloneFlags::NEWIPC,
        NamespaceType::Uts => CloneFlags::NEWUTS,
        NamespaceType::User => CloneFlags::NEWUSER,
        NamespaceType::Cgroup => CloneFlags::NEWCGROUP,
        NamespaceType::Time => CloneFlags::NEWTIME,
    }
}
