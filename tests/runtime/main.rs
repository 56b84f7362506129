//! Black box: other engines run their containers on `wharf oci`: Debian's dockerd, podman and containerd, each with
//! everything of its own and in network and mount namespaces of its own. What they print with Debian's runc is what
//! they have to print with Wharf.

mod containerd;
mod docker;
mod kit;
mod podman;
