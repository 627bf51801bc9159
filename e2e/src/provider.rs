//! The OpenID provider of `testdata/provider/`.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use reqwest::StatusCode;
use serde_json::{Value, json};
use url::Url;

use crate::layout;
use crate::service::Service;
use crate::settings;
use crate::tools::{NodePackages, Tool as _};
use crate::users;

/// The client that the outpost is at the provider.
pub(crate) const CLIENT_ID: &str = "gatepost";

/// The client's secret. Only ever used on loopback.
pub(crate) const CLIENT_SECRET: &str = "demo-client-secret";

/// The provider's issuer on this port.
///
/// By address and not as `localhost`: programs resolve the name in different ways, and an issuer
/// must be one text everywhere.
pub(crate) fn issuer(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// The provider for applications at these origins.
pub(crate) fn service(
    port: u16,
    origins: &[String],
    outpost_port: u16,
    changes: &[Value],
    folder: &Path,
    logs: &Path,
) -> Result<Service> {
    let at = |path: &str| -> Vec<String> {
        let join = |origin: &String| format!("{origin}{path}");
        origins.iter().map(join).collect()
    };
    let mut config = users::example_config()?;
    settings::merge(
        &mut config,
        &json!({
            "issuer": issuer(port),
            "clients": [{
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
                "redirect_uris": at("/akprox/callback"),
                "post_logout_redirect_uris": at("/"),
                "backchannel_logout_uri":
                    format!("http://127.0.0.1:{outpost_port}/akprox/backchannel_logout"),
                "backchannel_logout_session_required": true,
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "token_endpoint_auth_method": "client_secret_basic",
            }],
        }),
    );
    for change in changes {
        settings::merge(&mut config, change);
    }
    let file = folder.join("provider.json");
    settings::write(&file, &config)?;
    let packages = NodePackages::provider().locate()?;
    let mut command = Command::new("node");
    command
        .arg(packages.join("server.mjs"))
        .env("PROVIDER_CONFIG", &file)
        .current_dir(layout::root());
    let discovery = Url::parse(&issuer(port))?.join("/.well-known/openid-configuration")?;
    Ok(Service::new("provider", command, logs).answering(discovery, StatusCode::OK))
}
