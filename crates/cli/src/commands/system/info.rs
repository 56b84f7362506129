//! `info`.

use std::fmt::Write;

use api::system::SystemInfo;
use gotemplate::Shape::{Any, Bool, Called, List, Map, Number, Pointer, Struct, Text};
use gotemplate::{Data, Missing, Shape, Template};
use serde_json::json;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::commands::inspect;
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::output;
use crate::output::units::binary_size;

pub(crate) const COMMAND: Command = Command {
    name: "info",
    aliases: &[],
    usage: "[OPTIONS]",
    about: "Display system-wide information",
    flags: &[Flag::text("format", inspect::FORMAT_HELP).short('f')],
    operands: Operands::None,
    interspersed: true,
    spellings: &["system info", "info"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let info = app.client.system().info().await?;
    let source = match line.text("format") {
        "" => None,
        "json" => Some("{{json .}}"),
        source => Some(source),
    };
    let Some(source) = source else {
        output::out(&pretty(app, &info));
        for warning in &info.warnings {
            output::err(&format!("{warning}\n"));
        }
        return Ok(0);
    };
    let template = Template::parse(source)
        .map_err(|error| Failure::with_status(format!("template parsing error: {error}"), 64))?;
    let mut data = serde_json::to_value(&info).map_err(|error| Failure::new(error.to_string()))?;
    if let Some(object) = data.as_object_mut() {
        object.insert(
            "ClientInfo".into(),
            json!({
                "Debug": app.debug,
                "Version": env!("CARGO_PKG_VERSION"),
                "Context": app.context,
                "Plugins": [],
                "Warnings": null,
            }),
        );
    }
    let text = template.execute(&Data::of(&data, &INFO), Missing::Field("system.dockerInfo"));
    // The line is ended, whatever became of it.
    output::out(&format!("{}\n", text.as_deref().unwrap_or_default()));
    text.map(|_| 0).map_err(|error| Failure::new(error.to_string()))
}

/// What templates may ask for by Go's names, and what JSON leaves out.
const INFO: Shape = Struct(&[
    ("DriverStatus", List(&Any)),
    ("SystemStatus", List(&Any)),
    ("Plugins", PLUGINS),
    ("RegistryConfig", Pointer(&REGISTRIES)),
    ("CPUCfsPeriod", Bool),
    ("CPUCfsQuota", Bool),
    ("CgroupVersion", Text),
    ("GenericResources", List(&Any)),
    ("HTTPProxy", Text),
    ("HTTPSProxy", Text),
    ("NoProxy", Text),
    ("Labels", List(&Text)),
    ("Runtimes", Map(&RUNTIME)),
    ("Swarm", SWARM),
    ("Isolation", Text),
    ("ContainerdCommit", COMMIT),
    ("RuncCommit", COMMIT),
    ("InitCommit", COMMIT),
    ("SecurityOptions", List(&Text)),
    ("ProductLicense", Text),
    ("DefaultAddressPools", List(&Any)),
    ("FirewallBackend", Pointer(&FIREWALL)),
    ("CDISpecDirs", List(&Text)),
    ("DiscoveredDevices", List(&Any)),
    ("NRI", Pointer(&Any)),
    ("Containerd", Pointer(&Any)),
    ("Warnings", List(&Text)),
    ("ServerErrors", List(&Text)),
    ("UserName", Text),
    ("ClientErrors", List(&Text)),
]);

const PLUGINS: Shape = Struct(&[
    ("Volume", List(&Text)),
    ("Network", List(&Text)),
    ("Authorization", List(&Text)),
    ("Log", List(&Text)),
]);

const REGISTRIES: Shape =
    Struct(&[("InsecureRegistryCIDRs", List(&Any)), ("IndexConfigs", Map(&Any)), ("Mirrors", List(&Text))]);

const RUNTIME: Shape = Struct(&[("Path", Text), ("Args", Called("runtimeArgs", &List(&Text)))]);

const FIREWALL: Shape = Struct(&[("Driver", Text), ("Info", List(&List(&Text)))]);

const COMMIT: Shape = Struct(&[("ID", Text)]);

const SWARM: Shape = Struct(&[
    ("NodeID", Text),
    ("NodeAddr", Text),
    ("LocalNodeState", Text),
    ("ControlAvailable", Bool),
    ("Error", Text),
    ("RemoteManagers", List(&Any)),
    ("Nodes", Number),
    ("Managers", Number),
    ("Cluster", Pointer(&Any)),
    ("Warnings", List(&Text)),
]);

/// Lines of a page; writing into a text cannot fail.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, label: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{label} {value}");
    }

    fn line_if(&mut self, label: &str, value: &str) {
        if !value.is_empty() {
            self.line(label, value);
        }
    }

    fn text(&mut self, text: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{text}");
    }
}

fn pretty(app: &App, info: &SystemInfo) -> String {
    let mut page = Page::default();
    page.text("Client:");
    page.line(" Version:   ", env!("CARGO_PKG_VERSION"));
    page.line(" Context:   ", &app.context);
    page.line(" Debug Mode:", app.debug);
    page.text("\nServer:");
    page.line(" Containers:", info.containers);
    page.line("  Running:", info.containers_running);
    page.line("  Paused:", info.containers_paused);
    page.line("  Stopped:", info.containers_stopped);
    page.line(" Images:", info.images);
    page.line_if(" Server Version:", &info.server_version);
    page.line_if(" Storage Driver:", &info.driver);
    for [key, value] in &info.driver_status {
        page.text(format!("  {key}: {value}"));
    }
    page.line_if(" Logging Driver:", &info.logging_driver);
    page.line_if(" Cgroup Driver:", &info.cgroup_driver);
    page.line_if(" Cgroup Version:", &info.cgroup_version);
    page.text(" Plugins:");
    page.line("  Volume:", info.plugins.volume.join(" "));
    page.line("  Network:", info.plugins.network.join(" "));
    if !info.plugins.authorization.is_empty() {
        page.line("  Authorization:", info.plugins.authorization.join(" "));
    }
    page.line("  Log:", info.plugins.log.join(" "));
    if !info.cdi_spec_dirs.is_empty() {
        page.text(" CDI spec directories:");
        info.cdi_spec_dirs.iter().for_each(|directory| page.text(format!("  {directory}")));
    }
    page.line(" Swarm:", &info.swarm.local_node_state);
    if !info.runtimes.is_empty() {
        page.line(" Runtimes:", info.runtimes.keys().cloned().collect::<Vec<_>>().join(" "));
        page.line(" Default Runtime:", &info.default_runtime);
    }
    page.line(" Init Binary:", &info.init_binary);
    page.line(" containerd version:", &info.containerd_commit.id);
    page.line(" runc version:", &info.runc_commit.id);
    page.line(" init version:", &info.init_commit.id);
    if !info.security_options.is_empty() {
        page.text(" Security Options:");
        info.security_options.iter().for_each(|option| security_option(&mut page, option));
    }
    page.line_if(" Kernel Version:", &info.kernel_version);
    page.line_if(" Operating System:", &info.operating_system);
    page.line_if(" OSType:", &info.os_type);
    page.line_if(" Architecture:", &info.architecture);
    page.line(" CPUs:", info.n_cpu);
    page.line(" Total Memory:", binary_size(info.mem_total as f64));
    page.line_if(" Name:", &info.name);
    page.line_if(" ID:", &info.id);
    page.line(" Docker Root Dir:", &info.docker_root_dir);
    page.line(" Debug Mode:", info.debug);
    if info.debug || app.debug {
        page.line("  File Descriptors:", info.n_fd);
        page.line("  Goroutines:", info.n_goroutines);
        page.line("  System Time:", &info.system_time);
        page.line("  EventsListeners:", info.n_events_listener);
    }
    page.line_if(" HTTP Proxy:", &info.http_proxy);
    page.line_if(" HTTPS Proxy:", &info.https_proxy);
    page.line_if(" No Proxy:", &info.no_proxy);
    if !info.labels.is_empty() {
        page.text(" Labels:");
        info.labels.iter().for_each(|label| page.text(format!("  {label}")));
    }
    page.line(" Experimental:", info.experimental_build);
    if let Some(registries) = &info.registry_config {
        let insecure =
            registries.index_configs.values().filter(|index| !index.secure).map(|index| &index.name);
        let lines: Vec<&String> = insecure.chain(&registries.insecure_registry_cidrs).collect();
        if !lines.is_empty() {
            page.text(" Insecure Registries:");
            lines.into_iter().for_each(|line| page.text(format!("  {line}")));
        }
        if !registries.mirrors.is_empty() {
            page.text(" Registry Mirrors:");
            registries.mirrors.iter().for_each(|mirror| page.text(format!("  {mirror}")));
        }
    }
    page.line(" Live Restore Enabled:", info.live_restore_enabled);
    page.line_if(" Product License:", &info.product_license);
    if !info.default_address_pools.is_empty() {
        page.text(" Default Address Pools:");
        for pool in &info.default_address_pools {
            page.text(format!("   Base: {}, Size: {}", pool.base, pool.size));
        }
    }
    if let Some(firewall) = &info.firewall_backend {
        page.line(" Firewall Backend:", &firewall.driver);
        firewall.info.iter().for_each(|[key, value]| page.text(format!("  {key}: {value}")));
    }
    page.text("");
    page.0
}

/// `name=seccomp,profile=builtin` as two lines.
fn security_option(page: &mut Page, option: &str) {
    let mut fields = option.split(',');
    let name = fields.next().unwrap_or_default();
    page.text(format!("  {}", name.strip_prefix("name=").unwrap_or(name)));
    for profile in fields.filter_map(|field| field.strip_prefix("profile=")) {
        page.text(format!("   Profile: {profile}"));
    }
}
