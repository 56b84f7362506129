//! A new volume with what another has. Files share their blocks where the file system can, until one of the two is
//! changed. The source may be in use; what is written meanwhile is in the copy or not.

use std::sync::Arc;

use super::local::{self, Data};
use super::make::{For, Wanted, make};
use super::remove::no_such_volume;
use super::{ANONYMOUS, Volume};
use crate::core::Core;
use crate::error::{Error, Result};

/// Keeps the source there, however the copying ends.
struct Held<'a> {
    core: &'a Core,
    name: &'a str,
    holder: String,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.core.volumes.release(self.name, &self.holder);
    }
}

/// `new` empty: a name is made up.
pub(super) async fn run(core: &Arc<Core>, source: &str, new: &str) -> Result<Arc<Volume>> {
    let doing = format!("clone {source}");
    let holder = format!("a clone, {}", core.ports.ids.id());
    let volume = core.volumes.hold(source, &holder).ok_or_else(|| no_such_volume(source))?;
    let _held = Held { core, name: source, holder };
    let Data::Directory(data, _) = local::data(&volume) else {
        return Err(Error::unsupported(format!(
            "{doing}: its data is on a file system that is mounted with containers only"
        )));
    };
    local::check_directory(&volume, &data)?;
    let anonymous = new.is_empty();
    let mut labels = volume.labels.clone();
    labels.remove(ANONYMOUS);
    let name = if anonymous { core.ports.ids.id() } else { new.to_owned() };
    let wanted = Wanted { name, labels, anonymous, ..Wanted::default() };
    let (made, is_new) = make(core, &wanted, For::Client { copy_of: Some(&data) }).await?;
    match is_new {
        true => Ok(made),
        false => Err(Error::conflict(format!("{doing}: volume name {new} is already in use"))),
    }
}
