//! Against plugins of this file: small servers on sockets.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use super::*;

/// Answers each question by its path, status and JSON.
fn serve(
    path: &Path,
    answer: impl Fn(&str, serde_json::Value) -> (u16, String) + Send + Sync + 'static,
) -> tokio::task::JoinHandle<()> {
    let (listener, answer) = (UnixListener::bind(path).unwrap(), Arc::new(answer));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                let (head, body) = loop {
                    if stream.read_buf(&mut bytes).await.unwrap() == 0 {
                        return;
                    }
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length = head.lines().find_map(|line| {
                        let (key, value) = line.split_once(": ")?;
                        key.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
                    });
                    if body.len() == length.unwrap_or(0) {
                        break (head.to_owned(), body.to_owned());
                    }
                };
                let path = head.split(' ').nth(1).unwrap().to_owned();
                let (status, body) = answer(&path, serde_json::from_str(&body).unwrap_or_default());
                let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            });
        }
    })
}

fn in_directory(directory: &Path) -> Plugins {
    Plugins::new(vec![directory.join("nosuch"), directory.to_owned()])
}

#[tokio::test]
async fn a_plugin_is_found_by_its_socket_or_by_a_file_and_activated_once() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    serve(&at("one.sock"), move |path, body| {
        heard.lock().unwrap().push(format!("{path} {body}"));
        let said = match path {
            "/Plugin.Activate" => r#"{"Implements": ["VolumeDriver", "Other"]}"#,
            "/VolumeDriver.Get" => {
                r#"{"Volume": {"Name": "v", "Mountpoint": "/m", "Status": {"a": 1}}, "Err": ""}"#
            }
            "/VolumeDriver.List" => r#"{"Volumes": [{"Name": "v"}, null], "Err": null}"#,
            "/VolumeDriver.Capabilities" => r#"{"Capabilities": {"Scope": "Global"}}"#,
            _ => r#"{"Err": "what is that?"}"#,
        };
        (200, said.to_owned())
    });
    std::fs::write(at("two.spec"), format!("unix://{}\n", at("one.sock").display())).unwrap();
    std::fs::create_dir(at("three")).unwrap();
    let json = serde_json::json!({ "Name": "x", "Addr": format!("unix://{}", at("one.sock").display()) });
    std::fs::write(at("three/three.json"), json.to_string()).unwrap();
    std::fs::write(at("no.txt"), "unix:///x").unwrap();
    let plugins = in_directory(directory.path());
    assert_eq!(plugins.names(), ["one", "three", "two"]);
    for name in plugins.names() {
        let driver = plugins.volume_driver(&name, Patience::None).await.unwrap();
        let found = driver.get("v").await.unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.mountpoint.as_str()), ("v", "/m"));
        assert_eq!(found.status.unwrap()["a"], 1);
        assert_eq!(driver.list().await.unwrap().len(), 1);
        assert_eq!(driver.is_global().await, Some(true));
        let options = [("a".to_owned(), "b".to_owned())].into();
        assert_eq!(driver.create("v", &options).await, Err(Error::Refused("what is that?".into())));
    }
    plugins.volume_driver("one", Patience::Some).await.unwrap();
    assert_eq!(plugins.volume_drivers(), ["one", "three", "two"]);
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.iter().filter(|asked| asked.starts_with("/Plugin.Activate")).count(), 3, "{asked:?}");
    assert!(asked.contains(&r#"/VolumeDriver.Create {"Name":"v","Opts":{"a":"b"}}"#.to_owned()), "{asked:?}");
    assert!(asked.contains(&r#"/VolumeDriver.Get {"Name":"v"}"#.to_owned()), "{asked:?}");
}

#[tokio::test]
async fn what_is_wrong_with_a_plugin_is_told_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let plugins = in_directory(directory.path());
    let told = async |name: &str| {
        plugins.volume_driver(name, Patience::None).await.map(drop).unwrap_err().to_string()
    };
    for nothing in ["nosuch", "", "../one", ".."] {
        assert_eq!(told(nothing).await, format!("plugin \"{nothing}\" not found"));
    }
    std::fs::write(at("bare.spec"), "somewhere").unwrap();
    assert!(
        told("bare")
            .await
            .ends_with("bare.spec: Unknown protocol: \"somewhere\" is no unix:// or tcp:// address")
    );
    std::fs::write(at("ftp.spec"), "ftp://somewhere").unwrap();
    assert!(told("ftp").await.ends_with("a plugin is not spoken to over \"ftp\""));
    std::fs::write(at("broken.json"), "{").unwrap();
    assert!(told("broken").await.contains("broken.json: EOF"));
    drop(UnixListener::bind(at("dead.sock")).unwrap());
    let dead = format!("plugin \"dead\" cannot be reached at unix://{}: ", at("dead.sock").display());
    assert_eq!(told("dead").await, format!("{dead}Connection refused"));
    serve(&at("net.sock"), |_, _| (200, r#"{"Implements": ["NetworkDriver"]}"#.into()));
    assert_eq!(
        told("net").await,
        "plugin does not implement the requested driver: plugin=\"net\", requested implementation=\"VolumeDriver\""
    );
    serve(&at("odd.sock"), |path, _| match path {
        "/Plugin.Activate" => (200, r#"{"Implements": ["VolumeDriver"]}"#.into()),
        "/VolumeDriver.Get" => (500, r#"{"Err": "out of order"}"#.into()),
        "/VolumeDriver.List" => (404, "404 page not found\n".into()),
        _ => (200, "hello".into()),
    });
    let odd = plugins.volume_driver("odd", Patience::None).await.unwrap();
    assert_eq!(odd.get("v").await.unwrap_err().to_string(), "VolumeDriver.Get: out of order");
    assert_eq!(odd.list().await.unwrap_err().to_string(), "VolumeDriver.List: 404 page not found");
    let garbled = odd.mount("v", "1").await.unwrap_err().to_string();
    assert!(
        garbled.starts_with("plugin \"odd\", VolumeDriver.Mount: its answer is not understood: "),
        "{garbled}"
    );
    assert_eq!(odd.is_global().await, None);
}

#[tokio::test]
async fn one_that_is_started_again_is_waited_for_and_one_that_hangs_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("p.sock");
    let volumes = |path: &str, _| match path {
        "/Plugin.Activate" => (200, r#"{"Implements": ["VolumeDriver"]}"#.into()),
        _ => (200, "{}".into()),
    };
    let server = serve(&path, volumes);
    let plugins = in_directory(directory.path());
    plugins.volume_driver("p", Patience::None).await.unwrap();
    server.abort();
    let _ = server.await;
    std::fs::remove_file(&path).unwrap();
    assert_eq!(plugins.volume_driver("p", Patience::None).await.map(drop), Err(Error::NotFound("p".into())));
    let later = path.clone();
    let again = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(120)).await;
        drop(serve(&later, volumes));
    });
    plugins.volume_driver("p", Patience::Some).await.unwrap().remove("v").await.unwrap();
    drop(again);
    // It listens, and nobody accepts.
    let _listener = UnixListener::bind(directory.path().join("hangs.sock")).unwrap();
    let found = discovery::find(&[directory.path().to_owned()], "hangs").unwrap();
    let call = Call::new("hangs", &found, Patience::None).unwrap();
    let limit = Duration::from_millis(50);
    let silent = call.ask::<(), Manifest>("Plugin.Activate", None, limit).await.unwrap_err();
    assert_eq!(silent, Error::Silent { name: "hangs".into(), method: "Plugin.Activate".into(), limit });
}

/// `ca.crt`, `server.crt` and `client.crt`, each with its `.key`, made with openssl(1).
fn certificates(directory: &Path) {
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    let mut lines =
        vec![format!("openssl req -x509 {new} -days 30 -subj /CN=authority -keyout ca.key -out ca.crt")];
    for (name, extensions) in
        [("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")]
    {
        lines.push(format!("echo {extensions} > extensions"));
        lines.push(format!("openssl req {new} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        lines.push(format!(
            "openssl x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 30 -extfile extensions \
             -out {name}.crt"
        ));
    }
    let done =
        std::process::Command::new("sh").args(["-ec", &lines.join("\n")]).current_dir(directory).output();
    assert!(done.as_ref().is_ok_and(|done| done.status.success()), "{done:?}");
}

#[tokio::test]
async fn tls_is_as_the_file_says() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    certificates(directory.path());
    let pem = |name: &str| std::fs::read(at(name)).unwrap();
    let chain = |name: &str| -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(&pem(name)).map(Result::unwrap).collect()
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(chain("ca.crt"));
    let provider = dial::provider();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain("server.crt"), PrivateKeyDer::from_pem_slice(&pem("server.key")).unwrap())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = stream.read_u8().await;
                let body = r#"{"Implements": ["VolumeDriver"]}"#;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
                // Until the client has read it.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    let write = |name: &str, tls: serde_json::Value| {
        let file = serde_json::json!({ "Addr": format!("https://127.0.0.1:{port}/path"), "TLSConfig": tls });
        std::fs::write(at(name), file.to_string()).unwrap();
    };
    let (ca, cert, key) = (at("ca.crt"), at("client.crt"), at("client.key"));
    write("good.json", serde_json::json!({ "CAFile": ca, "CertFile": cert, "KeyFile": key }));
    write("nobody.json", serde_json::json!({ "CAFile": ca }));
    write("other.json", serde_json::json!({ "CAFile": at("client.crt"), "CertFile": cert, "KeyFile": key }));
    write("lost.json", serde_json::json!({ "CAFile": at("lost.crt") }));
    let plugins = in_directory(directory.path());
    plugins.volume_driver("good", Patience::None).await.unwrap();
    let told = async |name: &str| {
        plugins.volume_driver(name, Patience::None).await.map(drop).unwrap_err().to_string()
    };
    assert!(told("nobody").await.starts_with("plugin \"nobody\""), "{}", told("nobody").await);
    let other = told("other").await;
    assert!(
        other.contains("cannot be reached at https://127.0.0.1:") && other.contains("certificate"),
        "{other}"
    );
    assert!(told("lost").await.contains("lost.crt: No such file"), "{}", told("lost").await);
}
