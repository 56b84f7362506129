//! Black box: images between Wharf and registries. The registry is Debian's docker-registry; what it cannot do (break off,
//! lie, be slow) is done by a proxy in front of it, or by a server of the test's own.

mod attestations;
mod builtin;
mod collect;
mod copy;
mod damage;
mod kit;
mod login;
mod manifest;
mod platforms;
mod pull;
mod push;
mod resume;
