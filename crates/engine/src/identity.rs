//! The engine's id: that of its data root.

use crate::core::Core;
use crate::layout;
use crate::ports::Ids;

/// Made once per data root, as Docker's is.
pub(crate) fn engine_id(core: &Core) -> String {
    kept_engine_id(&core.settings().data_root, &*core.ports.ids)
}

/// The engine's id, made if there is none yet.
pub fn kept_engine_id(data_root: &std::path::Path, ids: &dyn Ids) -> String {
    let path = layout::engine_id(data_root);
    if let Ok(id) = std::fs::read_to_string(&path) {
        return id.trim().to_owned();
    }
    let hex = ids.id();
    let group = |at: usize, length: usize| hex[at..at + length].to_owned();
    let id = [group(0, 8), group(8, 4), group(12, 4), group(16, 4), group(20, 12)].join("-");
    let kept = std::fs::create_dir_all(data_root).and_then(|()| std::fs::write(&path, &id));
    if let Err(error) = kept {
        tracing::warn!(path = %path.display(), %error, "could not keep the engine's id");
    }
    id
}
