//! The table of contents: method, path, handler, first version.

mod archive;
mod builds;
mod commit;
mod containers;
mod events;
mod execs;
mod images;
mod lines;
mod networks;
mod registries;
mod stats;
mod streams;
mod system;
mod update;
mod volumes;
mod websocket;

use crate::router::Route;
use crate::versions::ApiVersion;
use http::Method;

macro_rules! routes {
    ($($method:ident $path:literal => $handler:path $(, since $since:literal)?;)*) => {
        &[$(Route {
            method: Method::$method,
            path: $path,
            since: routes!(@since $($since)?),
            run: |call| Box::pin($handler(call)),
        },)*]
    };
    (@since) => { ApiVersion::MIN };
    (@since $since:literal) => { ApiVersion::minor($since) };
}

pub(crate) static ROUTES: &[Route] = routes! {
    GET "/_ping" => system::ping;
    HEAD "/_ping" => system::ping;
    GET "/version" => system::version;
    GET "/info" => system::info;
    GET "/system/df" => system::disk_usage, since 25;
    GET "/events" => events::stream;

    GET "/containers/json" => containers::list;
    POST "/containers/create" => containers::create;
    POST "/containers/prune" => containers::prune, since 25;
    GET "/containers/{name*}/json" => containers::inspect;
    GET "/containers/{name*}/top" => containers::top;
    // Not in Docker.
    GET "/containers/{name*}/why" => containers::why;
    GET "/containers/{name*}/logs" => streams::logs;
    DELETE "/containers/{name*}/logs" => streams::clear_logs;
    GET "/containers/{name*}/stats" => stats::stream;
    POST "/containers/{name*}/start" => containers::start;
    POST "/containers/{name*}/stop" => containers::stop;
    POST "/containers/{name*}/restart" => containers::restart;
    POST "/containers/{name*}/kill" => containers::kill;
    POST "/containers/{name*}/pause" => containers::pause;
    POST "/containers/{name*}/unpause" => containers::unpause;
    POST "/containers/{name*}/rename" => containers::rename;
    POST "/containers/{name*}/update" => update::update;
    POST "/containers/{name*}/resize" => containers::resize;
    POST "/containers/{name*}/wait" => containers::wait;
    POST "/containers/{name*}/attach" => streams::attach;
    GET "/containers/{name*}/changes" => archive::changes;
    GET "/containers/{name*}/export" => archive::export;
    POST "/commit" => commit::create;
    HEAD "/containers/{name*}/archive" => archive::stat;
    GET "/containers/{name*}/archive" => archive::get;
    PUT "/containers/{name*}/archive" => archive::put;
    GET "/containers/{name*}/attach/ws" => websocket::attach;
    DELETE "/containers/{name*}" => containers::remove;

    POST "/containers/{name*}/exec" => execs::create;
    POST "/exec/{name}/start" => execs::start;
    POST "/exec/{name}/resize" => execs::resize;
    GET "/exec/{name}/json" => execs::inspect;

    GET "/images/json" => images::list;
    GET "/images/get" => images::save_many;
    GET "/images/search" => registries::search;
    POST "/images/load" => images::load;
    POST "/images/create" => images::create;
    POST "/images/prune" => images::prune, since 25;
    // Not in Docker.
    POST "/images/gc" => images::collect_garbage;
    GET "/images/{name*}/json" => images::inspect;
    GET "/images/{name*}/history" => images::history;
    GET "/images/{name*}/get" => images::save_one;
    POST "/images/{name*}/tag" => images::tag;
    POST "/images/{name*}/push" => images::push;
    DELETE "/images/{name*}" => images::remove;

    GET "/networks" => networks::list;
    POST "/networks/create" => networks::create;
    POST "/networks/prune" => networks::prune, since 25;
    GET "/networks/{name}" => networks::inspect;
    DELETE "/networks/{name}" => networks::remove;
    POST "/networks/{name}/connect" => networks::connect;
    POST "/networks/{name}/disconnect" => networks::disconnect;

    POST "/build/prune" => builds::prune, since 31;

    POST "/auth" => registries::login;
    GET "/distribution/{name*}/json" => registries::inspect, since 30;
    // Not in Docker.
    GET "/distribution/{name*}/tags" => registries::tags;
    GET "/distribution/{name*}/manifest" => registries::manifest;
    PUT "/distribution/{name*}/manifest" => registries::put_manifest;
    POST "/distribution/{name*}/copy" => registries::copy;

    GET "/volumes" => volumes::list;
    POST "/volumes/create" => volumes::create;
    POST "/volumes/prune" => volumes::prune, since 25;
    GET "/volumes/{name}" => volumes::inspect;
    PUT "/volumes/{name}" => volumes::update, since 42;
    DELETE "/volumes/{name}" => volumes::remove;
    // Not in Docker.
    POST "/volumes/{name}/rename" => volumes::rename;
    POST "/volumes/{name}/clone" => volumes::clone;
    GET "/volumes/{name}/export" => volumes::export;
    POST "/volumes/{name}/import" => volumes::import;
};

/// Docker has these, Wharf not yet: 501 with their name, never a 404 as if nobody had heard of them.
pub(crate) const NOT_BUILT: &[(&str, &str)] = &[
    ("POST", "/containers/{name*}/copy"),
    ("GET", "/containers/{name*}/checkpoints"),
    ("POST", "/containers/{name*}/checkpoints"),
    ("POST", "/build"),
    ("POST", "/build/cancel"),
    ("GET", "/images/{name*}/attestations"),
    ("POST", "/session"),
    ("POST", "/grpc"),
    ("GET", "/plugins"),
    ("GET", "/plugins/privileges"),
    ("POST", "/plugins/pull"),
    ("POST", "/plugins/create"),
    ("GET", "/plugins/{name*}/json"),
    ("DELETE", "/plugins/{name*}"),
    ("POST", "/plugins/{name*}/enable"),
    ("POST", "/plugins/{name*}/disable"),
    ("POST", "/plugins/{name*}/push"),
    ("POST", "/plugins/{name*}/upgrade"),
    ("POST", "/plugins/{name*}/set"),
    ("GET", "/swarm"),
    ("POST", "/swarm/init"),
    ("POST", "/swarm/join"),
    ("POST", "/swarm/leave"),
    ("POST", "/swarm/update"),
    ("GET", "/swarm/unlockkey"),
    ("POST", "/swarm/unlock"),
    ("GET", "/nodes"),
    ("GET", "/nodes/{name}"),
    ("DELETE", "/nodes/{name}"),
    ("POST", "/nodes/{name}/update"),
    ("GET", "/services"),
    ("POST", "/services/create"),
    ("GET", "/services/{name}"),
    ("DELETE", "/services/{name}"),
    ("POST", "/services/{name}/update"),
    ("GET", "/services/{name}/logs"),
    ("GET", "/tasks"),
    ("GET", "/tasks/{name}"),
    ("GET", "/tasks/{name}/logs"),
    ("GET", "/secrets"),
    ("POST", "/secrets/create"),
    ("GET", "/secrets/{name}"),
    ("DELETE", "/secrets/{name}"),
    ("POST", "/secrets/{name}/update"),
    ("GET", "/configs"),
    ("POST", "/configs/create"),
    ("GET", "/configs/{name}"),
    ("DELETE", "/configs/{name}"),
    ("POST", "/configs/{name}/update"),
];
