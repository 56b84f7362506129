//! What older clients look for. These work on the finished JSON: the fields no longer exist as types.

use super::ApiVersion;
use serde::Serialize;
use serde_json::{Map, Value, json};

fn value<T: Serialize>(answer: &T) -> Value {
    // Wire types have string keys and finite numbers only, so this cannot fail.
    serde_json::to_value(answer).unwrap_or_default()
}

fn object(value: &mut Value) -> Option<&mut Map<String, Value>> {
    value.as_object_mut()
}

/// `GET /containers/{id}/json`.
pub(crate) fn container<T: Serialize>(version: ApiVersion, answer: &T) -> Value {
    let mut answer = value(answer);
    let before = |minor| version < ApiVersion::minor(minor);
    let short_id = answer["Id"].as_str().map(|id| id[..12.min(id.len())].to_owned()).unwrap_or_default();
    let hostname = answer["Config"]["Hostname"].as_str().unwrap_or_default().to_owned();
    let Some(top) = object(&mut answer) else { return answer };
    if before(48) {
        top.remove("ImageManifestDescriptor");
    }
    if let Some(config) = top.get_mut("Config").and_then(object)
        && before(52)
    {
        config.entry("OnBuild").or_insert(Value::Null);
    }
    if let Some(settings) = top.get_mut("NetworkSettings").and_then(object) {
        if before(45)
            && let Some(networks) = settings.get_mut("Networks").and_then(object)
        {
            // Names and addresses of user networks also listed what the DNS answers.
            let user =
                networks.iter_mut().filter(|(name, _)| !matches!(name.as_str(), "bridge" | "host" | "none"));
            for aliases in user.filter_map(|(_, endpoint)| object(endpoint)?.get_mut("Aliases")) {
                let mut list = aliases.as_array().cloned().unwrap_or_default();
                for alias in [&short_id, &hostname] {
                    if !alias.is_empty() && !list.iter().any(|a| a == alias.as_str()) {
                        list.push(json!(alias));
                    }
                }
                *aliases = Value::Array(list);
            }
        }
        if before(52) {
            for (key, unset) in [
                ("Bridge", json!("")),
                ("HairpinMode", json!(false)),
                ("LinkLocalIPv6Address", json!("")),
                ("LinkLocalIPv6PrefixLen", json!(0)),
                ("SecondaryIPAddresses", Value::Null),
                ("SecondaryIPv6Addresses", Value::Null),
            ] {
                settings.entry(key).or_insert(unset);
            }
            // The default bridge's endpoint was shown at the top as well.
            let bridge = settings.get("Networks").and_then(|n| n.get("bridge")).cloned().unwrap_or_default();
            for (key, unset) in [
                ("EndpointID", json!("")),
                ("Gateway", json!("")),
                ("GlobalIPv6Address", json!("")),
                ("GlobalIPv6PrefixLen", json!(0)),
                ("IPAddress", json!("")),
                ("IPPrefixLen", json!(0)),
                ("IPv6Gateway", json!("")),
                ("MacAddress", json!("")),
            ] {
                settings.insert(key.to_owned(), bridge.get(key).cloned().unwrap_or(unset));
            }
        }
    }
    answer
}

/// `GET /containers/json`.
pub(crate) fn containers<T: Serialize>(version: ApiVersion, answer: &T) -> Value {
    let mut answer = value(answer);
    let before = |minor| version < ApiVersion::minor(minor);
    for line in answer.as_array_mut().into_iter().flatten().filter_map(object) {
        if before(46)
            && let Some(host) = line.get_mut("HostConfig").and_then(object)
        {
            host.remove("Annotations");
        }
        if before(48) {
            line.remove("ImageManifestDescriptor");
        }
        if before(52) {
            line.remove("Health");
        }
    }
    answer
}

/// `GET /images/json`.
pub(crate) fn images<T: Serialize>(version: ApiVersion, answer: &T) -> Value {
    let mut answer = value(answer);
    for line in answer.as_array_mut().into_iter().flatten().filter_map(object) {
        virtual_size(version, line);
        if version < ApiVersion::minor(43) {
            // An empty list of names was a name of its own.
            let unset = |list: Option<&Value>| list.and_then(Value::as_array).is_none_or(Vec::is_empty);
            if unset(line.get("RepoTags")) && unset(line.get("RepoDigests")) {
                line.insert("RepoTags".into(), json!(["<none>:<none>"]));
                line.insert("RepoDigests".into(), json!(["<none>@<none>"]));
            }
        }
        if version < ApiVersion::minor(48) {
            line.remove("Descriptor");
        }
        if version < ApiVersion::minor(51) {
            // Nobody counted.
            line.insert("Containers".into(), json!(-1));
        }
    }
    answer
}

/// `GET /images/{name}/json`.
pub(crate) fn image<T: Serialize>(version: ApiVersion, answer: &T) -> Value {
    let mut answer = value(answer);
    let before = |minor| version < ApiVersion::minor(minor);
    let Some(top) = object(&mut answer) else { return answer };
    virtual_size(version, top);
    if before(44) {
        // Never said was Go's first moment.
        top.entry("Created").or_insert(json!("0001-01-01T00:00:00Z"));
    }
    if before(45) {
        // Of the container that a classic build step ran in.
        top.insert("Container".into(), json!(""));
        top.insert("ContainerConfig".into(), Value::Null);
    }
    if before(48) {
        top.remove("Descriptor");
    }
    if before(52) {
        for key in ["Author", "Comment", "Parent", "DockerVersion"] {
            top.entry(key).or_insert(json!(""));
        }
    }
    if before(50)
        && let Some(config) = top.get_mut("Config").and_then(object)
    {
        // The image's configuration was shown as a container's, with nothing in what only containers have.
        for (key, unset) in [
            ("Hostname", json!("")),
            ("Domainname", json!("")),
            ("AttachStdin", json!(false)),
            ("AttachStdout", json!(false)),
            ("AttachStderr", json!(false)),
            ("Tty", json!(false)),
            ("OpenStdin", json!(false)),
            ("StdinOnce", json!(false)),
            ("Image", json!("")),
        ] {
            config.entry(key).or_insert(unset);
        }
    }
    if before(52)
        && let Some(config) = top.get_mut("Config").and_then(object)
    {
        for (key, unset) in [
            ("User", json!("")),
            ("Env", Value::Null),
            ("Cmd", Value::Null),
            ("Volumes", Value::Null),
            ("WorkingDir", json!("")),
            ("Entrypoint", Value::Null),
            ("OnBuild", Value::Null),
            ("Labels", Value::Null),
        ] {
            config.entry(key).or_insert(unset);
        }
    }
    answer
}

/// Until 1.44 the size was there twice.
fn virtual_size(version: ApiVersion, object: &mut Map<String, Value>) {
    if version < ApiVersion::minor(44)
        && let Some(size) = object.get("Size").cloned()
    {
        object.insert("VirtualSize".into(), size);
    }
}

/// `GET /info`.
pub(crate) fn info<T: Serialize>(version: ApiVersion, answer: &T) -> Value {
    let mut answer = value(answer);
    let before = |minor| version < ApiVersion::minor(minor);
    let Some(top) = object(&mut answer) else { return answer };
    if before(44) {
        for runtime in top.get_mut("Runtimes").and_then(object).into_iter().flat_map(|r| r.values_mut()) {
            object(runtime).map(|r| r.remove("status"));
        }
    }
    if before(47)
        && let Some(registry) = top.get_mut("RegistryConfig").and_then(object)
    {
        registry.entry("AllowNondistributableArtifactsCIDRs").or_insert(Value::Null);
        registry.entry("AllowNondistributableArtifactsHostnames").or_insert(Value::Null);
    }
    if before(49) {
        top.remove("FirewallBackend");
        for key in ["ContainerdCommit", "RuncCommit", "InitCommit"] {
            if let Some(commit) = top.get_mut(key).and_then(object) {
                let id = commit.get("ID").cloned().unwrap_or_default();
                commit.insert("Expected".into(), id);
            }
        }
    }
    if before(50) {
        top.remove("DiscoveredDevices");
        top.insert("BridgeNfIptables".into(), json!(false));
        top.insert("BridgeNfIp6tables".into(), json!(false));
    }
    answer
}

/// One event.
pub(crate) fn event(version: ApiVersion, event: &api::events::EventMessage) -> Value {
    let mut answer = value(event);
    if version < ApiVersion::minor(52)
        && let Some(top) = object(&mut answer)
    {
        // As before 1.22, where only containers and images had events.
        let kind = event.kind.as_str();
        if kind == "container" || kind == "image" {
            top.insert("status".into(), json!(event.action));
            top.insert("id".into(), json!(event.actor.id));
            if kind == "container"
                && let Some(image) = event.actor.attributes.get("image")
            {
                top.insert("from".into(), json!(image));
            }
        }
    }
    answer
}

/// `GET /system/df`: until 1.52 the lists themselves; since then usages, and the lists beside them for who does not
/// ask for `verbose`, because clients that send no version expect them.
pub(crate) fn disk_usage(version: ApiVersion, verbose: bool, mut usage: api::system::DiskUsage) -> Value {
    let is_old = version < ApiVersion::minor(52);
    let mut answer = Map::new();
    if is_old || !verbose {
        if let Some(images) = &usage.image_usage {
            answer.insert("LayersSize".into(), json!(images.total_size));
            let mut items = value(&images.items);
            items
                .as_array_mut()
                .into_iter()
                .flatten()
                .filter_map(object)
                .for_each(|i| virtual_size(version, i));
            answer.insert("Images".into(), items);
        }
        if let Some(containers) = &usage.container_usage {
            answer.insert("Containers".into(), self::containers(version, &containers.items));
        }
        if let Some(volumes) = &usage.volume_usage {
            answer.insert("Volumes".into(), value(&volumes.items));
        }
        if let Some(cache) = &usage.build_cache_usage {
            answer.insert("BuildCache".into(), value(&cache.items));
            if version < ApiVersion::minor(44) {
                answer.insert("BuilderSize".into(), json!(0));
            }
        }
    }
    if is_old {
        return Value::Object(answer);
    }
    if !verbose {
        usage.image_usage.iter_mut().for_each(|u| u.items.clear());
        usage.container_usage.iter_mut().for_each(|u| u.items.clear());
        usage.volume_usage.iter_mut().for_each(|u| u.items.clear());
        usage.build_cache_usage.iter_mut().for_each(|u| u.items.clear());
    }
    if let Value::Object(newest) = value(&usage) {
        answer.extend(newest);
    }
    Value::Object(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bridge_s_address_is_at_the_top_before_1_52() {
        let answer = json!({"Id": "0123456789abcdef", "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}}});
        let old = container(ApiVersion::minor(51), &answer);
        assert_eq!(old["NetworkSettings"]["IPAddress"], "172.17.0.2");
        assert_eq!(old["NetworkSettings"]["Gateway"], "");
        assert_eq!(container(ApiVersion::minor(52), &answer), answer);
    }

    #[test]
    fn old_events_have_a_status() {
        let event_of = |kind: &str| api::events::EventMessage {
            kind: kind.into(),
            action: "start".into(),
            actor: api::events::Actor { id: "x".into(), attributes: [("image".into(), "i".into())].into() },
            ..Default::default()
        };
        let old = event(ApiVersion::minor(51), &event_of("container"));
        assert_eq!((&old["status"], &old["id"], &old["from"]), (&json!("start"), &json!("x"), &json!("i")));
        assert!(event(ApiVersion::minor(51), &event_of("network")).get("status").is_none());
        assert!(event(ApiVersion::minor(52), &event_of("container")).get("status").is_none());
    }

    #[test]
    fn untagged_images_had_a_name_before_1_43() {
        let list = json!([{"Size": 5, "RepoTags": [], "RepoDigests": []}]);
        let old = images(ApiVersion::minor(40), &list);
        assert_eq!(old[0]["RepoTags"], json!(["<none>:<none>"]));
        assert_eq!(old[0]["VirtualSize"], 5);
        assert_eq!(images(ApiVersion::MAX, &list), list);
    }
}
