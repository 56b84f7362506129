//! Registries behind TLS, in a network namespace of the test's own: an address that is not loopback's, whose certificates must
//! be good. The certificates are made with openssl(1).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use distribution::{Access, Client, Credentials, Result, Settings};
use oci::{Digest, Reference};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

const ADDRESS: &str = "10.9.9.9";
const MANIFEST: &[u8] = b"{\"schemaVersion\":2}";

fn run(directory: &Path, line: &str) {
    let output = Command::new("sh").args(["-ec", line]).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
}

/// `ca.crt`, `server.crt` and `client.crt`, each with its `.key`.
fn certificates(directory: &Path) {
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    run(
        directory,
        &format!("openssl req -x509 {new} -days 3650 -subj /CN=authority -keyout ca.key -out ca.crt"),
    );
    for (name, extensions) in [
        ("server", format!("subjectAltName=IP:{ADDRESS}")),
        ("client", "subjectAltName=DNS:client\nextendedKeyUsage=clientAuth".to_owned()),
    ] {
        std::fs::write(directory.join("extensions"), extensions).unwrap();
        run(
            directory,
            &format!(
                "openssl req {new} -subj /CN={name} -keyout {name}.key -out {name}.csr; openssl x509 -req -in {name}.csr -CA \
                 ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile extensions -out {name}.crt"
            ),
        );
    }
}

/// Requests so far: path, and `X-Custom`.
type Log = Arc<Mutex<Vec<(String, String)>>>;

fn answer(stream: impl Read + Write, log: &Log) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut first, mut custom) = (String::new(), String::new());
        if stream.read_line(&mut first)? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            match line.trim().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("x-custom") => value.clone_into(&mut custom),
                Some(_) => {}
                None => break,
            }
        }
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        log.lock().unwrap().push((path, custom));
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", MANIFEST.len());
        stream.get_mut().write_all(head.as_bytes())?;
        stream.get_mut().write_all(MANIFEST)?;
        stream.get_mut().flush()?;
    }
}

/// One that wants a certificate of the authority from its clients.
fn server(directory: &Path) -> (u16, Log) {
    let pem = |name: &str| std::fs::read(directory.join(name)).unwrap();
    let chain =
        |name: &str| CertificateDer::pem_slice_iter(&pem(name)).map(std::result::Result::unwrap).collect();
    let authority: Vec<CertificateDer<'static>> = chain("ca.crt");
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(authority);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain("server.crt"), PrivateKeyDer::from_pem_slice(&pem("server.key")).unwrap())
        .unwrap();
    let config = Arc::new(config);
    listen(move |socket, log| {
        let connection = ServerConnection::new(config.clone()).unwrap();
        let _ = answer(StreamOwned::new(connection, socket), log);
    })
}

fn listen(serve: impl Fn(TcpStream, &Log) + Send + Sync + 'static) -> (u16, Log) {
    let listener = TcpListener::bind((ADDRESS, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let log = Log::default();
    let (all, serve) = (log.clone(), Arc::new(serve));
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let (log, serve) = (all.clone(), serve.clone());
            std::thread::spawn(move || serve(socket, &log));
        }
    });
    (port, log)
}

struct Scene {
    directory: tempfile::TempDir,
    settings: Settings,
}

impl Scene {
    /// Runs the test of this name in a network namespace with an address of its own: in another process, as root.
    fn run(name: &str, test: impl FnOnce(&mut Scene)) {
        const INSIDE: &str = "WHARF_TEST_INSIDE";
        if std::env::var_os(INSIDE).is_none() {
            let again = std::env::current_exe().unwrap();
            let mut command = Command::new("unshare");
            command.arg("-n").arg(again).args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
            let output = command.output().expect("run unshare(1)");
            let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
            assert!(output.status.success() && said[0].contains("1 passed"), "{}{}", said[0], said[1]);
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        run(directory.path(), &format!("ip link set lo up; ip addr add {ADDRESS}/32 dev lo"));
        certificates(directory.path());
        let settings = Settings { certificates: directory.path().join("certs.d"), ..Settings::default() };
        test(&mut Scene { directory, settings });
    }

    /// A file below `certs.d`.
    fn put(&self, domain: &str, name: &str, content: &[u8]) {
        let place = self.settings.certificates.join(domain);
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join(name), content).unwrap();
    }

    fn pem(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn manifest(&self, domain: &str, what: &str) -> Result<()> {
        let reference = Reference::parse(&format!("{domain}/app")).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = Client::new(self.settings.clone());
        let repository = client.repository(&reference, &Credentials::default(), Access::Pull)?;
        runtime.block_on(repository.manifest(what)).map(drop)
    }

    #[track_caller]
    fn fails(&self, domain: &str, why: &str) {
        let error = self.manifest(domain, "1").unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn certificates_of_a_host_are_taken_from_its_directory() {
    Scene::run("certificates_of_a_host_are_taken_from_its_directory", |scene| {
        let (port, log) = server(scene.directory.path());
        let domain = format!("{ADDRESS}:{port}");
        scene.fails(
            &domain,
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        );
        scene.put(&domain, "ca.crt", &scene.pem("ca.crt"));
        // Nor do we say who we are.
        scene.fails(&domain, "remote error: tls: certificate required");
        scene.put(&domain, "own.cert", &scene.pem("client.crt"));
        scene.fails(&domain, "missing key own.key for client certificate own.cert");
        scene.put(&domain, "own.key", &scene.pem("client.key"));
        scene.manifest(&domain, "1").unwrap();
        assert_eq!(log.lock().unwrap().last().unwrap().0, "/v2/app/manifests/1");

        // Whoever is believed without a good certificate still wants to know who we are.
        std::fs::remove_file(scene.settings.certificates.join(&domain).join("ca.crt")).unwrap();
        scene.settings.insecure = vec!["10.9.9.0/24".into()];
        scene.manifest(&domain, "1").unwrap();
    });
}

#[test]
fn only_insecure_registries_may_speak_http() {
    Scene::run("only_insecure_registries_may_speak_http", |scene| {
        let (port, log) = listen(|socket, log| drop(answer(socket, log)));
        let domain = format!("{ADDRESS}:{port}");
        let error = scene.manifest(&domain, "1").unwrap_err().to_string();
        assert!(error.starts_with(&format!("Get \"https://{domain}/v2/\": ")), "{error}");
        let asked =
            |log: &Log| log.lock().unwrap().iter().filter(|(path, _)| path.starts_with("/v2/app")).count();
        assert_eq!(asked(&log), 0);
        scene.settings.insecure = vec![domain.clone()];
        scene.manifest(&domain, "1").unwrap();
        assert_eq!(asked(&log), 1);
    });
}

#[test]
fn hosts_of_a_file_are_asked_for_what_they_are_good_for() {
    Scene::run("hosts_of_a_file_are_asked_for_what_they_are_good_for", |scene| {
        let (mirror, mirrored) = server(scene.directory.path());
        let (origin, asked) = server(scene.directory.path());
        let (key, client) = (scene.path("client.key"), scene.path("client.crt"));
        let face = format!("client = [[\"{}\", \"{}\"]]", client.display(), key.display());
        let file = format!(
            "server = \"https://{ADDRESS}:{origin}\"\nca = \"ca.crt\"\n{face}\n[host.\"https://{ADDRESS}:{mirror}/api/hub\"]\n\
             capabilities = [\"pull\"]\noverride_path = true\nskip_verify = true\n{face}\n[host.\"https://{ADDRESS}:{mirror}\
             /api/hub\".header]\nX-Custom = \"yes\"\n"
        );
        scene.put("reg.example", "ca.crt", &scene.pem("ca.crt"));
        scene.put("reg.example", "hosts.toml", file.as_bytes());
        // What a tag is, the mirror may not say.
        scene.manifest("reg.example", "1").unwrap();
        assert_eq!(asked.lock().unwrap().last().unwrap(), &("/v2/app/manifests/1".into(), String::new()));
        assert!(mirrored.lock().unwrap().is_empty());
        let digest = Digest::of(MANIFEST).to_string();
        scene.manifest("reg.example", &digest).unwrap();
        let wanted = (format!("/api/hub/app/manifests/{digest}"), "yes".to_owned());
        assert_eq!(mirrored.lock().unwrap().last(), Some(&wanted));

        // One that is down is passed over; one that says nonsense is told of.
        scene.put("reg.example", "hosts.toml", file.replace(&mirror.to_string(), "1").as_bytes());
        scene.manifest("reg.example", &digest).unwrap();
        assert_eq!(asked.lock().unwrap().last().unwrap().0, format!("/v2/app/manifests/{digest}"));
        scene.put("reg.example", "hosts.toml", b"[host.x]\nspeed = 1\n");
        scene.fails("reg.example", "hosts.toml: host.\"x\": speed is not supported");
        scene.put("reg.example", "hosts.toml", file.replace("ca = \"ca.crt\"", "").as_bytes());
        scene.fails("reg.example", "certificate signed by unknown authority");
    });
}
