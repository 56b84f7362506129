//! Images that need no network, made from the running binary: `hello-world` and `registry`.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::sync::Arc;

use archive::{FileEntry, Kind, TarWriter};
use oci::{ContainerConfig, Reference};

use crate::error::Result;
use crate::images::{Image, Images, ImportOptions};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where version 2 of Docker's registry has its configuration. Version 3 has it in `etc/distribution`, which is a link
/// here, so that whatever is mounted at either place is what the registry reads.
const REGISTRY_CONFIG: &str = "etc/docker/registry/config.yml";
/// Says what holds without it, and where to look for more.
const REGISTRY_DEFAULTS: &str = "\
# A file of your own may be mounted over this one; REGISTRY_* variables of the environment come before it.
version: 0.1
storage:
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
";

/// An image that is in the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builtin {
    /// One program, which says that everything works.
    HelloWorld,
    /// A registry, where Docker's registry image has it, started in the same ways.
    Registry,
}

impl Builtin {
    /// Is it the name of one? By digest nothing is built in, and a version more exact than these is somebody else's.
    pub fn of(reference: &Reference) -> Option<Builtin> {
        let found = [Builtin::HelloWorld, Builtin::Registry]
            .into_iter()
            .find(|builtin| reference.familiar_name() == builtin.name())?;
        let tag = reference.tag().unwrap_or(oci::DEFAULT_TAG);
        (reference.digest().is_none() && found.tags().contains(&tag)).then_some(found)
    }

    fn name(self) -> &'static str {
        match self {
            Builtin::HelloWorld => "hello-world",
            Builtin::Registry => "registry",
        }
    }

    /// Under which it is known.
    pub fn tags(self) -> &'static [&'static str] {
        match self {
            Builtin::HelloWorld => &[oci::DEFAULT_TAG],
            Builtin::Registry => &[oci::DEFAULT_TAG, "2", "3"],
        }
    }

    /// Makes it from an executable, under this name: one layer. The same binary gives the same image.
    pub fn make(self, images: &Images, reference: Reference, mut executable: File) -> Result<Arc<Image>> {
        executable.rewind()?;
        let (reader, writer) = io::pipe()?;
        let options = ImportOptions {
            reference: Some(reference),
            created: Some("1970-01-01T00:00:00Z".into()),
            message: Some("Built into Wharf".into()),
            config: self.config(),
            ..ImportOptions::default()
        };
        std::thread::scope(|scope| {
            let packing = scope.spawn(move || {
                self.pack(executable, TarWriter::new(io::BufWriter::with_capacity(256 << 10, writer)))
            });
            let imported = images.import(reader, &options);
            let packed = packing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            // If the import failed, the packing only saw its pipe closed.
            let image = imported?;
            packed?;
            Ok(image)
        })
    }

    fn config(self) -> ContainerConfig {
        let config = ContainerConfig {
            env: Some(vec![PATH.into()]),
            working_dir: Some("/".into()),
            ..ContainerConfig::default()
        };
        let set = |name: &str| Some([(name.to_owned(), serde_json::Map::new())].into());
        match self {
            Builtin::HelloWorld => ContainerConfig { cmd: Some(vec!["/hello".into()]), ..config },
            Builtin::Registry => ContainerConfig {
                entrypoint: Some(vec!["/entrypoint.sh".into()]),
                cmd: Some(vec![format!("/{REGISTRY_CONFIG}")]),
                exposed_ports: set("5000/tcp"),
                volumes: set("/var/lib/registry"),
                ..config
            },
        }
    }

    fn pack(
        self,
        executable: File,
        mut tar: TarWriter<impl Write>,
    ) -> std::result::Result<(), archive::Error> {
        let size = executable.metadata()?.len();
        let program = executable.take(size);
        match self {
            Builtin::HelloWorld => tar.append(&FileEntry::file("hello", 0o755, size), program)?,
            Builtin::Registry => {
                for (name, mode) in [
                    ("bin", 0o755),
                    ("etc", 0o755),
                    ("etc/docker", 0o755),
                    ("etc/docker/registry", 0o755),
                    ("tmp", 0o1777),
                    ("var", 0o755),
                    ("var/lib", 0o755),
                    ("var/lib/registry", 0o755),
                ] {
                    tar.append(&FileEntry::directory(name, mode), io::empty())?;
                }
                tar.append(&FileEntry::file("bin/registry", 0o755, size), program)?;
                // Docker's is a script; whoever names it gets the same of the program itself.
                tar.append(&link("entrypoint.sh", "bin/registry"), io::empty())?;
                let defaults = REGISTRY_DEFAULTS.as_bytes();
                tar.append(&FileEntry::file(REGISTRY_CONFIG, 0o644, defaults.len() as u64), defaults)?;
                tar.append(&link("etc/distribution", "docker/registry"), io::empty())?;
            }
        }
        tar.finish()?.flush()?;
        Ok(())
    }
}

fn link(name: &str, target: &str) -> FileEntry {
    FileEntry { kind: Kind::Symlink, link: target.into(), ..FileEntry::file(name, 0o777, 0) }
}
