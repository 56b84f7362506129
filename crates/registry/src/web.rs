//! Somebody else's servers: webhooks and checks of health, one request over one connection; and buckets.

use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Body;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    secure: bool,
    host: String,
    port: u16,
    /// `host[:port]`, as it was written.
    authority: String,
}

/// Where to, taken apart once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    origin: Origin,
    path: String,
}

impl Place {
    /// # Errors
    /// It is no address of the web.
    pub fn parse(text: &str) -> Result<Place, String> {
        let wrong = || format!("{text} is no address such as https://host/path");
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let authority =
            uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)?;
        let origin = Origin {
            secure,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            authority: authority.to_string(),
        };
        Ok(Place { origin, path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned() })
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The status of the answer. Whoever asks says how long that may take.
    pub(crate) async fn ask(
        &self,
        method: Method,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<StatusCode, String> {
        let mut sender = self.origin.connect().await?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.path.parse().map_err(|_| format!("{} is no path", self.path))?;
        *request.headers_mut() = headers.clone();
        let host = HeaderValue::from_str(&self.origin.authority).map_err(|error| error.to_string())?;
        request.headers_mut().insert(HOST, host);
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        Ok(answer.status())
    }
}

impl Origin {
    /// As it stands in `Host`.
    pub(crate) fn authority(&self) -> String {
        self.authority.clone()
    }

    /// A connection. It ends with what is returned; its errors come out of the request that meets them.
    pub(crate) async fn connect<B>(&self) -> Result<SendRequest<B>, String>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let found = dial::resolve(&self.host, self.port).await.map_err(|error| error.to_string())?;
        let connected = TcpStream::connect(found.as_slice()).await;
        let stream = connected.map_err(|error| format!("connect to {}: {error}", self.authority))?;
        // A request is one piece or two, and its answer is waited for.
        let _ = stream.set_nodelay(true);
        match self.secure {
            false => shake_hands(stream).await,
            true => {
                let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
                let stream = TlsConnector::from(config()?).connect(name, stream).await;
                shake_hands(stream.map_err(|error| error.to_string())?).await
            }
        }
    }
}

async fn shake_hands<B>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<B>, String>
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// The system believes whom it believes.
fn config() -> Result<Arc<ClientConfig>, String> {
    let pem = dial::system_roots().map_err(|error| format!("read the system's authorities: {error}"))?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    let builder = ClientConfig::builder_with_provider(dial::provider()).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let place = Place::parse("https://a.example/x?y").unwrap();
        assert_eq!((place.origin.secure, place.origin.port, place.path.as_str()), (true, 443, "/x?y"));
        let place = Place::parse("http://[::1]:8080").unwrap();
        assert_eq!((place.origin.host.as_str(), place.origin.port, place.path.as_str()), ("::1", 8080, "/"));
        for bad in ["", "a.example", "ftp://a", "http://user:x@a/", "/x"] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }
}
