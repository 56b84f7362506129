//! What the engine needs from the outside, as traits it owns.
//!
//! The engine decides; processes, network namespaces, BPF and the wall clock are somebody else's trade. The
//! adapters live in `daemon` (`adapters/runtime.rs` over `shim`, `adapters/network.rs` over `net`), the fakes
//! in this crate's tests. Futures are boxed so that the ports are object safe: one allocation per call is
//! nothing beside a system call.

mod machine;
mod network;
mod plugins;
mod processes;
mod storage;
mod usage;

use std::future::Future;
use std::pin::Pin;

pub use machine::{Clock, Ids, Mirror, SeccompCompiler};
pub use network::{
    BridgeNetwork, Endpoint, EndpointRequest, GatewayMode, Ipv6Network, IpvlanFlag, IpvlanMode, MacvlanMode,
    NameRules, Named, NetworkError, NetworkFabric, NetworkFacts, OverKind, OverNetwork, PortMapping,
    PortProtocol, PortWish, PublishedPorts, Reach, Sandbox, SandboxRequest, TellLost,
};
pub use plugins::{PluginError, PluginErrorKind, PluginVolume, VolumePlugins};
pub use processes::{
    Attachment, ContainerRuntime, ExecRequest, Exit, OpenRoot, Probed, ProcessRef, Reconnected, RootView,
    Rootfs, Roots, RuntimeError, RuntimeErrorKind, StartRequest, Started, Stdio, Unmounted,
};
pub use storage::{ImageManifest, Storage, StoredImage};
pub use usage::{BlockIoEntry, BlockIoUsage, CpuUsage, InterfaceUsage, MemoryUsage, Meter, Traffic, Usage};

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
