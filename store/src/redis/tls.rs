//! Certificates for connections to Redis.

use std::fmt;

use redis::{ClientTlsConfig, TlsCertificates};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

/// The certificates for connections over TLS, in PEM.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RedisTls {
    authorities: Option<Vec<u8>>,
    client: Option<ClientCertificate>,
}

#[derive(Clone, PartialEq, Eq)]
struct ClientCertificate {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

/// A certificate or key is invalid. The error does not contain the text, which may be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRedisTls {
    /// The text contains no certificate.
    #[error("expected certificates in PEM")]
    Certificates,
    /// The text contains no private key.
    #[error("expected a private key in PEM")]
    Key,
}

impl RedisTls {
    /// Trusts these authorities instead of the system's.
    ///
    /// # Errors
    ///
    /// [`InvalidRedisTls::Certificates`].
    pub fn with_authorities(mut self, authorities: &str) -> Result<Self, InvalidRedisTls> {
        self.authorities = Some(certificates(authorities)?);
        Ok(self)
    }

    /// Presents this certificate to servers that ask for one.
    ///
    /// # Errors
    ///
    /// [`InvalidRedisTls`].
    pub fn with_client_certificate(
        mut self,
        certificate: &str,
        key: &str,
    ) -> Result<Self, InvalidRedisTls> {
        PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| InvalidRedisTls::Key)?;
        self.client = Some(ClientCertificate {
            certificate: certificates(certificate)?,
            key: Zeroizing::new(key.as_bytes().to_vec()),
        });
        Ok(self)
    }

    /// Returns the same for the client library, or `None` if nothing is set.
    pub(super) fn certificates(&self) -> Option<TlsCertificates> {
        let is_set = self.authorities.is_some() || self.client.is_some();
        is_set.then(|| TlsCertificates {
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
