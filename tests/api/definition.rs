//! Docker's own definition of the API (`engine-api-1.55.yaml`), and what is wrong with an answer by it.

use serde_json::Value;

/// The parsed document.
pub(super) struct Definition(Value);

/// Null by the definition nowhere, but by Docker: what Go calls a nil slice, map or pointer. The ends of their paths,
/// and why they are as they are.
const NULLS: &[(&[&str], &str)] = &[
    (
        &[".Env", ".Cmd", ".Entrypoint", ".Config.Volumes"],
        "a container's configuration as it was sent: clients tell `null` from `[]` (entrypoint: reset or not)",
    ),
    (
        &[
            ".Binds",
            ".CapAdd",
            ".CapDrop",
            ".DeviceCgroupRules",
            ".DeviceRequests",
            ".Devices",
            ".Dns",
            ".DnsOptions",
            ".DnsSearch",
            ".ExtraHosts",
            ".GroupAdd",
            ".HostConfig.Links",
            ".SecurityOpt",
            ".VolumesFrom",
        ],
        "`docker inspect` shows what was not said as null",
    ),
    (&[".MemorySwappiness", ".OomKillDisable", ".PidsLimit"], "pointers: not said is not 0"),
    (&[".ExitCode"], "a pointer: it has not ended"),
    (&["/images/prune.ImagesDeleted", "/build/prune.CachesDeleted"], "nothing went"),
    (&[".io_service_bytes_recursive"], "of a container that does not run, or has no devices yet"),
    (&[".arguments"], "a command without arguments"),
    (&["/history[].Tags"], "nothing is called so"),
    (
        &[".Aliases", ".DNSNames", ".Networks.none.Links", ".Networks.bridge.Links", ".Networks.kept.Links"],
        "nobody asked for any",
    ),
    (&[".GenericResources", ".Authorization", ".Mirrors", ".Warnings"], "there are none"),
    (&[".ContainersDeleted", ".NetworksDeleted"], "nothing was deleted"),
    (&[".IPAM.Options"], "nothing is said to who gives the addresses out"),
    (
        &["/volumes.Volumes[].Options", "/volumes/{name}.Options", "/volumes/create.Options"],
        "a volume made without options",
    ),
];

/// Not in the definition, but in Docker's answers.
const UNKNOWN: &[(&[&str], &str)] = &[(
    &[
        "/system/df.LayersSize",
        "/system/df.Images",
        "/system/df.Containers",
        "/system/df.Volumes",
        "/system/df.BuildCache",
    ],
    "until a client asks for `verbose`, which shows that it knows 1.52, the old lists stand beside the new sums",
)];

/// Required by the definition, and no field of Docker's answers.
const ABSENT: &[(&[&str], &str)] =
    &[(&[".ImageData.UnpackedSize"], "it is `Size.Unpacked`, which the definition has as well")];

fn excepted(table: &[(&[&str], &str)], path: &str) -> bool {
    table.iter().any(|(ends, _)| ends.iter().any(|end| path.ends_with(end)))
}

impl Definition {
    pub(super) fn read() -> Self {
        Self(yaml_serde::from_str(include_str!("engine-api-1.55.yaml")).expect("a YAML document"))
    }

    /// `GET /info` and the like, each with the statuses that it may answer.
    pub(super) fn operations(&self) -> Vec<(String, Vec<u16>)> {
        let paths = self.0["paths"].as_object().expect("paths");
        let of_path = |(path, methods): (&String, &Value)| {
            let methods = methods.as_object().expect("methods").clone();
            let path = path.clone();
            methods.into_iter().map(move |(method, operation)| {
                let statuses = operation["responses"].as_object().expect("responses");
                let statuses = statuses.keys().filter_map(|status| status.parse().ok()).collect();
                (format!("{} {path}", method.to_uppercase()), statuses)
            })
        };
        paths.iter().flat_map(of_path).collect()
    }

    fn response(&self, operation: &str, status: u16) -> &Value {
        let (method, path) = operation.split_once(' ').expect("a method and a path");
        let response = &self.0["paths"][path][method.to_lowercase()]["responses"][status.to_string()];
        assert!(!response.is_null(), "{operation} {status} is not defined");
        response
    }

    /// Media types of an operation's answers.
    pub(super) fn produces(&self, operation: &str) -> Vec<&str> {
        let (method, path) = operation.split_once(' ').expect("a method and a path");
        let own = &self.0["paths"][path][method.to_lowercase()]["produces"];
        let list = if own.is_null() { &self.0["produces"] } else { own };
        list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Whether an answer is JSON, and what is wrong with it.
    pub(super) fn complaints(&self, operation: &str, status: u16, answer: &Value) -> Vec<String> {
        let path = operation.split_once(' ').map_or(operation, |(_, path)| path);
        let mut complaints = Vec::new();
        self.check(&self.response(operation, status)["schema"], answer, path, &mut complaints);
        complaints
    }

    /// Whether the answer has a JSON body by the definition.
    pub(super) fn is_json(&self, operation: &str, status: u16) -> bool {
        let schema = &self.response(operation, status)["schema"];
        !schema.is_null() && self.resolve(schema)["type"] != "string"
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(name) => self.resolve(&self.0["definitions"][name.trim_start_matches("#/definitions/")]),
            None => schema,
        }
    }

    /// All properties and the required ones, those of `allOf` included.
    fn members<'a>(&'a self, schema: &'a Value, into: &mut (Vec<(&'a str, &'a Value)>, Vec<&'a str>)) {
        let schema = self.resolve(schema);
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.members(part, into);
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            into.0.push((name, property));
        }
        into.1.extend(schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str));
    }

    fn check(&self, schema: &Value, value: &Value, path: &str, complaints: &mut Vec<String>) {
        let marked = schema["x-nullable"] == true;
        let schema = self.resolve(schema);
        let mut members = Default::default();
        self.members(schema, &mut members);
        let (properties, required) = members;
        let kind = match schema["type"].as_str() {
            Some(kind) => kind,
            None if !properties.is_empty() => "object",
            None => return,
        };
        if value.is_null() {
            if !marked && schema["x-nullable"] != true && !excepted(NULLS, path) {
                complaints.push(format!("{path}: null"));
            }
            return;
        }
        let fits = match kind {
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => false,
        };
        if !fits {
            complaints.push(format!("{path}: {value} is no {kind}"));
            return;
        }
        if let Some(text) = value.as_str() {
            check_text(schema, text, path, complaints);
        }
        if value.is_number() {
            check_number(schema, value, path, complaints);
        }
        for item in value.as_array().into_iter().flatten() {
            self.check(&schema["items"], item, &format!("{path}[]"), complaints);
        }
        let missing = required.iter().filter(|key| value.get(key).is_none());
        let missing = missing.filter(|key| !excepted(ABSENT, &format!("{path}.{key}")));
        complaints.extend(missing.map(|key| format!("{path}.{key}: required, missing")));
        for (key, item) in value.as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            match properties.iter().find(|(name, _)| name == key) {
                Some((_, property)) => self.check(property, item, &path, complaints),
                None if schema["additionalProperties"].is_object() => {
                    self.check(&schema["additionalProperties"], item, &path, complaints);
                }
                None if properties.is_empty() || excepted(UNKNOWN, &path) => {}
                None => complaints.push(format!("{path}: not in the definition")),
            }
        }
    }
}

fn check_text(schema: &Value, text: &str, path: &str, complaints: &mut Vec<String>) {
    if let Some(known) = schema["enum"].as_array()
        && !known.iter().any(|k| k == text)
    {
        complaints.push(format!("{path}: {text:?} is none of {known:?}"));
    }
    let fits = match (schema["format"].as_str(), schema["pattern"].as_str()) {
        (Some("dateTime" | "date-time"), _) => is_time(text),
        (_, Some("^[0-9a-fA-F]{64}$")) => text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()),
        (_, Some(other)) => panic!("{path}: a pattern that this test does not know: {other}"),
        _ => true,
    };
    if !fits {
        complaints
            .push(format!("{path}: {text:?} has not the form of {}{}", schema["format"], schema["pattern"]));
    }
}

/// RFC 3339, to the nanosecond at most, in UTC.
fn is_time(text: &str) -> bool {
    let Some((seconds, fraction)) = text.strip_suffix('Z').map(|t| t.split_once('.').unwrap_or((t, "0")))
    else {
        return false;
    };
    let form: String = seconds.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    form == "0000-00-00T00:00:00" && fraction.len() <= 9 && fraction.bytes().all(|b| b.is_ascii_digit())
}

fn check_number(schema: &Value, value: &Value, path: &str, complaints: &mut Vec<String>) {
    let top: u64 = match schema["format"].as_str() {
        Some("uint8") => u8::MAX.into(),
        Some("uint16") => u16::MAX.into(),
        Some("uint32") => u32::MAX.into(),
        _ => u64::MAX,
    };
    let is_unsigned = schema["format"].as_str().is_some_and(|format| format.starts_with("uint"));
    let bottom = schema["minimum"].as_i64().or(is_unsigned.then_some(0));
    let too_low = bottom.is_some_and(|bottom| value.as_i64().is_some_and(|n| n < bottom));
    let too_high = value.as_u64().is_some_and(|n| n > schema["maximum"].as_u64().unwrap_or(top));
    if too_low || too_high {
        complaints.push(format!("{path}: {value} is out of range"));
    }
}

#[test]
fn the_checker_complains() {
    let definition = Definition::read();
    let wrong = serde_json::json!({
        "Id": "12", "Nope": 1, "State": {"Status": "odd", "Pid": "1"}, "Created": "yesterday", "Args": null,
    });
    let complaints = definition.complaints("GET /containers/{id}/json", 200, &wrong);
    assert_eq!(complaints.len(), 6, "{complaints:#?}");
    let short = definition.complaints("POST /containers/create", 201, &serde_json::json!({"Id": "a"}));
    assert_eq!(short, ["/containers/create.Warnings: required, missing"]);
}
