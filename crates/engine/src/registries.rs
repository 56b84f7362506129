//! The registries, as settings say now, and their errors in the engine's words.

use std::sync::{Arc, PoisonError, RwLock};

use distribution::{Client, Settings};

use crate::error::{Class, Error};

/// The client of registries. Replaced as a whole by a reload; who is using one goes on with it.
#[derive(Debug)]
pub(crate) struct Registries {
    client: RwLock<Arc<Client>>,
}

impl Registries {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { client: RwLock::new(Arc::new(Client::new(settings))) }
    }

    pub(crate) fn client(&self) -> Arc<Client> {
        self.client.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As [`Registries::client`], but for one that believes a registry for this once, if it is to be insecure.
    pub(crate) fn client_for(&self, domain: &str, insecure: bool) -> Arc<Client> {
        let client = self.client();
        if !insecure {
            return client;
        }
        let mut settings = client.settings().clone();
        settings.insecure.push(domain.to_owned());
        Arc::new(Client::new(settings))
    }

    /// Insecure registries and mirrors as they are from now on.
    pub(crate) fn reload(&self, settings: Settings) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Client::new(settings));
    }
}

impl From<distribution::Error> for Error {
    fn from(error: distribution::Error) -> Self {
        let class = match error.class() {
            distribution::Class::NotFound => Class::NotFound,
            distribution::Class::Unauthorized => Class::Unauthorized,
            distribution::Class::Denied => Class::Forbidden,
            distribution::Class::Unsupported => Class::Unsupported,
            // As Docker: what is wrong with a registry is no fault of the request.
            distribution::Class::Invalid | distribution::Class::Unavailable => Class::Internal,
        };
        Self::new(class, error.to_string())
    }
}
