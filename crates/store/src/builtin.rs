//! `hello-world`, made from the running binary, so that it runs without any network.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::sync::Arc;

use archive::{FileEntry, TarWriter};
use oci::{ContainerConfig, Reference};

use crate::error::Result;
use crate::images::{Image, Images, ImportOptions};

/// The repository for which the image is made.
pub const HELLO_WORLD: &str = "hello-world";

/// Is it the name of a built-in image?
pub fn is_builtin(reference: &Reference) -> bool {
    reference.familiar_name() == HELLO_WORLD
        && reference.digest().is_none()
        && reference.tag().unwrap_or(oci::DEFAULT_TAG) == oci::DEFAULT_TAG
}

/// Makes `hello-world:latest` from an executable: one layer with `/hello`, and nothing else.
/// The same binary gives the same image.
pub fn hello_world(images: &Images, mut executable: File) -> Result<Arc<Image>> {
    executable.rewind()?;
    let size = executable.metadata()?.len();
    let (reader, writer) = std::io::pipe()?;
    let options = ImportOptions {
        reference: Some(Reference::parse(HELLO_WORLD)?.or_latest()),
        created: Some("1970-01-01T00:00:00Z".into()),
        message: Some("Built into Wharf".into()),
        config: ContainerConfig {
            cmd: Some(vec!["/hello".into()]),
            env: Some(vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()]),
            working_dir: Some("/".into()),
            ..ContainerConfig::default()
        },
        ..ImportOptions::default()
    };
    std::thread::scope(|scope| {
        let packing = scope.spawn(move || -> std::result::Result<(), archive::Error> {
            let mut tar = TarWriter::new(std::io::BufWriter::with_capacity(256 << 10, writer));
            tar.append(&FileEntry::file("hello", 0o755, size), executable.take(size))?;
            tar.finish()?.flush()?;
            Ok(())
        });
        let imported = images.import(reader, &options);
        let packed = packing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // If the import failed, the packing only saw its pipe closed.
        let image = imported?;
        packed?;
        Ok(image)
    })
}
