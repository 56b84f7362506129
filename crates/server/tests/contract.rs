//! Answers against Docker's own definition of the API: every field known, of the right type, none missing that is
//! required.

mod common;

use common::Fixture;
use serde_json::Value;

struct Definition(Value);

impl Definition {
    fn read() -> Self {
        let text = include_str!("data/engine-api-1.55.yaml");
        Definition(yaml_serde::from_str(text).unwrap())
    }

    /// The schema of an operation's answer.
    fn answer(&self, method: &str, path: &str, status: &str) -> &Value {
        let schema = &self.0["paths"][path][method]["responses"][status]["schema"];
        assert!(!schema.is_null(), "{method} {path} {status} is not defined");
        schema
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(name) => self.resolve(&self.0["definitions"][name.trim_start_matches("#/definitions/")]),
            None => schema,
        }
    }

    /// All properties, those of `allOf` included.
    fn properties<'a>(&'a self, schema: &'a Value, into: &mut Vec<(&'a str, &'a Value)>) {
        let schema = self.resolve(schema);
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.properties(part, into);
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            into.push((name, property));
        }
    }

    fn check(&self, schema: &Value, value: &Value, path: &str, complaints: &mut Vec<String>) {
        let schema = self.resolve(schema);
        if value.is_null() {
            // Go's nil: allowed for what Go calls a pointer, slice or map; those may lack the mark.
            let scalar = matches!(schema["type"].as_str(), Some("string" | "integer" | "boolean" | "number"));
            // Go pointers that the definition fails to mark: Docker sends null for these.
            let unmarked = [".MemorySwappiness", ".OomKillDisable", ".ExitCode"];
            if scalar && schema["x-nullable"] != true && !unmarked.iter().any(|field| path.ends_with(field)) {
                complaints.push(format!("{path}: null"));
            }
            return;
        }
        let mut properties = Vec::new();
        self.properties(schema, &mut properties);
        let kind = match schema["type"].as_str() {
            Some(kind) => kind,
            None if !properties.is_empty() => "object",
            None => return,
        };
        let fits = match kind {
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            _ => true,
        };
        if !fits {
            complaints.push(format!("{path}: {value} is no {kind}"));
            return;
        }
        if let (Some(known), Some(text)) = (schema["enum"].as_array(), value.as_str())
            && !known.iter().any(|k| k == text)
        {
            complaints.push(format!("{path}: {text:?} is none of {known:?}"));
        }
        for (i, item) in value.as_array().into_iter().flatten().enumerate() {
            self.check(&schema["items"], item, &format!("{path}[{i}]"), complaints);
        }
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if value.get(required).is_none() {
                complaints.push(format!("{path}.{required}: required, missing"));
            }
        }
        for (key, item) in value.as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            match properties.iter().find(|(name, _)| name == key) {
                Some((_, property)) => self.check(property, item, &path, complaints),
                None if schema["additionalProperties"].is_object() => {
                    self.check(&schema["additionalProperties"], item, &path, complaints);
                }
                None if properties.is_empty() => {}
                None => complaints.push(format!("{path}: not in the definition")),
            }
        }
    }
}

async fn json(fixture: &Fixture, method: &str, path: &str) -> Value {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answer = fixture.raw(request.as_bytes(), false).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 20"), "{method} {path}: {answer}");
    serde_json::from_str(body).unwrap_or_else(|e| panic!("{method} {path}: {e}: {answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_as_docker_defines_them() {
    let fixture = Fixture::new().await;
    let definition = Definition::read();
    fixture.image("base").await;
    let mut request = api::container::CreateRequest {
        config: api::container::ContainerConfig {
            image: "base".into(),
            cmd: vec!["/sleep".into()],
            env: vec!["A=b".into()],
            labels: [("l".to_owned(), "v".to_owned())].into(),
            ..Default::default()
        },
        ..Default::default()
    };
    request.config.exposed_ports.insert("80/tcp".into(), Default::default());
    let containers = fixture.client.containers();
    containers.create("running", "", &request).await.unwrap();
    containers.create("created", "", &request).await.unwrap();
    containers.start("running", "").await.unwrap();
    let exec = api::exec::ExecCreateRequest { cmd: vec!["true".into()], ..Default::default() };
    let exec = containers.exec("running", &exec).await.unwrap();

    let mut complaints = Vec::new();
    for (method, defined, path) in [
        ("get", "/version", "/version".to_owned()),
        ("get", "/info", "/info".to_owned()),
        ("get", "/system/df", "/system/df?verbose=1".to_owned()),
        ("get", "/containers/json", "/containers/json?all=1&size=1".to_owned()),
        ("get", "/containers/{id}/json", "/containers/running/json?size=1".to_owned()),
        ("get", "/containers/{id}/json", "/containers/created/json".to_owned()),
        ("get", "/exec/{id}/json", format!("/exec/{exec}/json")),
        ("get", "/images/json", "/images/json?all=1".to_owned()),
        ("get", "/images/{name}/json", "/images/base:latest/json".to_owned()),
        ("get", "/images/{name}/history", "/images/base/history".to_owned()),
    ] {
        let answer = json(&fixture, &method.to_uppercase(), &path).await;
        definition.check(definition.answer(method, defined, "200"), &answer, &path, &mut complaints);
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn the_checker_complains() {
    let definition = Definition::read();
    let schema = definition.answer("get", "/containers/{id}/json", "200");
    let mut complaints = Vec::new();
    let wrong = serde_json::json!({"Id": 5, "Nope": 1, "State": {"Status": "odd"}});
    definition.check(schema, &wrong, "", &mut complaints);
    assert_eq!(complaints.len(), 3, "{complaints:?}");
}
