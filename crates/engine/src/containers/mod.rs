//! Containers: one task owns each (`task.rs`), everybody else reads published snapshots (`view.rs`).

mod requests;
mod service;
mod spec;
mod view;

pub use requests::{
    AttachRequest, Created, Filters, ListRequest, LogLine, LogStream, LogsRequest, Pruned, RemoveRequest,
    StopRequest, Stream, Top, WaitAnswer, WaitCondition,
};
pub use service::{AttachTicket, Containers, WaitHandle};
pub use spec::{
    BindOptions, CgroupnsMode, ContainerSpec, DeviceLimit, DeviceMapping, DeviceRequest, EndpointSpec, Healthcheck,
    HostSpec, IpcMode, LogSpec, MountKind, MountSpec, NetworkMode, PidMode, PortBinding, Resources, RestartPolicy,
    TmpfsOptions, Ulimit, UtsMode, VolumeOptions,
};
pub use view::{Container, MountPoint, NetworkView, StateView, Status, human_duration};
