//! `version`: of the client, and of the engine.

use gotemplate::{Data, Missing, Template};
use serde_json::{Value, json};

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::commands::inspect;
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::output::{self, table};

pub(crate) const COMMAND: Command = Command {
    name: "version",
    aliases: &[],
    usage: "[OPTIONS]",
    about: "Show the version information of client and engine",
    flags: &[Flag::text("format", inspect::FORMAT_HELP).short('f')],
    operands: Operands::None,
    interspersed: true,
    spellings: &["version"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let template = match line.text("format") {
        "" => None,
        "json" => Some("{{json .}}"),
        source => Some(source),
    };
    let template = template
        .map(|source| {
            Template::parse(source)
                .map_err(|error| Failure::with_status(format!("template parsing error: {error}"), 64))
        })
        .transpose()?;
    let server = app.client.system().version().await;
    let server_value = match &server {
        Ok(version) => serde_json::to_value(version).unwrap_or(Value::Null),
        Err(error) if error.is_connect() && crate::autostart::applies(app) => {
            return Err(server.map(drop).err().map_or_else(|| Failure::status(1), Failure::from));
        }
        Err(_) => Value::Null,
    };
    let client = client(app, &server_value);
    match template {
        Some(template) => {
            let data = Data::from_json(&json!({"Client": client, "Server": server_value}));
            let text =
                template.execute(&data, Missing::Key).map_err(|error| Failure::new(error.to_string()))?;
            output::out(&format!("{text}\n"));
        }
        None => output::out(&pretty(&client, &server_value)),
    }
    server.map(|_| 0).map_err(Failure::from)
}

fn client(app: &App, server: &Value) -> Value {
    let spoken = std::env::var("DOCKER_API_VERSION").ok().filter(|version| !version.is_empty());
    let spoken = spoken.unwrap_or_else(|| match server["ApiVersion"].as_str() {
        Some(version) => version.to_owned(),
        None => api::VERSION.to_owned(),
    });
    debug_assert!(!app.host.is_empty());
    json!({
        "Platform": {"Name": "Wharf"},
        "Version": env!("CARGO_PKG_VERSION"),
        "ApiVersion": spoken,
        "DefaultAPIVersion": api::VERSION,
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": arch(),
        "BuildTime": "",
        "Context": "default",
    })
}

/// Go's name of the machine.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn pretty(client: &Value, server: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut page = format!(
        "Client: {}\n Version:\t{}\n API version:\t{}\n OS/Arch:\t{}/{}\n Context:\t{}\n",
        text(&client["Platform"]["Name"]),
        text(&client["Version"]),
        text(&client["ApiVersion"]),
        text(&client["Os"]),
        text(&client["Arch"]),
        text(&client["Context"]),
    );
    if !server.is_null() {
        page.push_str(&format!("\nServer: {}\n", text(&server["Platform"]["Name"])));
        for component in server["Components"].as_array().into_iter().flatten() {
            page.push_str(&format!(
                " {}:\n  Version:\t{}\n",
                text(&component["Name"]),
                text(&component["Version"])
            ));
            for (label, key) in DETAILS {
                let value = text(&component["Details"][key]);
                if !value.is_empty() {
                    let value = match (*key, component["Details"]["MinAPIVersion"].as_str()) {
                        ("ApiVersion", Some(least)) => format!("{value} (minimum version {least})"),
                        ("Os", _) => format!("{value}/{}", text(&component["Details"]["Arch"])),
                        _ => value,
                    };
                    page.push_str(&format!("  {label}:\t{value}\n"));
                }
            }
        }
    }
    table::align_with(&page, 20, 1)
}

const DETAILS: &[(&str, &str)] = &[
    ("API version", "ApiVersion"),
    ("Go version", "GoVersion"),
    ("Git commit", "GitCommit"),
    ("Built", "BuildTime"),
    ("OS/Arch", "Os"),
    ("Experimental", "Experimental"),
];
