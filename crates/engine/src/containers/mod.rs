//! Containers: one task owns each (`task.rs`), everybody else reads published snapshots (`view.rs`).

pub(crate) mod files;
pub(crate) mod index;
pub(crate) mod keys;
mod limits;
mod list;
mod logs;
pub(crate) mod merge;
pub(crate) mod mounts;
pub(crate) mod names;
pub(crate) mod oci_spec;
mod requests;
mod service;
pub(crate) mod signal;
mod spec;
pub(crate) mod state;
pub(crate) mod task;
mod top;
pub(crate) mod validate;
mod view;

pub use limits::Limits;
pub(crate) use list::until;
pub use requests::{
    AttachRequest, Created, Filters, ListRequest, LogLine, LogStream, LogsRequest, Pruned, RemoveRequest,
    StopRequest, Stream, Top, WaitAnswer, WaitCondition,
};
pub use service::{AttachTicket, Containers, WaitHandle};
pub use spec::{
    BindOptions, CgroupnsMode, ContainerSpec, DeviceLimit, DeviceMapping, DeviceRequest, EndpointSpec,
    Healthcheck, HostSpec, IpcMode, LogSpec, MountKind, MountSpec, NetworkMode, PidMode, PortBinding,
    Resources, RestartPolicy, TmpfsOptions, Ulimit, UtsMode, VolumeOptions,
};
pub use view::{Container, MountPoint, NetworkView, StateView, Status, human_duration};
