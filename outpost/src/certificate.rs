//! The certificate of the https listener: given in files, or made at start.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// The protocols that are offered, best first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate with its chain and its key, known to belong together.
#[derive(Clone)]
pub struct Certificate(Arc<ServerConfig>);

/// Why a [`Certificate`] cannot be read or made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The certificates cannot be read.
    #[error("expected certificates in PEM: {0}")]
    Chain(#[source] pem::Error),
    /// The file contains no certificate.
    #[error("has no certificate in PEM")]
    NoCertificate,
    /// The key cannot be read.
    #[error("expected a key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)")]
    Key,
    /// The key is another certificate's, or of an unsupported kind.
    #[error("cannot be used with the certificate: {0}")]
    Mismatch(#[source] rustls::Error),
    /// A self-signed certificate cannot be made.
    #[error("cannot make a certificate: {0}")]
    Generate(#[from] rcgen::Error),
}

impl CertificateError {
    /// Returns the key of the configuration's `tls` section that names the file at fault.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Chain(_) | Self::NoCertificate => "certificate",
            Self::Key | Self::Mismatch(_) | Self::Generate(_) => "key",
        }
    }
}

impl Certificate {
    /// Reads a chain, the server's certificate first, and its key.
    ///
    /// # Errors
    ///
    /// [`CertificateError`].
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, CertificateError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(CertificateError::Chain)?;
        if chain.is_empty() {
            return Err(CertificateError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| CertificateError::Key)?;
        Self::new(chain, key)
    }

    /// Makes a self-signed certificate for `hosts`: good for connections whose client does not
    /// verify it, as within a cluster.
    ///
    /// # Errors
    ///
    /// [`CertificateError::Generate`].
    pub fn self_signed(hosts: impl Into<Vec<String>>) -> Result<Self, CertificateError> {
        let made = rcgen::generate_simple_self_signed(hosts)?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        Self::new(vec![made.cert.into()], key.into())
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, CertificateError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(CertificateError::Mismatch)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(CertificateError::Mismatch)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self(Arc::new(config)))
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate")
    }
}

/// The certificate that a listener shows to new connections, until another takes its place.
#[derive(Clone)]
pub struct ShownCertificate(Arc<ArcSwap<ServerConfig>>);

impl ShownCertificate {
    /// Shows this one.
    pub fn new(certificate: Certificate) -> Self {
        Self(Arc::new(ArcSwap::new(certificate.0)))
    }

    /// Shows another one from now on.
    pub fn replace(&self, certificate: &Certificate) {
        self.0.store(Arc::clone(&certificate.0));
    }

    /// Returns the configuration of TLS for the next connection.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        self.0.load_full()
    }
}

impl fmt::Debug for ShownCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShownCertificate")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_and_its_key_belong_together() {
        let made = || rcgen::generate_simple_self_signed(["a.example".to_owned()]).expect("made");
        let (one, other) = (made(), made());
        let pem = |label: &str, der: &[u8]| {
            use base64::Engine as _;
            let text = base64::engine::general_purpose::STANDARD.encode(der);
            format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
        };
        let chain = pem("CERTIFICATE", one.cert.der());
        let key = pem("PRIVATE KEY", &one.signing_key.serialize_der());
        let foreign = pem("PRIVATE KEY", &other.signing_key.serialize_der());
        for (case, chain, key, expected) in [
            ("good", chain.as_str(), key.as_str(), None),
            ("no certificate", "", &key, Some("certificate")),
            ("no key", &chain, &chain, Some("key")),
            ("another's key", &chain, &foreign, Some("key")),
            ("swapped", &key, &chain, Some("certificate")),
        ] {
            let outcome = Certificate::from_pem(chain.as_bytes(), key.as_bytes());
            assert_eq!(
                outcome.as_ref().err().map(CertificateError::key),
                expected,
                "{case}: {outcome:?}"
            );
        }
    }
}
