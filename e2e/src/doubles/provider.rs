//! The OpenID provider of `testdata/provider/`.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use reqwest::StatusCode;
use serde_json::{Value, json};
use url::Url;

use crate::layout;
use crate::programs::Service;
use crate::settings;
use crate::tools::{NodePackages, Tool as _};
use crate::users;

/// The client that the outpost is at the provider.
pub(crate) const CLIENT_ID: &str = "gatepost";

/// The client's secret. Only ever used on loopback.
pub(crate) const CLIENT_SECRET: &str = "demo-client-secret";

/// Returns the provider's issuer on this port.
///
/// By address and not as `localhost`: programs resolve the name in different ways, and an issuer
/// must be one text everywhere.
pub(crate) fn issuer(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Returns the issuer of a second provider on this port: on another host, since browsers send
/// cookies to every port of a host, and each provider is to know its own users only.
pub(crate) fn second_issuer(port: u16) -> String {
    format!("http://127.0.0.2:{port}")
}

/// What differs between one provider and another.
pub(crate) struct Seat {
    name: &'static str,
    issuer: String,
    /// Paths of applications that it may send browsers to.
    callbacks: &'static [&'static str],
    /// Changes of the example's configuration.
    own: Value,
}

impl Seat {
    /// Returns the provider that every stack has.
    pub(crate) fn main(port: u16) -> Self {
        Self {
            name: "provider",
            issuer: issuer(port),
            callbacks: &[
                "/akprox/callback",
                "/akprox/callback/main",
                // Of a test with a prefix of its own.
                "/sso/v2/callback",
                "/oauth2/callback",
                // Of the servers that the bench compares with.
                "/_oauth",
                "/auth",
            ],
            own: json!({}),
        }
    }

    /// Returns the second provider, called `partners`, which has given the same subjects and names
    /// to its own users.
    pub(crate) fn partners(port: u16) -> Self {
        Self {
            name: "partners",
            issuer: second_issuer(port),
            callbacks: &["/akprox/callback/partners"],
            own: json!({
                "listen": { "host": "127.0.0.2", "port": port },
                "users": {
                    "alice": { "email": "alice@partners.example" },
                    "bob": { "email": "bob@partners.example" },
                },
            }),
        }
    }
}

/// Returns the service of the provider for applications at these origins.
pub(crate) fn service(
    seat: &Seat,
    origins: &[String],
    outpost_port: u16,
    changes: &[Value],
    folder: &Path,
    logs: &Path,
) -> Result<Service> {
    let at = |paths: &[&str]| -> Vec<String> {
        let join = |origin: &String| -> Vec<String> {
            paths.iter().map(|path| format!("{origin}{path}")).collect()
        };
        origins.iter().flat_map(join).collect()
    };
    let mut config = users::example_config()?;
    settings::merge(
        &mut config,
        &json!({
            "issuer": seat.issuer,
            "clients": [{
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "redirect_uris": at(seat.callbacks),
                "post_logout_redirect_uris": at(&["/"]),
                "backchannel_logout_uri":
                    format!("http://127.0.0.1:{outpost_port}/akprox/backchannel_logout"),
                "backchannel_logout_session_required": true,
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "token_endpoint_auth_method": "client_secret_basic",
            }],
        }),
    );
    settings::merge(&mut config, &seat.own);
    for change in changes {
        settings::merge(&mut config, change);
    }
    let file = folder.join(format!("{}.json", seat.name));
    settings::write(&file, &config)?;
    let packages = NodePackages::provider().locate()?;
    let mut command = Command::new("node");
    command
        .arg(packages.join("server.mjs"))
        .env("PROVIDER_CONFIG", &file)
        .current_dir(layout::root());
    let discovery = Url::parse(&seat.issuer)?.join("/.well-known/openid-configuration")?;
    Ok(Service::new(seat.name, command, logs).answering(discovery, StatusCode::OK))
}
