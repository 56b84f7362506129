//! What a container is: its specification, state and view, what may be asked of it, and the rules that turn a request and
//! an image into a process. `flows` does the steps with it, and `containers` owns those that there are; neither is
//! known here.

pub(crate) mod cdi;
pub(crate) mod command;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod index;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod links;
pub(crate) mod list;
pub(crate) mod merge;
pub(crate) mod mounts;
pub(crate) mod names;
pub(crate) mod oci_spec;
mod probe;
pub(crate) mod program;
pub(crate) mod published;
pub(crate) mod remounted;
pub(crate) mod republished;
mod requests;
pub(crate) mod resolv_conf;
mod runs;
pub(crate) mod signal;
mod spec;
pub(crate) mod state;
pub(crate) mod update;
pub(crate) mod user;
pub(crate) mod validate;
mod view;
pub(crate) mod why;

pub use health::{Health, HealthResult, HealthStatus};
pub use limits::Limits;
pub(crate) use list::{names_match, until};
pub use probe::{Place, Probe};
pub use requests::{
    AttachRequest, CheckpointRequest, Created, Filters, ListRequest, LogLine, LogStream, LogsRequest, Pruned,
    RemoveRequest, RenderLine, StopRequest, Stream, Top, WaitAnswer, WaitCondition,
};
pub use spec::{
    BindOptions, CgroupnsMode, ContainerSpec, DeviceLimit, DeviceMapping, DeviceRequest, EndpointSpec,
    Healthcheck, HostSpec, IpcMode, LogSpec, MountKind, MountSpec, NetworkMode, PidMode, PortBinding,
    Resources, RestartPolicy, TmpfsOptions, Ulimit, UtsMode, VolumeOptions,
};
pub use update::UpdateRequest;
pub use view::{Container, MountPoint, NetworkView, StateView, Status, human_duration};
pub use why::{End, EndedBy, Who, Why};
