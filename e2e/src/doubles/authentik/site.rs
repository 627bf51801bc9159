//! A site whose outpost has its applications from authentik.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::StatusCode;
use serde_json::{Value, json};
use url::Url;

use super::{Authentik, only_result};
use crate::doubles::provider;
use crate::doubles::upstream::Upstream;
use crate::keys::Keys;
use crate::programs::Service;
use crate::programs::ports;
use crate::site::{Site, SitePorts, fit};
use crate::wait::until;
use crate::{built, settings, stack};

/// For the outpost's first question.
const PATIENCE: Duration = Duration::from_secs(30);

/// The callback that authentik registers for an outpost.
const CALLBACK: &str = "/outpost.goauthentik.io/callback?X-authentik-auth-callback=true";

impl Site {
    /// Starts two apps and an outpost that has `wiki` from authentik, as the service of
    /// `testdata/authentik/docker-compose.yml` is started: by its environment alone.
    ///
    /// `turned_away` is the status with which the proxy in front answers a script without a
    /// session. Changes are laid over `wiki` in authentik's API, fitted as files are.
    ///
    /// # Errors
    ///
    /// When something is not built or installed, or does not become ready.
    pub fn of_authentik(turned_away: StatusCode, changes: &Value) -> Result<(Self, Authentik)> {
        Self::of_authentik_with(turned_away, changes, &[])
    }

    /// Starts the same as [`Self::of_authentik`], with further variables in the outpost's
    /// environment, fitted as files are. A path under `/var/lib/gatepost` becomes one in the site's
    /// folder.
    ///
    /// # Errors
    ///
    /// As for [`Self::of_authentik`].
    pub fn of_authentik_with(
        turned_away: StatusCode,
        changes: &Value,
        environment: &[(&str, &str)],
    ) -> Result<(Self, Authentik)> {
        let ports = SitePorts::free()?;
        let logs = stack::logs_folder(None)?;
        let folder = tempfile::Builder::new().prefix("gatepost-").tempdir()?;
        std::fs::create_dir(folder.path().join("keys"))?;
        let keys = Keys::create(folder.path().join("keys/gatepost.keys"))?;
        let client = |id: &str, name: &str, algorithm: &str| {
            let at = |name: &str| format!("http://{name}.example.localhost:{}", ports.web);
            let origin = at(name);
            json!({
                "client_id": id,
                "client_secret": "demo-client-secret-of-forty-characters-00",
                "redirect_uris": [format!("{origin}{CALLBACK}"), format!("{}{CALLBACK}", at("auth"))],
                "post_logout_redirect_uris": [format!("{origin}/")],
                "grant_types": ["authorization_code"],
                "response_types": ["code"],
                "token_endpoint_auth_method": "client_secret_post",
                "id_token_signed_response_alg": algorithm,
                // Has ID tokens name the session, as authentik's do.
                "backchannel_logout_uri":
                    format!("http://127.0.0.1:{}/akprox/backchannel_logout", ports.outpost),
                "backchannel_logout_session_required": true,
            })
        };
        let clients = json!({
            "idTokenAlgorithms": ["RS256", "HS256"],
            "clients": [
                client("gatepost", "wiki", "RS256"),
                client("gatepost-files", "files", "HS256"),
            ],
        });
        let provider = provider::service(
            &provider::Seat::main(ports.provider),
            &[],
            ports.outpost,
            &[clients],
            folder.path(),
            &logs,
        )?;
        provider.start()?;
        let mut site = Self {
            outpost: Service::new("outpost", built::gatepost()?, &logs),
            provider,
            partners: None,
            wiki: Upstream::start(ports.wiki)?,
            wiki_host: "wiki".to_owned(),
            files: Upstream::start(ports.files)?,
            turned_away,
            keys,
            ports,
            folder,
            environment: Vec::new(),
            logs,
        };
        let mut wiki = only_result(&site.fitted("testdata/authentik/api/proxy.json", &[])?)?;
        let changes = fit(&site.ports, site.folder.path(), &changes.to_string());
        settings::merge(&mut wiki, &serde_json::from_str(&changes)?);
        let outpost = only_result(&site.fitted("testdata/authentik/api/instances.json", &[])?)?;
        let authentik = Authentik::start(ports::free()?, ports.provider, outpost, vec![wiki])?;
        site.environment = site.environment_of(&authentik, environment)?;
        site.outpost = site.outpost_of_authentik()?;
        site.outpost.start()?;
        // It serves before it has asked.
        until("the outpost to know its application", PATIENCE, || {
            let knows = site.outpost.output().contains("as authentik says");
            Ok(knows.then_some(()))
        })?;
        Ok((site, authentik))
    }

    /// Returns authentik's entry for the app `files`, whose ID tokens have a MAC with the client
    /// secret.
    ///
    /// # Errors
    ///
    /// When the file of `testdata/authentik/` is not as it was.
    pub fn files_in_authentik(&self) -> Result<Value> {
        let mut files = only_result(&self.fitted("testdata/authentik/api/proxy.json", &[])?)?;
        settings::merge(
            &mut files,
            &json!({
                "pk": 8,
                "name": "files-provider",
                "external_host": format!("http://files.example.localhost:{}", self.ports.web),
                "client_id": "gatepost-files",
                "cookie_secret": "543210ZYXWVUTSRQPONMLKJIHGFEDCBA",
                "assigned_application_slug": "files",
                "oidc_configuration": { "id_token_signing_alg_values_supported": ["HS256"] },
            }),
        );
        Ok(files)
    }

    /// Returns the environment of the service `authentik-proxy` of the compose file, for a process.
    fn environment_of(
        &self,
        authentik: &Authentik,
        further: &[(&str, &str)],
    ) -> Result<Vec<(String, String)>> {
        let text = self.fitted("testdata/authentik/docker-compose.yml", &[])?;
        let file: Value = serde_saphyr::from_str(&text)?;
        let environment = file
            .pointer("/services/authentik-proxy/environment")
            .and_then(Value::as_object)
            .context("the service has an environment")?;
        let mut environment: BTreeMap<&str, String> = environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        environment.insert("AUTHENTIK_HOST", authentik.url()?.to_string());
        // Processes share the addresses that containers have for themselves.
        for (name, port) in [
            ("AUTHENTIK_LISTEN__HTTP", self.ports.outpost),
            ("AUTHENTIK_LISTEN__HTTPS", ports::free()?),
            ("AUTHENTIK_LISTEN__METRICS", self.ports.metrics),
        ] {
            environment.insert(name, format!("127.0.0.1:{port}"));
        }
        let folder = self.folder().to_string_lossy();
        for (name, value) in further {
            let value = fit(&self.ports, self.folder.path(), value);
            environment.insert(name, value.replace("/var/lib/gatepost", &folder));
        }
        let owned = |(name, value): (&str, String)| (name.to_owned(), value);
        Ok(environment.into_iter().map(owned).collect())
    }

    /// Returns the service `authentik-proxy` of the compose file, as a process.
    fn outpost_of_authentik(&self) -> Result<Service> {
        let mut command = built::gatepost()?;
        command.envs(self.environment.iter().cloned());
        let ping = format!(
            "http://127.0.0.1:{}/outpost.goauthentik.io/ping",
            self.ports.metrics
        );
        Ok(Service::new("outpost", command, &self.logs)
            .answering(Url::parse(&ping)?, StatusCode::NO_CONTENT))
    }
}
