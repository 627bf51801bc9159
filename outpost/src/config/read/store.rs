//! The keys of the session store.

use std::path::{Path, PathBuf};

use gatepost_policy::config::Fields;

use super::files::{Files, Written, written};
use gatepost_store::{InvalidRedisTls, RedisTls, RedisUrl, StoreKind, StoreSettings};

/// The default file of the embedded store.
const FILE: &str = "sessions.db";

/// Its folder: where systemd and packages put the data of a service.
const FOLDER: &str = "/var/lib/gatepost";

/// The page cache of the embedded store where no size is configured. The pages that sign-ins and
/// renewals use most fit into it, however many sessions there are.
const CACHE_MEGABYTES: u64 = 64;

pub(super) fn store(fields: &mut Fields<'_>, files: &Files) -> StoreSettings {
    // Some 2 KiB each: bounded by memory or disk, and not by what clients do.
    let mut max_sessions = 100_000;
    let default_path = || Path::new(FOLDER).join(FILE);
    let Some(mut section) = fields.section("store") else {
        return StoreSettings::Embedded {
            path: default_path(),
            cache_bytes: bytes(CACHE_MEGABYTES),
            max_sessions,
        };
    };
    let kinds = [
        ("memory", StoreKind::Memory),
        ("embedded", StoreKind::Embedded),
        ("redis", StoreKind::Redis),
    ];
    let kind = section
        .choice("kind", &kinds)
        .unwrap_or(StoreKind::Embedded);
    if let Some(number) = section.number("maxSessions", 100_000_000) {
        max_sessions = usize::try_from(number.max(1)).unwrap_or(max_sessions);
    }
    let path = section.text("path").map(PathBuf::from);
    let cache = section.number("cacheMegabytes", 1_000_000);
    let url = url(&mut section, files);
    let over_tls = matches!(&url, Some(Ok(url)) if url.is_over_tls());
    let tls = tls(&mut section, over_tls, files);
    let prefix = section.text("prefix");
    for (key, given, for_kind, name) in [
        ("path", path.is_some(), StoreKind::Embedded, "embedded"),
        (
            "cacheMegabytes",
            cache.is_some(),
            StoreKind::Embedded,
            "embedded",
        ),
        ("url", url.is_some(), StoreKind::Redis, "redis"),
        ("prefix", prefix.is_some(), StoreKind::Redis, "redis"),
    ] {
        if given && kind != for_kind {
            section.problem(key, format!("is for `kind: {name}`"));
        }
    }
    let embedded = StoreSettings::Embedded {
        path: path.unwrap_or_else(default_path),
        cache_bytes: bytes(cache.unwrap_or(CACHE_MEGABYTES)),
        max_sessions,
    };
    let settings = match kind {
        StoreKind::Memory => StoreSettings::Memory { max_sessions },
        StoreKind::Embedded => embedded,
        StoreKind::Redis => match url {
            Some(Ok(url)) => StoreSettings::Redis {
                url,
                tls,
                prefix: prefix.unwrap_or_else(|| "gatepost:".to_owned()),
                max_sessions,
            },
            Some(Err(())) => embedded,
            None => {
                section.problem("url", "missing: where Redis is, like `redis://redis:6379`");
                embedded
            }
        },
    };
    section.finish();
    settings
}

fn bytes(megabytes: u64) -> usize {
    usize::try_from(megabytes << 20).unwrap_or(usize::MAX)
}

/// Reads the address of Redis, which may contain a password; `Some(Err(()))` after reporting a
/// problem.
fn url(section: &mut Fields<'_>, files: &Files) -> Option<Result<RedisUrl, ()>> {
    let inline = section.text("url");
    let (key, text) = match written(section, inline, "url", "urlFile")? {
        Ok(Written::Inline(url)) => ("url", Some(url)),
        Ok(Written::File(path)) => {
            let text = files.read(section, "urlFile", &path);
            ("urlFile", text.map(|text| text.trim().to_owned()))
        }
        Err(()) => return Some(Err(())),
    };
    let Some(text) = text else {
        return Some(Err(()));
    };
    Some(RedisUrl::parse(&text).map_err(|error| section.problem(key, error)))
}

/// Reads the certificates for a Redis that is reached over TLS. After reporting a problem, returns
/// those that can be read.
fn tls(section: &mut Fields<'_>, over_tls: bool, files: &Files) -> RedisTls {
    let mut read = |key| {
        let path = section.text(key)?;
        if !over_tls {
            section.problem(key, "is for a `url` with TLS, like `rediss://redis:6379`");
        }
        files.read(section, key, &path)
    };
    let authorities = read("caFile");
    let certificate = read("clientCertificateFile");
    let key = read("clientKeyFile");
    let mut tls = RedisTls::default();
    if let Some(pem) = authorities {
        match tls.clone().with_authorities(&pem) {
            Ok(trusting) => tls = trusting,
            Err(error) => section.problem("caFile", error),
        }
    }
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            match tls.clone().with_client_certificate(&certificate, &key) {
                Ok(client) => tls = client,
                Err(error @ InvalidRedisTls::Certificates) => {
                    section.problem("clientCertificateFile", error);
                }
                Err(error @ InvalidRedisTls::Key) => section.problem("clientKeyFile", error),
            }
        }
        (Some(_), None) => section.problem("clientKeyFile", "missing: the certificate's key"),
        (None, Some(_)) => {
            section.problem("clientCertificateFile", "missing: the key's certificate")
        }
        (None, None) => {}
    }
    tls
}
