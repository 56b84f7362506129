//! A new volume with what an archive has. It is there when all of it is in place.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use archive::{Decoder, Extractor, Mode};

use super::arriving::Arriving;
use super::make::{Filling, For, Wanted, make};
use super::{CreateRequest, Volume};
use crate::core::Core;
use crate::error::{Error, Result};

pub(super) async fn run(
    core: &Arc<Core>,
    request: CreateRequest,
    from: Box<dyn Read + Send>,
) -> Result<Arc<Volume>> {
    filled(core, request, move |begun| unpack(from, begun)).await
}

/// The same of what comes with a digest: it must be all of it.
pub(super) async fn run_checked(
    core: &Arc<Core>,
    request: CreateRequest,
    from: Arriving,
) -> Result<Arc<Volume>> {
    let whole = from.clone();
    filled(core, request, move |begun| {
        unpack(Box::new(from), begun)?;
        whole.finish()
    })
    .await
}

async fn filled(
    core: &Arc<Core>,
    request: CreateRequest,
    fill: impl FnOnce(&Path) -> Result<()> + Send + 'static,
) -> Result<Arc<Volume>> {
    let anonymous = request.name.is_empty();
    let name = if anonymous { core.ports.ids.id() } else { request.name.clone() };
    let doing = format!("import {name}");
    if core.volumes.get(&name).is_some() {
        return Err(taken(&doing, &name));
    }
    // An archive is unpacked into a directory of ours.
    if let Some(other) = request.options.keys().find(|key| *key != "size") {
        return Err(Error::invalid(format!(
            "{doing}: option {other:?}: only a size can be given to an import"
        )));
    }
    let filling = Filling::new(fill);
    let CreateRequest { labels, options, .. } = request;
    let wanted = Wanted { name: name.clone(), labels, options, anonymous, ..Wanted::default() };
    match make(core, &wanted, For::Client { filling: Some(&filling) }).await {
        Ok((made, true)) => Ok(made),
        Ok((_, false)) => Err(taken(&doing, &name)),
        Err(error) => Err(error.context(doing)),
    }
}

fn taken(doing: &str, name: &str) -> Error {
    Error::conflict(format!("{doing}: volume name {name} is already in use"))
}

fn unpack(from: Box<dyn Read + Send>, to: &Path) -> Result<()> {
    let wrong = |error: archive::Error| match error.is_input() {
        true => Error::invalid(error.to_string()),
        false => Error::internal(error.to_string()),
    };
    let decoder = Decoder::new(from).map_err(wrong)?;
    Extractor::open(to, Mode::Verbatim).and_then(|to| to.extract(decoder)).map_err(wrong)?;
    Ok(())
}
