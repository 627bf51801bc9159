//! Certificates of an authority that only the tests have.

use std::fs;
use std::path::Path;

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// Writes an authority, `authority.pem`, into this folder, and a certificate of it for each name of a
/// file: `<name>.pem` is for these hosts, and `<name>.key` is its key.
///
/// # Errors
///
/// When a file cannot be written.
pub fn write_certificates(folder: &Path, certificates: &[(&str, &[&str])]) -> Result<()> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate whose issuer has the same name for self-signed.
    let name = &mut authority.distinguished_name;
    name.push(DnType::CommonName, "authority of the tests");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    fs::write(folder.join("authority.pem"), authority.pem())?;
    for (name, hosts) in certificates {
        let key = KeyPair::generate()?;
        let hosts = hosts.iter().map(|host| (*host).to_owned());
        let certificate = CertificateParams::new(hosts.collect::<Vec<_>>())?;
        let certificate = certificate.signed_by(&key, &authority)?;
        fs::write(folder.join(format!("{name}.pem")), certificate.pem())?;
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
    }
    Ok(())
}
