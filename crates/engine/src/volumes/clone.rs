//! A new volume with what another has. Files share their blocks where the file system can, until one of the two is
//! changed. The source may be in use; what is written meanwhile is in the copy or not. A limit of the source's is the copy's, too.

use std::path::Path;
use std::sync::Arc;

use super::held::Held;
use super::make::{Filling, For, Wanted, make};
use super::{ANONYMOUS, Volume};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::quota;

/// `new` empty: a name is made up.
pub(super) async fn run(core: &Arc<Core>, source: &str, new: &str) -> Result<Arc<Volume>> {
    let doing = format!("clone {source}");
    let held = Held::take(core, source, "a clone")?;
    let data = held.data().map_err(|error| error.context(&doing))?;
    let anonymous = new.is_empty();
    let mut labels = held.volume.labels.clone();
    labels.remove(ANONYMOUS);
    let name = if anonymous { core.ports.ids.id() } else { new.to_owned() };
    let options = quota::kept(&held.volume.options);
    let wanted = Wanted { name, labels, options, anonymous, ..Wanted::default() };
    let copy = move |begun: &Path| {
        archive::copy_tree(&data, begun).map_err(|error| Error::internal(error.to_string()))
    };
    let filling = Filling::new(copy);
    let (made, is_new) = make(core, &wanted, For::Client { filling: Some(&filling) }).await?;
    match is_new {
        true => Ok(made),
        false => Err(Error::conflict(format!("{doing}: volume name {new} is already in use"))),
    }
}
