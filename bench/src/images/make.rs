//! The images that are moved: layers of this machine's own files, compressed, as images of distributions have them. There is
//! one for each round, with layers of its own, so that nothing has to be removed in between: what a file system has to do for
//! files in place of others that were just deleted would be in the figures, and most for who is fastest.

use std::fs;
use std::io::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::measure::time;

/// One layer each: small files and large ones.
const LAYERS: &[&str] =
    &["/usr/sbin", "/usr/lib/python3", "/usr/lib/python3.11", "/usr/share/doc", "/usr/share/perl"];
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A tar, and the same compressed.
struct Layer {
    plain: PathBuf,
    packed: PathBuf,
}

/// What all images are made of.
pub(crate) struct Parts {
    dir: PathBuf,
    layers: Vec<Layer>,
}

struct Blob {
    file: PathBuf,
    digest: String,
}

impl Blob {
    fn hex(&self) -> &str {
        self.digest.trim_start_matches("sha256:")
    }

    fn size(&self) -> Result<u64, Error> {
        Ok(fs::metadata(&self.file)?.len())
    }
}

/// One image, as files.
pub(crate) struct Image {
    manifest: Blob,
    config: Blob,
    layers: Vec<Blob>,
}

impl Parts {
    /// `busybox`: a tar of the root file system below the layers.
    pub(crate) fn make(dir: &Path, busybox: &Path) -> Result<Parts, Error> {
        fs::create_dir_all(dir)?;
        let mut layers = vec![Layer { plain: busybox.to_owned(), packed: dir.join("busybox.tar.gz") }];
        for source in LAYERS.iter().filter(|source| Path::new(source).exists()) {
            let source = source.trim_start_matches('/');
            let name = source.replace('/', "-");
            let plain = dir.join(format!("{name}.tar"));
            run("tar", &["-C", "/", "-cf", &plain.display().to_string(), source])?;
            layers.push(Layer { plain, packed: dir.join(format!("{name}.tar.gz")) });
        }
        for layer in &layers {
            shell(&format!("gzip -nc < {} > {}", layer.plain.display(), layer.packed.display()))?;
        }
        Ok(Parts { dir: dir.to_owned(), layers })
    }

    /// The layers as tars; compressed.
    pub(crate) fn files(&self) -> (Vec<String>, Vec<String>) {
        let path = |path: &PathBuf| path.display().to_string();
        let plain = self.layers.iter().map(|layer| path(&layer.plain)).collect();
        (plain, self.layers.iter().map(|layer| path(&layer.packed)).collect())
    }

    /// All of it as one uncompressed tar, which no other word gives.
    pub(crate) fn root(&self, word: &str, target: &Path) -> Result<(), Error> {
        let mark = self.mark(word)?;
        let (plain, _) = self.files();
        // Without the end marks between them.
        shell(&format!(
            "cp {mark} {target} && for tar in {}; do tar -Af {target} $tar; done",
            plain.join(" "),
            mark = mark.display(),
            target = target.display()
        ))
    }

    /// The image of a word: its layers begin with a file that says it.
    pub(crate) fn image(&self, word: &str) -> Result<Image, Error> {
        let mark = self.mark(word)?;
        // Two members of gzip are one stream, and a tar goes on behind an entry.
        let begin = self.dir.join(format!("{word}.begin"));
        shell(&format!("head -c 1024 {} > {}", mark.display(), begin.display()))?;
        let packed_begin = self.dir.join(format!("{word}.begin.gz"));
        shell(&format!("gzip -nc < {} > {}", begin.display(), packed_begin.display()))?;
        let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
        for (number, layer) in self.layers.iter().enumerate() {
            let file = self.dir.join(format!("{word}-{number}"));
            let of = |first: &Path, second: &Path| format!("cat {} {}", first.display(), second.display());
            shell(&format!("{} > {}", of(&packed_begin, &layer.packed), file.display()))?;
            diff_ids.push(digest(&of(&begin, &layer.plain))?);
            let digest = digest(&format!("cat {}", file.display()))?;
            layers.push(Blob { file, digest });
        }
        let config = json!({ "architecture": architecture(), "os": "linux", "config": { "Cmd": ["true"], "Env": ["PATH=/bin"] },
            "rootfs": { "type": "layers", "diff_ids": diff_ids } });
        let config = self.document(&format!("{word}.config"), &config)?;
        let described = |kind: &str, blob: &Blob| {
            Ok::<_, Error>(json!({ "mediaType": kind, "digest": blob.digest, "size": blob.size()? }))
        };
        let kind = "application/vnd.oci.image.layer.v1.tar+gzip";
        let of_layers = layers.iter().map(|layer| described(kind, layer)).collect::<Result<Vec<_>, _>>()?;
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST,
            "config": described("application/vnd.oci.image.config.v1+json", &config)?, "layers": of_layers });
        let manifest = self.document(&format!("{word}.manifest"), &manifest)?;
        Ok(Image { manifest, config, layers })
    }

    fn document(&self, name: &str, document: &serde_json::Value) -> Result<Blob, Error> {
        let file = self.dir.join(name);
        fs::write(&file, document.to_string())?;
        let digest = digest(&format!("cat {}", file.display()))?;
        Ok(Blob { file, digest })
    }

    /// A tar of one file, whose name is the word.
    fn mark(&self, word: &str) -> Result<PathBuf, Error> {
        let name = format!("round-{word}");
        fs::write(self.dir.join(&name), word)?;
        let tar = self.dir.join(format!("{name}.tar"));
        run("tar", &["-C", &self.dir.display().to_string(), "-cf", &tar.display().to_string(), &name])?;
        Ok(tar)
    }
}

impl Image {
    /// Into the directory of a registry, in the layout that Docker's and ours have.
    pub(crate) fn serve(&self, root: &Path, repository: &str, tag: &str) -> Result<(), Error> {
        let v2 = root.join("docker/registry/v2");
        let mine = v2.join("repositories").join(repository);
        let link = |at: PathBuf, blob: &Blob| {
            fs::create_dir_all(&at)?;
            fs::write(at.join("link"), &blob.digest)
        };
        for blob in self.layers.iter().chain([&self.config, &self.manifest]) {
            let place = v2.join("blobs/sha256").join(&blob.hex()[..2]).join(blob.hex());
            fs::create_dir_all(&place)?;
            let data = place.join("data");
            if !data.exists() {
                fs::hard_link(&blob.file, data)?;
            }
        }
        for blob in self.layers.iter().chain([&self.config]) {
            link(mine.join("_layers/sha256").join(blob.hex()), blob)?;
        }
        let manifests = mine.join("_manifests");
        link(manifests.join("revisions/sha256").join(self.manifest.hex()), &self.manifest)?;
        let tagged = manifests.join("tags").join(tag);
        link(tagged.join("index/sha256").join(self.manifest.hex()), &self.manifest)?;
        link(tagged.join("current"), &self.manifest)
    }

    /// As an archive that every `load` takes.
    pub(crate) fn archive(&self, name: &str, target: &Path) -> Result<(), Error> {
        let dir = target.with_extension("d");
        fs::create_dir_all(&dir)?;
        let mut files = Vec::new();
        for blob in self.layers.iter().chain([&self.config]) {
            fs::hard_link(&blob.file, dir.join(blob.hex()))?;
            files.push(blob.hex().to_owned());
        }
        let (layers, config) = files.split_at(self.layers.len());
        let manifest = json!([{ "Config": config[0], "RepoTags": [name], "Layers": layers }]);
        fs::write(dir.join("manifest.json"), manifest.to_string())?;
        let (dir_text, target) = (dir.display().to_string(), target.display().to_string());
        let mut words = vec!["-C", &dir_text, "-cf", &target, "manifest.json"];
        words.extend(files.iter().map(String::as_str));
        run("tar", &words)?;
        fs::remove_dir_all(dir)
    }
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn run(program: &str, args: &[&str]) -> Result<(), Error> {
    let line: Vec<String> = std::iter::once(&program).chain(args).map(|word| (*word).to_owned()).collect();
    time(&line).map(drop)
}

pub(crate) fn shell(line: &str) -> Result<(), Error> {
    run("bash", &["-o", "pipefail", "-ec", line])
}

/// Of what a command prints, by sha256sum(1).
fn digest(command: &str) -> Result<String, Error> {
    let mut child = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let stdin = child.stdin.take().ok_or_else(|| Error::other("sha256sum has no input"))?;
    let fed = Command::new("bash").args(["-ec", command]).stdout(stdin).status()?;
    let output = child.wait_with_output()?;
    if !fed.success() {
        return Err(Error::other(format!("{command}: {fed}")));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let hex = text.split_whitespace().next().ok_or_else(|| Error::other("sha256sum says nothing"))?;
    Ok(format!("sha256:{hex}"))
}
