//! Registries that are slow, broken or malicious, and those that only want to know who asks.

mod kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use distribution::{Access, Class, Client, Credentials, Error, Proxies, Repository, Result, Settings};
use oci::{Digest, Reference};

use kit::{Server, answer, reply};

fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.network.backoff = Duration::from_millis(5);
    settings.network.stall = Duration::from_millis(300);
    settings
}

fn repository(settings: Settings, host: &str, credentials: &Credentials) -> Repository {
    let reference = Reference::parse(&format!("{host}/team/app")).unwrap();
    Client::new(settings).repository(&reference, credentials, Access::Pull).unwrap()
}

fn nobody(server: &Server) -> Repository {
    repository(settings(), &server.host(), &Credentials::default())
}

fn me() -> Credentials {
    Credentials { username: "me".into(), password: "secret".into(), ..Credentials::default() }
}

async fn download(repository: &Repository, content: &[u8], from: u64) -> Result<Vec<u8>> {
    let mut blob = repository.blob(&Digest::of(content), content.len() as u64, from);
    let mut bytes = Vec::new();
    while let Some(chunk) = blob.chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 7 + i / 251) as u8).collect()
}

#[tokio::test]
async fn a_manifest_is_what_its_digest_says_and_of_bounded_size() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/v2/" => answer(200, "", b""),
        path if path.ends_with("/huge") => {
            answer(200, "Content-Length: 100000000\r\n", b"").without_length().then(vec![b' '; 1 << 20])
        }
        path if path.ends_with("/endless") => {
            let chunk = format!("100000\r\n{}\r\n", " ".repeat(0x10_0000)).into_bytes();
            answer(200, "Transfer-Encoding: chunked\r\n", b"").without_length().then(chunk.repeat(100))
        }
        path if path.ends_with("/html") => answer(200, "", b"<html>"),
        _ => answer(200, "", b"{\"schemaVersion\":2}"),
    });
    let repository = nobody(&server);
    let wrong = Digest::of(b"something else");
    let says = repository.manifest(wrong.as_str()).await.unwrap_err();
    assert_eq!(says.to_string(), format!("manifest verification failed for digest {wrong}"));
    for tag in ["huge", "endless"] {
        let says = repository.manifest(tag).await.unwrap_err();
        assert_eq!(says.to_string(), format!("manifest {tag}: larger than 4194304 bytes"));
    }
    assert!(repository.manifest("html").await.unwrap_err().to_string().contains("no JSON document"));
    assert!(repository.manifest("good").await.is_ok());
}

#[tokio::test]
async fn a_token_is_fetched_once_and_an_endless_challenge_ends() {
    let token_server = Server::start(|asked| {
        assert!(asked.path.contains("scope=repository%3Ateam%2Fapp%3Apull"), "{}", asked.path);
        assert_eq!(asked.header("authorization"), "Basic bWU6c2VjcmV0");
        answer(200, "", br#"{"token":"good","expires_in":300}"#)
    });
    let realm = format!("http://{}/token", token_server.host());
    let challenge = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"reg\"\r\n");
    let (for_good, for_all) = (challenge.clone(), challenge);
    let server = Server::start(move |asked| match asked.header("authorization") {
        "Bearer good" => answer(200, "", b"{\"schemaVersion\":2}"),
        _ => answer(401, &for_good, b""),
    });
    let repository1 = repository(settings(), &server.host(), &me());
    for _ in 0..3 {
        repository1.manifest("1").await.unwrap();
    }
    assert_eq!(token_server.asked(), 1);

    let never = Server::start(move |_| answer(401, &for_all, b""));
    let says = repository(settings(), &never.host(), &me()).manifest("1").await.unwrap_err();
    assert_eq!(
        (says.class(), says.to_string().as_str()),
        (Class::Unauthorized, "unauthorized: authentication required")
    );
    assert!(never.asked() <= 4, "{} requests", never.asked());
}

#[tokio::test]
async fn a_password_is_wanted_missing_or_wrong() {
    let server = Server::start(|asked| match asked.header("authorization") {
        "Basic bWU6c2VjcmV0" => answer(200, "", b"{\"schemaVersion\":2}"),
        _ => answer(401, "WWW-Authenticate: Basic realm=\"r\"\r\n", b""),
    });
    assert!(repository(settings(), &server.host(), &me()).manifest("1").await.is_ok());
    let says = nobody(&server).resolve("1").await.unwrap_err();
    let url = format!("http://{}/v2/team/app/manifests/1", server.host());
    assert_eq!(says.to_string(), format!("Head \"{url}\": no basic auth credentials"));
    let wrong = Credentials { password: "other".into(), ..me() };
    let before = server.asked();
    let says = repository(settings(), &server.host(), &wrong).manifest("1").await.unwrap_err();
    assert_eq!(says.class(), Class::Unauthorized);
    // The ping and the request: a wrong password is not tried again and again, which would lock an account.
    assert_eq!(server.asked() - before, 2);
}

#[tokio::test]
async fn credentials_do_not_go_along_to_another_host() {
    let content = noise(1000);
    let body = content.clone();
    let storage = Server::start(move |asked| {
        assert_eq!(asked.header("authorization"), "", "the storage was told who asks");
        answer(200, "", &body)
    });
    let location = format!("Location: http://{}/blob\r\n", storage.host());
    let server = Server::start(move |asked| match (asked.header("authorization"), asked.path.as_str()) {
        ("", _) => answer(401, "WWW-Authenticate: Basic realm=\"r\"\r\n", b""),
        (_, "/v2/team/app/manifests/loop") => answer(302, "Location: loop\r\n", b""),
        _ => answer(307, &location, b""),
    });
    let repository = repository(settings(), &server.host(), &me());
    assert_eq!(download(&repository, &content, 0).await.unwrap(), content);
    assert_eq!(storage.asked(), 1);
    let says = repository.manifest("loop").await.unwrap_err().to_string();
    assert!(says.ends_with("stopped after 10 redirects"), "{says}");
}

#[tokio::test]
async fn what_does_not_go_on_is_given_up() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/v2/" => answer(200, "", b""),
        path if path.ends_with("/silent") => answer(200, "", b"").slowly(Duration::from_secs(20)),
        // One byte now and then, of very many.
        _ => answer(200, "Content-Length: 1000000\r\n", b"")
            .without_length()
            .trickle(Duration::from_millis(50)),
    });
    let mut settings = settings();
    settings.network.attempts = 2;
    let repository = repository(settings, &server.host(), &Credentials::default());
    let begun = Instant::now();
    let says = repository.resolve("silent").await.unwrap_err().to_string();
    assert!(says.ends_with("timeout awaiting response headers"), "{says}");
    let says = download(&repository, &noise(1_000_000), 0).await.unwrap_err().to_string();
    assert!(says.contains("given up"), "{says}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn too_many_requests_are_asked_again_when_the_registry_says() {
    let server = Server::start_counted(|count, asked| match (asked.path.as_str(), count) {
        ("/v2/", _) => answer(200, "", b""),
        (_, ..3) => answer(
            429,
            "Retry-After: 1\r\n",
            b"{\"errors\":[{\"code\":\"TOOMANYREQUESTS\",\"message\":\"slow\"}]}",
        ),
        (_, 3) => answer(503, "", b""),
        _ => answer(200, "", b"{\"schemaVersion\":2}"),
    });
    let begun = Instant::now();
    nobody(&server).manifest("1").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1));

    let never = Server::start(|asked| match asked.path.as_str() {
        "/v2/" => answer(200, "", b""),
        _ => answer(
            429,
            "Retry-After: 3600\r\n",
            b"{\"errors\":[{\"code\":\"TOOMANYREQUESTS\",\"message\":\"slow\"}]}",
        ),
    });
    let says = nobody(&never).manifest("1").await.unwrap_err();
    assert_eq!(says.to_string(), "toomanyrequests: slow");
    assert_eq!(never.asked(), 2);
}

#[tokio::test]
async fn a_blob_that_breaks_off_is_taken_up_where_it_was() {
    let content = noise(600_000);
    let body = content.clone();
    // Each connection ends after 200,000 bytes.
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/v2/" => answer(200, "", b""),
        _ => reply(&body, asked, true).cut_after(200_000),
    });
    assert_eq!(download(&nobody(&server), &content, 0).await.unwrap(), content);
    assert_eq!(server.asked(), 4);

    let body = content.clone();
    let without_ranges = Server::start(move |asked| match asked.path.as_str() {
        "/v2/" => answer(200, "", b""),
        _ => reply(&body, asked, false),
    });
    assert_eq!(download(&nobody(&without_ranges), &content, 500_000).await.unwrap(), content[500_000..]);

    let nothing = Server::start(|asked| match asked.path.as_str() {
        "/v2/" => answer(200, "", b""),
        _ => answer(200, "Content-Length: 600000\r\n", b"").without_length(),
    });
    let says = download(&nobody(&nothing), &content, 0).await.unwrap_err();
    assert!(matches!(says, Error::Transport { .. }), "{says}");
    assert_eq!(nothing.asked(), 6);
}

#[tokio::test]
async fn a_blob_of_another_size_is_refused() {
    let content = noise(1000);
    for length in [999, 1001] {
        let body = noise(length);
        let server = Server::start(move |asked| match asked.path.as_str() {
            "/v2/" => answer(200, "", b""),
            _ => answer(200, "", &body),
        });
        let says = download(&nobody(&server), &content, 0).await.unwrap_err().to_string();
        let digest = Digest::of(&content);
        assert_eq!(says, format!("{digest}: the registry has {length} bytes where the manifest says 1000"));
    }
    // Without a length, it is noticed while it comes.
    let server = Server::start(|asked| match asked.path.as_str() {
        "/v2/" => answer(200, "", b""),
        _ => answer(200, "Connection: close\r\n", b"").without_length().then(noise(1 << 20)),
    });
    let says = download(&nobody(&server), &content, 0).await.unwrap_err().to_string();
    assert!(says.contains("has more bytes where"), "{says}");
    // Another part than was asked for.
    let server = Server::start(|asked| match asked.path.as_str() {
        "/v2/" => answer(200, "", b""),
        _ => answer(206, "Content-Range: bytes 0-999/1000\r\n", &noise(1000)),
    });
    let says = download(&nobody(&server), &content, 10).await.unwrap_err().to_string();
    assert!(says.ends_with("the registry sends another range than asked"), "{says}");
}

/// Whoever pushed has gone before the registry said where the upload is.
#[tokio::test]
async fn an_upload_that_begins_for_nobody_is_taken_back() {
    let (begun, taken_back) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (begins, takes_back) = (begun.clone(), taken_back.clone());
    let server = Server::start(move |asked| match asked.path.as_str() {
        "/v2/" => answer(200, "", b""),
        "/v2/team/app/blobs/uploads/" => {
            begins.store(true, Ordering::SeqCst);
            answer(202, "Location: /v2/team/app/blobs/uploads/1\r\n", b"").slowly(Duration::from_millis(100))
        }
        "/v2/team/app/blobs/uploads/1" => {
            takes_back.store(true, Ordering::SeqCst);
            answer(204, "", b"").without_length()
        }
        path => panic!("{path}"),
    });
    let repository = nobody(&server);
    let (_pieces, mut arriving) = tokio::sync::mpsc::channel(1);
    let pushing = tokio::spawn(async move { repository.push_stream(&mut arriving, |_| {}).await.map(drop) });
    until(&begun).await;
    pushing.abort();
    until(&taken_back).await;
}

async fn until(flag: &AtomicBool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !flag.load(Ordering::SeqCst) {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn tags_come_page_by_page_and_not_for_ever() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/v2/" => answer(200, "", b""),
        path if path.ends_with("list") => {
            answer(200, "Link: </v2/team/app/tags/list?last=a>; rel=\"next\"\r\n", br#"{"tags":["a"]}"#)
        }
        path if path.ends_with("last=a") => answer(200, "", br#"{"name":"team/app","tags":["b"]}"#),
        _ => answer(200, "", b"{}"),
    });
    assert_eq!(nobody(&server).tags().await.unwrap(), ["a", "b"]);
    let round = Server::start(|asked| match asked.path.as_str() {
        "/v2/" => answer(200, "", b""),
        _ => answer(200, "Link: </v2/team/app/tags/list>; rel=\"next\"\r\n", br#"{"tags":["a"]}"#),
    });
    assert_eq!(nobody(&round).tags().await.unwrap(), ["a"]);
}

#[tokio::test]
async fn a_proxy_is_asked_where_there_is_one() {
    let proxy = Server::start(|asked| match asked.path.as_str() {
        // No tunnel: only what is not encrypted goes through this one.
        "registry.example:443" => answer(405, "", b""),
        "http://registry.example/v2/" => {
            assert_eq!(asked.header("proxy-authorization"), "Basic bWU6c2VjcmV0");
            answer(200, "", b"")
        }
        "http://registry.example/v2/team/app/manifests/1" => answer(200, "", b"{\"schemaVersion\":2}"),
        other => panic!("asked for {other}"),
    });
    let mut settings = settings();
    let url = format!("http://me:secret@{}", proxy.host());
    settings.proxies = Proxies { http: url.clone(), https: url, none_for: String::new() };
    settings.insecure = vec!["registry.example".into()];
    repository(settings, "registry.example", &Credentials::default()).manifest("1").await.unwrap();
}
