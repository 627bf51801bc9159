//! The certificate of the https listener: given in files, or made at start.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::config::Config;

/// The protocols that are offered, best first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate with its chain and its key, known to belong together.
#[derive(Clone)]
pub struct Identity(Arc<ServerConfig>);

/// Why files are no [`Identity`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The certificates cannot be read.
    #[error("expected certificates in PEM: {0}")]
    Chain(#[source] pem::Error),
    /// There is none.
    #[error("has no certificate in PEM")]
    NoCertificate,
    /// The key cannot be read.
    #[error("expected a key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)")]
    Key,
    /// The two do not fit, or the key's kind is not known.
    #[error("cannot be used with the certificate: {0}")]
    Mismatch(#[source] rustls::Error),
    /// None could be made.
    #[error("cannot make a certificate: {0}")]
    Generate(#[from] rcgen::Error),
}

impl IdentityError {
    /// The key of the `tls` section that names the file at fault.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Chain(_) | Self::NoCertificate => "certificate",
            Self::Key | Self::Mismatch(_) | Self::Generate(_) => "key",
        }
    }
}

impl Identity {
    /// Reads a chain, the server's certificate first, and its key.
    ///
    /// # Errors
    ///
    /// [`IdentityError`].
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, IdentityError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(IdentityError::Chain)?;
        if chain.is_empty() {
            return Err(IdentityError::NoCertificate);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| IdentityError::Key)?;
        Self::new(chain, key)
    }

    /// Makes a certificate that nobody vouches for, valid for `hosts`: good for a connection
    /// whose other side does not check, as within a cluster.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Generate`].
    pub fn self_signed(hosts: impl Into<Vec<String>>) -> Result<Self, IdentityError> {
        let made = rcgen::generate_simple_self_signed(hosts)?;
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        Self::new(vec![made.cert.into()], key.into())
    }

    /// The identity that a configuration asks for.
    ///
    /// # Errors
    ///
    /// [`IdentityError`].
    pub fn of(config: &Config) -> Result<Self, IdentityError> {
        if let Some(given) = &config.tls {
            return Ok(given.clone());
        }
        let applications = config.applications.iter();
        let mut hosts: Vec<String> = applications
            .map(|application| application.external.host().to_owned())
            .chain(["localhost".to_owned()])
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        Self::self_signed(hosts)
    }

    /// What a listener needs.
    pub fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0)
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, IdentityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(IdentityError::Mismatch)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(IdentityError::Mismatch)?;
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self(Arc::new(config)))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
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
            let outcome = Identity::from_pem(chain.as_bytes(), key.as_bytes());
            assert_eq!(
                outcome.as_ref().err().map(IdentityError::key),
                expected,
                "{case}: {outcome:?}"
            );
        }
    }
}
