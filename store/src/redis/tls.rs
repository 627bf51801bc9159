//! Certificates for connections to Redis.

use std::fmt;

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

/// Whom to trust and who to be in connections over TLS. All in PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RedisTls {
    authorities: Option<Vec<u8>>,
    client: Option<Client>,
}

#[derive(Clone, PartialEq, Eq)]
struct Client {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

/// A text that is not what it should be. It is not repeated: one of them is a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRedisTls {
    /// There is no certificate in it.
    #[error("expected certificates in PEM")]
    Certificates,
    /// There is no key in it.
    #[error("expected a private key in PEM")]
    Key,
}

impl RedisTls {
    /// Trusts these authorities, instead of the system's.
    ///
    /// # Errors
    ///
    /// [`InvalidRedisTls::Certificates`].
    pub fn trusting(mut self, authorities: &str) -> Result<Self, InvalidRedisTls> {
        self.authorities = Some(certificates(authorities)?);
        Ok(self)
    }

    /// Shows this certificate to servers that ask for one.
    ///
    /// # Errors
    ///
    /// [`InvalidRedisTls`].
    pub fn as_client(mut self, certificate: &str, key: &str) -> Result<Self, InvalidRedisTls> {
        PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| InvalidRedisTls::Key)?;
        self.client = Some(Client {
            certificate: certificates(certificate)?,
            key: Zeroizing::new(key.as_bytes().to_vec()),
        });
        Ok(self)
    }

    /// Whether it says anything.
    pub fn is_some(&self) -> bool {
        self.authorities.is_some() || self.client.is_some()
    }

    /// The same for the client; `None` where the system's authorities do and there is nothing to
    /// show.
    pub(super) fn certificates(&self) -> Option<TlsCertificates> {
        self.is_some().then(|| TlsCertificates {
            client_tls: self.client.as_ref().map(|client| ClientTlsConfig {
                client_cert: client.certificate.clone(),
                client_key: client.key.to_vec(),
            }),
            root_cert: self.authorities.clone(),
        })
    }
}

fn certificates(pem: &str) -> Result<Vec<u8>, InvalidRedisTls> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(pem.as_bytes().to_vec()),
        Ok(_) | Err(_) => Err(InvalidRedisTls::Certificates),
    }
}

impl fmt::Debug for RedisTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RedisTls(redacted)")
    }
}
