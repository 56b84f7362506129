//! The table of contents: method, path, handler, first version.

mod archive;
mod builds;
mod checkpoints;
mod commit;
mod containers;
mod events;
mod execs;
mod images;
mod lines;
mod networks;
mod plugins;
mod registries;
mod stats;
mod streams;
mod swarm;
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
    GET "/containers/{name*}/checkpoints" => checkpoints::list, since 25;
    POST "/containers/{name*}/checkpoints" => checkpoints::create, since 25;
    DELETE "/containers/{name*}/checkpoints/{checkpoint}" => checkpoints::remove, since 25;
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
    GET "/images/{name*}/attestations" => images::attestations, since 55;
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
    POST "/volumes/restore" => volumes::restore;
    POST "/volumes/prune" => volumes::prune, since 25;
    GET "/volumes/{name}" => volumes::inspect;
    PUT "/volumes/{name}" => volumes::update, since 42;
    DELETE "/volumes/{name}" => volumes::remove;
    // Not in Docker.
    POST "/volumes/{name}/rename" => volumes::rename;
    POST "/volumes/{name}/clone" => volumes::clone;
    GET "/volumes/{name}/export" => volumes::export;
    POST "/volumes/{name}/import" => volumes::import;
    POST "/volumes/{name}/backup" => volumes::backup;

    GET "/plugins" => plugins::list, since 25;
    GET "/plugins/{name*}/json" => plugins::find, since 25;
    DELETE "/plugins/{name*}" => plugins::find, since 25;
    POST "/plugins/{name*}/enable" => plugins::find, since 25;
    POST "/plugins/{name*}/disable" => plugins::find, since 25;
    POST "/plugins/{name*}/push" => plugins::find, since 25;
    POST "/plugins/{name*}/upgrade" => plugins::find, since 26;
    POST "/plugins/{name*}/set" => plugins::find, since 25;

    GET "/swarm" => swarm::ask_manager;
    POST "/swarm/leave" => swarm::leave;
    POST "/swarm/update" => swarm::ask_manager;
    GET "/swarm/unlockkey" => swarm::ask_manager;
    POST "/swarm/unlock" => swarm::ask_manager;
    GET "/nodes" => swarm::ask_manager;
    GET "/nodes/{name}" => swarm::ask_manager;
    DELETE "/nodes/{name}" => swarm::ask_manager;
    POST "/nodes/{name}/update" => swarm::ask_manager;
    GET "/services" => swarm::ask_manager;
    POST "/services/create" => swarm::ask_manager;
    GET "/services/{name}" => swarm::ask_manager;
    DELETE "/services/{name}" => swarm::ask_manager;
    POST "/services/{name}/update" => swarm::ask_manager;
    GET "/services/{name}/logs" => swarm::ask_manager, since 29;
    GET "/tasks" => swarm::ask_manager;
    GET "/tasks/{name}" => swarm::ask_manager;
    GET "/tasks/{name}/logs" => swarm::ask_manager, since 29;
    GET "/secrets" => swarm::ask_manager, since 25;
    POST "/secrets/create" => swarm::ask_manager, since 25;
    GET "/secrets/{name}" => swarm::ask_manager, since 25;
    DELETE "/secrets/{name}" => swarm::ask_manager, since 25;
    POST "/secrets/{name}/update" => swarm::ask_manager, since 25;
    GET "/configs" => swarm::ask_manager, since 30;
    POST "/configs/create" => swarm::ask_manager, since 30;
    GET "/configs/{name}" => swarm::ask_manager, since 30;
    DELETE "/configs/{name}" => swarm::ask_manager, since 30;
    POST "/configs/{name}/update" => swarm::ask_manager, since 30;
};

/// Docker has these, Wharf not yet: 501 with their name, never a 404 as if nobody had heard of them.
pub(crate) const NOT_BUILT: &[(&str, &str)] = &[
    ("POST", "/containers/{name*}/copy"),
    ("POST", "/build"),
    ("POST", "/build/cancel"),
    ("POST", "/session"),
    ("POST", "/grpc"),
    ("GET", "/plugins/privileges"),
    ("POST", "/plugins/pull"),
    ("POST", "/plugins/create"),
    ("POST", "/swarm/init"),
    ("POST", "/swarm/join"),
];
