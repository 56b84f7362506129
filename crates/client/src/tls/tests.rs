//! Against a server of rustls' own in this process. `testdata` holds an authority, a server for 127.0.0.1 and a client,
//! made with `openssl`; the keys guard nothing and are valid for a century.

use super::*;
use crate::{Address, Client, Error};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

const CA: &[u8] = include_bytes!("testdata/ca.pem");
const SERVER: &[u8] = include_bytes!("testdata/server.pem");
const SERVER_KEY: &[u8] = include_bytes!("testdata/server-key.pem");
const CLIENT: &[u8] = include_bytes!("testdata/client.pem");
const CLIENT_KEY: &[u8] = include_bytes!("testdata/client-key.pem");

fn files(ca: Option<&[u8]>, own: bool, verify: bool) -> TlsFiles {
    TlsFiles {
        ca: ca.map(<[u8]>::to_vec),
        cert: own.then(|| CLIENT.to_vec()),
        key: own.then(|| CLIENT_KEY.to_vec()),
        verify,
    }
}

/// A server that wants certificates of our authority. It answers any request with `OK`, and an upgrade with an echo in
/// capitals, which ends when its client has ended.
async fn server() -> Address {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots(Some(CA)).unwrap()), provider.clone());
    let chain = CertificateDer::pem_slice_iter(SERVER).map(Result::unwrap).collect();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(SERVER_KEY).unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(mut tls) = acceptor.accept(socket).await else { continue };
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                match tls.read_u8().await {
                    Ok(byte) => request.push(byte),
                    Err(_) => break,
                }
            }
            if request.starts_with(b"POST") {
                tls.write_all(b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
                    .await
                    .unwrap();
                let mut typed = Vec::new();
                tls.read_to_end(&mut typed).await.unwrap();
                tls.write_all(&typed.to_ascii_uppercase()).await.unwrap();
                tls.shutdown().await.unwrap();
            } else {
                let _ = tls
                    .write_all(b"HTTP/1.1 200 OK\r\nApi-Version: 1.55\r\nContent-Length: 2\r\n\r\nOK")
                    .await;
            }
        }
    });
    address
}

async fn ping(address: &Address, files: Option<TlsFiles>) -> Result<(), Error> {
    let client = Client::new(address.clone());
    let client = match files {
        Some(files) => client.with_tls(Tls::new(&files).unwrap()),
        None => client,
    };
    client.system().ping().await.map(drop)
}

#[tokio::test]
async fn both_sides_are_known_to_each_other() {
    let address = server().await;
    ping(&address, Some(files(Some(CA), true, true))).await.unwrap();
    // Without a look at the server's certificate, ours is still shown.
    ping(&address, Some(files(Some(SERVER), true, false))).await.unwrap();
}

#[tokio::test]
async fn strangers_are_named() {
    let address = server().await;
    let text = |outcome: Result<(), Error>| outcome.unwrap_err().to_string();
    let unknown = text(ping(&address, Some(files(Some(CLIENT), true, true))).await);
    assert!(unknown.contains("invalid peer certificate"), "{unknown}");
    let anonymous = text(ping(&address, Some(files(Some(CA), false, true))).await);
    assert!(anonymous.contains("check your TLS client certification settings"), "{anonymous}");
    let plain = text(ping(&address, None).await);
    assert!(plain.starts_with("error during connect"), "{plain}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Address = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = socket.read(&mut [0; 4096]).await;
    });
    let http = text(ping(&address, Some(files(Some(CA), true, true))).await);
    assert!(http.contains("does not speak TLS"), "{http}");
}

#[tokio::test]
async fn a_taken_over_connection_ends_one_direction_at_a_time() {
    let address = server().await;
    let client = Client::new(address).with_tls(Tls::new(&files(Some(CA), true, true)).unwrap());
    let attach =
        crate::Attach { stream: true, stdin: true, stdout: true, stderr: true, detach_keys: "", logs: false };
    let (early, mut read, mut write) = client.containers().attach("c", &attach).await.unwrap().into_split();
    write.write_all(b"typed").await.unwrap();
    write.shutdown().await.unwrap();
    let mut answer = early.to_vec();
    read.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"TYPED");
}

#[test]
fn what_is_not_pem_is_refused() {
    let text = |files: TlsFiles| Tls::new(&files).unwrap_err().to_string();
    assert!(text(files(Some(b"x"), false, true)).contains("ca.pem seems invalid"));
    let mut wrong = files(Some(CA), true, true);
    wrong.key = Some(b"x".to_vec());
    assert_eq!(text(wrong), "no valid private key found");
}
