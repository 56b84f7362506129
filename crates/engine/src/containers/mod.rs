//! Containers: one task owns each (`task.rs`), everybody else reads published snapshots (`crate::container`).

mod archive;
pub(crate) mod boot;
mod changes;
pub(crate) mod checkpoints;
mod commit;
mod export;
mod health;
mod logs;
mod root;
mod service;
mod stats;
pub(crate) mod task;
#[cfg(test)]
mod tests;
mod top;
mod update;
mod why;

pub use archive::{Archive, ExtractRequest, PathStat};
pub use changes::{Change, ChangeKind};
pub use commit::CommitRequest;
pub use export::Export;
pub use service::{AttachTicket, Containers, WaitHandle};

pub use crate::container::{
    AttachRequest, BindOptions, CgroupnsMode, CheckpointRequest, Container, ContainerSpec, Created,
    DeviceLimit, DeviceMapping, DeviceRequest, End, EndedBy, EndpointSpec, Filters, Health, HealthResult,
    HealthStatus, Healthcheck, HostSpec, IpcMode, Limits, ListRequest, LogLine, LogSpec, LogStream,
    LogsRequest, MountKind, MountPoint, MountSpec, NetworkMode, NetworkView, PidMode, Place, PortBinding,
    Probe, Pruned, RemoveRequest, RenderLine, Resources, RestartPolicy, StateView, Status, StopRequest,
    Stream, TmpfsOptions, Top, Ulimit, UpdateRequest, UtsMode, VolumeOptions, WaitAnswer, WaitCondition, Who,
    Why, human_duration,
};
