//! The OCI runtime specification's words: `config.json`, the state document and the features document.
//!
//! Why own types: maps are `BTreeMap`s, so the same configuration always serialises to the same bytes;
//! fields this crate does not know are skipped, so a newer engine's file is still read; and `null` where
//! a list or a text is expected (Go prints empty slices that way) reads as empty.
//!
//! Source: <https://github.com/opencontainers/runtime-spec> 1.3. Only the Linux part is modelled.

mod capability;
mod features;
mod linux;
mod process;
mod resources;
mod seccomp;
mod spec;
mod state;
#[cfg(test)]
mod tests;

pub use capability::CAPABILITY_NAMES;
pub use features::{CgroupFeatures, Enabled, Features, LinuxFeatures, MountExtensions, SeccompFeatures};
pub use linux::{
    Device, DeviceType, IdMapping, IntelRdt, Linux, MemoryPolicy, Namespace, NamespaceType, NetDevice,
    Personality, TimeOffset,
};
pub use process::{Capabilities, ConsoleSize, CpuAffinity, IoPriority, Process, Rlimit, Scheduler, User};
pub use resources::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma, Resources,
    ThrottleDevice, WeightDevice,
};
pub use seccomp::{Action, Arch, ArgRule, LinuxSeccomp, Operator, SyscallRule};
pub use spec::{Hook, Hooks, Mount, Root, Spec};
pub use state::{ContainerProcessState, State, Status};

use serde::{Deserialize, Deserializer};

/// The specification version written into new documents.
pub const VERSION: &str = "1.3.0";

/// Reads `null` as the type's empty value.
fn nullable<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape serde's skip_serializing_if asks for")]
fn is_false(value: &bool) -> bool {
    !*value
}

fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
