//! Execs.

use api::exec::{ExecCreateRequest, ExecInspectResponse, ExecProcessConfig, ExecStartRequest};
use api::go::base64;
use engine::execs::{self, ExecSpec, ExecView};

pub(crate) fn spec(request: ExecCreateRequest) -> ExecSpec {
    ExecSpec {
        attach_stdin: request.attach_stdin,
        attach_stdout: request.attach_stdout,
        attach_stderr: request.attach_stderr,
        tty: request.tty,
        console_size: request.console_size.map(console_size),
        detach_keys: (!request.detach_keys.is_empty()).then_some(request.detach_keys),
        env: request.env,
        cmd: request.cmd,
        privileged: request.privileged,
        user: request.user,
        working_dir: request.working_dir,
    }
}

pub(crate) fn start(request: ExecStartRequest) -> execs::ExecStartRequest {
    execs::ExecStartRequest {
        detach: request.detach,
        tty: request.tty,
        console_size: request.console_size.map(console_size),
    }
}

/// Rows, columns; the kernel has 16 bits for each.
pub(crate) fn console_size([rows, columns]: [u32; 2]) -> (u16, u16) {
    let clamp = |n: u32| n.min(u16::MAX.into()) as u16;
    (clamp(rows), clamp(columns))
}

pub(crate) fn inspect(view: ExecView) -> ExecInspectResponse {
    ExecInspectResponse {
        id: view.id,
        running: view.running,
        exit_code: view.exit_code.map(i64::from),
        error: view.error,
        process_config: Some(ExecProcessConfig {
            tty: view.tty,
            entrypoint: view.entrypoint,
            arguments: view.arguments,
            privileged: Some(view.privileged),
            user: view.user,
        }),
        open_stdin: view.open_stdin,
        open_stderr: view.open_stderr,
        open_stdout: view.open_stdout,
        can_remove: view.can_remove,
        container_id: view.container_id,
        detach_keys: base64(view.detach_keys.as_bytes()),
        pid: view.pid.into(),
    }
}
