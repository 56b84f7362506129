//! Boot: execs that an earlier engine started. Their monitors have them; whoever waits for one of them asks this engine
//! how it ended.

use std::sync::Arc;

use super::registry::Exec;
use super::service::{event, follow, forget_later};
use super::{ExecSpec, note};
use crate::container::Container;
use crate::core::Core;
use crate::ports::Reconnected;

/// All of a running container.
pub(crate) async fn adopt(core: &Arc<Core>, container: &Arc<Container>) {
    for (process, noted) in core.ports.runtime.execs(&container.id).await {
        let id = process.exec.clone().unwrap_or_default();
        // Without one nobody was told its id: a health check, or one whose engine died in its start.
        let view = noted.and_then(|noted| note::read(&container.id, &id, &noted));
        let known = view.is_some();
        if let Some(view) = view {
            core.execs.insert(Exec { view, spec: ExecSpec::default(), taken: true });
        }
        match core.ports.runtime.reconnect(&process).await {
            Reconnected::Running { started, .. } => {
                core.execs.started(&id, started.pid);
                follow(core, container, id, started);
            }
            Reconnected::Exited(exit) => {
                if known {
                    core.execs.ended(&id, exit.code, exit.error);
                    event(core, container, "exec_die".to_owned(), &id, Some(exit.code));
                    forget_later(core.clone(), id);
                }
                core.ports.runtime.forget(&process).await;
            }
            Reconnected::Gone => {
                core.execs.forget(&id);
                core.ports.runtime.forget(&process).await;
            }
        }
    }
}
