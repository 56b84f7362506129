//! What an exec's process is: the container's own settings under what was asked for.

use std::sync::Arc;

use oci::runtime as rt;

use super::registry::Exec;
use crate::container::{Container, links, merge, oci_spec};
use crate::core::Core;
use crate::error::Result;
use crate::ports::{ExecRequest, ProcessRef, Stdio};

/// Without a client and without a time limit, which are the caller's to add.
pub(super) fn build(
    core: &Core,
    container: &Arc<Container>,
    exec: &Exec,
    stdio: Stdio,
) -> Result<ExecRequest> {
    let spec = &exec.spec;
    let settings = core.settings();
    let record_spec = &container.spec;
    let user = if spec.user.is_empty() { &record_spec.user } else { &spec.user };
    let host = &record_spec.host;
    let security = oci_spec::security_options(host)?;
    let mut privileges = host.clone();
    privileges.privileged |= spec.privileged;
    let capabilities = oci_spec::capabilities(&privileges)?;
    let seccomp = match oci_spec::seccomp_choice(&settings, &privileges, &security) {
        oci_spec::Seccomp::Unconfined => None,
        oci_spec::Seccomp::Profile(profile) => Some(core.seccomp_filter(profile.as_deref(), &capabilities)?),
    };
    let linked = links::follow_running(core, &core.index.links_of(&container.id));
    let mut own = oci_spec::base_environment(&record_spec.hostname, stdio.tty);
    own.extend(linked.iter().flat_map(|link| link.environment(&container.name)));
    let env = merge::merge_env(&own, &record_spec.env);
    let process = rt::Process {
        terminal: stdio.tty,
        console_size: stdio.console_size.map(|(height, width)| rt::ConsoleSize { height, width }),
        user: oci_spec::numeric_user(user),
        args: spec.cmd.clone(),
        env: merge::merge_env(&env, &spec.env),
        cwd: match (spec.working_dir.as_str(), record_spec.working_dir.as_str()) {
            ("", "") => "/".into(),
            ("", own) => own.into(),
            (said, _) => said.into(),
        },
        capabilities: Some(rt::Capabilities {
            bounding: capabilities.clone(),
            effective: capabilities.clone(),
            permitted: capabilities,
            ..rt::Capabilities::default()
        }),
        rlimits: oci_spec::rlimits(&settings, host)?,
        no_new_privileges: security.no_new_privileges.unwrap_or(settings.no_new_privileges),
        apparmor_profile: security.apparmor.unwrap_or_default(),
        oom_score_adj: Some(host.oom_score_adj),
        ..rt::Process::default()
    };
    Ok(ExecRequest {
        process: ProcessRef::exec(container.id.clone(), exec.view.id.clone()),
        pid: container.state.pid,
        spec: Box::new(process),
        seccomp,
        stdio,
        user: Some(user.clone()).filter(|user| !user.is_empty()),
        additional_groups: host.group_add.clone(),
        cgroup_path: oci_spec::cgroup_path(&settings, host, &container.id),
        attachment: None,
        time_limit: None,
    })
}
