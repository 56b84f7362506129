//! `version`: of the client, and of the engine.

use gotemplate::Shape::{Bool, List, Map, Pointer, Struct, Text};
use gotemplate::{Data, Missing, Shape, Template};
use serde_json::{Value, json};

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::commands::inspect;
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::moment;
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
            Template::parse(source).map_err(|error| {
                Failure::with_status(format!("template parsing error: {}", error.named("version")), 64)
            })
        })
        .transpose()?;
    let server = app.client.system().version().await;
    let server_value = match &server {
        Ok(version) => spoken(serde_json::to_value(version).unwrap_or(Value::Null)),
        Err(error) if error.is_connect() && crate::autostart::applies(app) => {
            return Err(server.map(drop).err().map_or_else(|| Failure::status(1), Failure::from));
        }
        Err(_) => Value::Null,
    };
    let client = spoken(client(app, &server_value));
    match template {
        Some(template) => {
            let data = json!({"Client": client, "Server": server_value});
            let text = template.execute(&Data::of(&data, &VERSION), Missing::Field("system.versionInfo"));
            output::out(&format!("{}\n", text.as_deref().unwrap_or_default()));
            text.map_err(|error| Failure::new(error.named("version").to_string()))?;
        }
        None => output::out(&pretty(&client, &server_value)),
    }
    server.map(|_| 0).map_err(Failure::from)
}

/// As the page and templates have it: without what is not known, and with the time that the engine was built at as C writes it.
fn spoken(mut side: Value) -> Value {
    if let Some(fields) = side.as_object_mut() {
        fields.retain(|_, value| value != "");
    }
    for component in side.get_mut("Components").and_then(Value::as_array_mut).into_iter().flatten() {
        if component["Name"] == "Engine"
            && let Some(Value::String(built)) = component.pointer_mut("/Details/BuildTime")
        {
            *built = moment::ansi_c(built);
        }
    }
    side
}

const VERSION: Shape = Struct(&[("Client", CLIENT), ("Server", Pointer(&SERVER))]);
const PLATFORM: Shape = Struct(&[("Name", Text)]);

const CLIENT: Shape = Struct(&[
    ("Platform", Pointer(&PLATFORM)),
    ("Version", Text),
    ("APIVersion", Text),
    ("DefaultAPIVersion", Text),
    ("GitCommit", Text),
    ("GoVersion", Text),
    ("Os", Text),
    ("Arch", Text),
    ("BuildTime", Text),
    ("Context", Text),
]);

const SERVER: Shape = Struct(&[
    ("Platform", PLATFORM),
    ("Version", Text),
    ("APIVersion", Text),
    ("MinAPIVersion", Text),
    ("Os", Text),
    ("Arch", Text),
    ("Components", List(&Struct(&[("Name", Text), ("Version", Text), ("Details", Map(&Text))]))),
    ("GitCommit", Text),
    ("GoVersion", Text),
    ("KernelVersion", Text),
    ("Experimental", Bool),
    ("BuildTime", Text),
]);

fn client(app: &App, server: &Value) -> Value {
    let spoken = std::env::var("DOCKER_API_VERSION").ok().filter(|version| !version.is_empty());
    let spoken = spoken.unwrap_or_else(|| match server["ApiVersion"].as_str() {
        Some(version) => version.to_owned(),
        None => api::VERSION.to_owned(),
    });
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
        "Context": app.context,
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
            let (name, details) = (text(&component["Name"]), &component["Details"]);
            page.push_str(&format!(" {name}:\n  Version:\t{}\n", text(&component["Version"])));
            if name == "Engine" {
                page.push_str(&engine(details));
                continue;
            }
            for (label, value) in details.as_object().into_iter().flatten() {
                page.push_str(&format!("  {label}:\t{}\n", text(value)));
            }
        }
    }
    table::align_with(&page, 20, 1)
}

/// What of its details the engine shows, in this order.
fn engine(details: &Value) -> String {
    let detail = |key: &str| details[key].as_str().unwrap_or_default();
    format!(
        "  API version:\t{} (minimum version {})\n  Go version:\t{}\n  Git commit:\t{}\n  Built:\t{}\n  OS/Arch:\t{}/{}\n  Experimental:\t{}\n",
        detail("ApiVersion"),
        detail("MinAPIVersion"),
        detail("GoVersion"),
        detail("GitCommit"),
        detail("BuildTime"),
        detail("Os"),
        detail("Arch"),
        detail("Experimental"),
    )
}
