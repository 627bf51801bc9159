//! `gatepost export`: the configuration of a proxy that follows from the applications'.

use clap::ValueEnum;
use url::Url;

use super::config_file::ConfigFile;
use super::output::{complain, say};
use crate::config::Config;
use crate::export::{
    PluginKeys, PluginSettings, TraefikSettings, compose, kubernetes, names, nginx, traefik,
};

/// The output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// Traefik's dynamic configuration, for its file provider.
    Traefik,
    /// Labels for services of a compose file.
    Compose,
    /// Middlewares and IngressRoutes for Traefik on Kubernetes.
    Kubernetes,
    /// Server blocks for nginx with `auth_request`.
    Nginx,
    /// The plugin's keys file, where the keys are authentik's.
    Keys,
}

pub(super) async fn export(form: Form, file: &ConfigFile) -> Option<()> {
    let config = file.load_or_ask().await?;
    for application in &config.applications {
        if application.routes.is_empty() && form != Form::Keys {
            complain(&format!(
                "{}: names no `upstream`, so it has no route here",
                application.audience
            ));
        }
    }
    let for_traefik = matches!(form, Form::Traefik | Form::Compose | Form::Kubernetes);
    for application in &config.applications {
        if for_traefik && application.capabilities.token_headers.is_some() {
            complain(&format!(
                "{}: Traefik asks the outpost about each request, since the plugin has no tokens \
                 (`upstreamTokens`): set `aliasHeadersStrategy: delete` at its entry points",
                application.audience
            ));
        }
    }
    match render(form, &config) {
        Ok(text) => {
            say(text.trim_end());
            Some(())
        }
        Err(error) => {
            complain(&error);
            None
        }
    }
}

/// Returns the keys of authentik's applications: each has the cookie secret of its provider. One
/// file can contain all of them, since a session is valid at one application only, whatever keys
/// the others have.
fn keys(config: &Config) -> Result<String, ExportError> {
    let mut lines = Vec::new();
    for settings in &config.applications {
        if let Some(own) = &settings.capabilities.keys {
            let origin = settings.external.origin();
            lines.push(format!("# {} at {origin}", settings.audience));
            lines.push(own.entry.expose().to_owned());
        }
    }
    if lines.is_empty() {
        return Err(ExportError::NoKeys);
    }
    Ok(lines.join("\n"))
}

/// Why nothing can be printed.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error(
        "no application is authentik's: the plugin has the keys that the outpost has, of `keys` or \
         `keysFile`"
    )]
    NoKeys,
    #[error(
        "`{0}` and `{1}` would both have an object `{2}`, where one replaces the other: give one of \
         them another name"
    )]
    SharedName(String, String, String),
    #[error("cannot be written as YAML: {0}")]
    Yaml(#[from] serde_saphyr::SerializeError),
    #[error("`listen.http` is no address of a URL: {0}")]
    Listen(#[from] url::ParseError),
    #[error("cannot be written: {0}")]
    Template(#[from] minijinja::Error),
    #[error("cannot be written for Kubernetes: {0}")]
    Kubernetes(#[from] kubernetes::KubernetesError),
}

fn render(form: Form, config: &Config) -> Result<String, ExportError> {
    let settings = match &config.traefik {
        Some(settings) => settings.clone(),
        None => presumed(form, config)?,
    };
    // Reading a file reports these; authentik's applications are of no file.
    if let Some(shared) = names::shared(&config.applications).into_iter().next()
        && !matches!(form, Form::Nginx | Form::Keys)
    {
        return Err(ExportError::SharedName(
            shared.first,
            shared.second,
            shared.name,
        ));
    }
    let dynamic = || {
        traefik::dynamic_configuration(
            &config.applications,
            &settings,
            &config.brand,
            config.device_bound,
            &config.trusted_proxies,
        )
    };
    Ok(match form {
        Form::Traefik => serde_saphyr::to_string(&dynamic())?,
        Form::Compose => serde_saphyr::to_string(&compose::services(&settings, &dynamic()))?,
        Form::Kubernetes => {
            let documents = kubernetes::objects(&dynamic())?
                .iter()
                .map(serde_saphyr::to_string)
                .collect::<Result<Vec<_>, _>>()?;
            documents.join("---\n")
        }
        Form::Nginx => nginx::servers(&config.applications, &settings.outpost_url)?,
        Form::Keys => keys(config)?,
    })
}

/// Returns the settings that apply if the configuration has no `traefik` section: the plugin as the
/// README sets it up, with the outpost on this machine, or in a cluster where the chart puts it.
fn presumed(form: Form, config: &Config) -> Result<TraefikSettings, url::ParseError> {
    let listens = config.listen.http.first();
    let outpost = if form == Form::Kubernetes {
        format!("http://gatepost.gatepost.svc:{}", listens.port())
    } else {
        format!("http://{listens}")
    };
    // In a cluster, the outpost and Traefik rarely share a folder.
    let shares_folder = config.state_dir.is_some() && form != Form::Kubernetes;
    let revoked_file = config.revoked_file.as_ref().filter(|_| !shares_folder);
    Ok(TraefikSettings {
        outpost_url: Url::parse(&outpost)?,
        plugin: Some(PluginSettings {
            name: "gatepost".to_owned(),
            keys: if shares_folder {
                PluginKeys::StateDir("/gatepost".to_owned())
            } else {
                PluginKeys::File("/keys/gatepost.keys".to_owned())
            },
            revoked_file: revoked_file.map(|_| "/run/gatepost/revoked".to_owned()),
        }),
        entry_points: Vec::new(),
        tls: config
            .applications
            .iter()
            .any(|application| application.external.is_https()),
        cert_resolver: None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const CONFIG: &str = "
keys: ['a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=']
providers: [{name: main, issuer: 'https://id.example.com', clientId: g, clientSecret: hush}]
traefik: {outpostUrl: 'http://outpost:9000', plugin: gatepost, pluginKeysFile: /keys/k, tls: true}
applications:
  - name: wiki
    externalUrl: https://wiki.example.com
    upstream: http://wiki.apps:8080
    public: [/healthz, '/static/*']
    require: {groups: [staff]}
  - name: Intranet_1
    mode: domain
    externalUrl: https://auth.example.org
    cookieDomain: example.org
    upstreams: {chat.example.org: 'http://chat'}
";

    fn exported(form: Form) -> String {
        let config = Config::parse(CONFIG, []).expect("right");
        let text = render(form, &config).expect("a text");
        assert!(
            !text.contains("hush") && !text.contains("QkNERUZ"),
            "{text}"
        );
        text
    }

    #[test]
    fn traefik_gets_what_the_http_provider_serves() {
        let text = exported(Form::Traefik);
        let config = Config::parse(CONFIG, []).expect("right");
        let settings = config.traefik.as_ref().expect("configured");
        let served = traefik::dynamic_configuration(
            &config.applications,
            settings,
            &config.brand,
            config.device_bound,
            &config.trusted_proxies,
        );
        let read: Value = serde_saphyr::from_str(&text).expect("YAML");
        assert_eq!(read, served, "{text}");
    }

    /// The short form, where the configuration says that there is a folder to share.
    #[test]
    fn a_folder_makes_middlewares_of_two_keys() {
        let rest = CONFIG.replace(
            "traefik: {outpostUrl: 'http://outpost:9000', plugin: gatepost, pluginKeysFile: /keys/k, tls: true}",
            "stateDir: /var/lib/gatepost-state",
        );
        let by_section = CONFIG.replace("pluginKeysFile: /keys/k", "pluginStateDir: /gatepost")
            + "\nstateDir: /var/lib/gatepost-state\n";
        let two = json!({"application": "wiki", "stateDir": "/gatepost"});
        for (text, form, is_short) in [
            (&rest, Form::Traefik, true),
            (&by_section, Form::Traefik, true),
            (&rest, Form::Kubernetes, false),
        ] {
            let config = Config::parse(text, []).expect("right");
            let exported = render(form, &config).expect("a text");
            let documents = exported.split("---\n");
            let documents = documents.map(|one| serde_saphyr::from_str(one).expect("YAML"));
            let plugin = documents.filter_map(|one: Value| match form {
                Form::Traefik => {
                    Some(one["http"]["middlewares"]["gatepost-wiki"]["plugin"]["gatepost"].clone())
                }
                _ => (one["kind"] == "Middleware" && one["metadata"]["name"] == "gatepost-wiki")
                    .then(|| one["spec"]["plugin"]["gatepost"].clone()),
            });
            let plugin: Vec<Value> = plugin.collect();
            assert_eq!(plugin.len(), 1, "{exported}");
            assert_eq!(plugin[0] == two, is_short, "{exported}");
        }
    }

    #[test]
    fn labels_stand_at_the_services_that_upstreams_name() {
        let text = exported(Form::Compose);
        let read: Value = serde_saphyr::from_str(&text).expect("YAML");
        let label = |service: &str, name: &str| {
            read["services"][service]["labels"][name]
                .as_str()
                .map(str::to_owned)
        };
        let routers = "traefik.http.routers.gatepost-wiki";
        for (service, name, expected) in [
            (
                "wiki.apps",
                format!("{routers}.rule"),
                "Host(`wiki.example.com`)",
            ),
            (
                "wiki.apps",
                format!("{routers}.middlewares"),
                "gatepost-wiki",
            ),
            ("wiki.apps", format!("{routers}.tls"), "true"),
            (
                "wiki.apps",
                "traefik.http.services.gatepost-wiki.loadbalancer.server.port".into(),
                "8080",
            ),
            (
                "outpost",
                "traefik.http.services.gatepost-outpost.loadbalancer.server.port".into(),
                "9000",
            ),
            (
                "outpost",
                format!("{routers}-outpost.rule"),
                "Host(`wiki.example.com`) && PathPrefix(`/akprox/`) && !PathPrefix(`/akprox/auth`)",
            ),
            (
                "outpost",
                "traefik.http.middlewares.gatepost-wiki.plugin.gatepost.public".into(),
                "/healthz,/static/*",
            ),
            (
                "outpost",
                "traefik.http.middlewares.gatepost-wiki.plugin.gatepost.require.groups".into(),
                "staff",
            ),
        ] {
            assert_eq!(
                label(service, &name).as_deref(),
                Some(expected),
                "{name}\n{text}"
            );
        }
    }

    #[test]
    fn kubernetes_gets_objects_with_names_that_it_takes() {
        let text = exported(Form::Kubernetes);
        let documents: Vec<Value> = text
            .split("---\n")
            .map(|document| serde_saphyr::from_str(document).expect("YAML"))
            .collect();
        let names: Vec<&str> = documents
            .iter()
            .filter_map(|document| document["metadata"]["name"].as_str())
            .collect();
        assert!(names.contains(&"gatepost-intranet-1"), "{names:?}");
        let wiki = documents
            .iter()
            .find(|d| d["kind"] == "IngressRoute" && d["metadata"]["name"] == "gatepost-wiki");
        let wiki = wiki.expect("a route");
        // In the namespace of its Service: by default, Traefik refuses a Service of another one.
        assert_eq!(wiki["metadata"]["namespace"], "apps");
        let route = &wiki["spec"]["routes"][0];
        assert_eq!(
            route["services"][0],
            json!({"name": "wiki", "port": 8080, "scheme": "http"})
        );
        assert_eq!(route["middlewares"][0]["name"], "gatepost-wiki");
    }

    /// No plugin brings tokens along, and no client's header reaches the application in their place.
    #[test]
    fn headers_for_tokens_are_those_of_the_outpost_in_every_export() {
        let text = "
keys: ['a:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=']
providers: [{name: main, issuer: 'https://id.example.com', clientId: g}]
applications:
  - name: wiki
    externalUrl: https://wiki.example.com
    upstream: http://wiki.apps:8080
    upstreamTokens: {accessToken: Authorization, idToken: X-Id-Token}
  - {name: files, externalUrl: 'https://files.example.com', upstream: 'http://files'}
";
        let config = Config::parse(text, []).expect("right");
        let traefik = render(Form::Traefik, &config).expect("a text");
        let read: Value = serde_saphyr::from_str(&traefik).expect("YAML");
        let asks = &read["http"]["middlewares"]["gatepost-wiki"]["forwardAuth"];
        let names = asks["authResponseHeaders"].as_array().expect("a list");
        for form in [Form::Compose, Form::Kubernetes, Form::Nginx] {
            let text = render(form, &config).expect("a text");
            for name in ["Authorization", "X-Id-Token"] {
                assert!(names.contains(&json!(name)), "{names:?}");
                assert!(text.contains(name), "{form:?} {name}: {text}");
            }
        }
        // The other applications keep the plugin, with a `traefik` section too.
        let by_section = format!(
            "{text}traefik: {{outpostUrl: 'http://outpost:9000', plugin: gatepost, \
             pluginKeysFile: /k}}"
        );
        let by_section = Config::parse(&by_section, []).expect("right");
        let by_section = render(Form::Traefik, &by_section).expect("a text");
        for text in [&traefik, &by_section] {
            let read: Value = serde_saphyr::from_str(text).expect("YAML");
            let middlewares = &read["http"]["middlewares"];
            assert!(
                middlewares["gatepost-wiki"]["forwardAuth"].is_object(),
                "{text}"
            );
            assert!(
                middlewares["gatepost-files"]["plugin"].is_object(),
                "{text}"
            );
        }
    }

    #[test]
    fn nginx_gets_a_server_for_each_host() {
        let text = exported(Form::Nginx);
        for line in [
            "server_name wiki.example.com;",
            "proxy_pass http://wiki.apps:8080;",
            "auth_request_set $gatepost_x_auth_username $upstream_http_x_auth_username;",
            "proxy_set_header X-Auth-Username $gatepost_x_auth_username;",
            "return 302 /akprox/start?target=$request_uri;",
            "return 302 https://auth.example.org/akprox/start?\
             target=$scheme://$server_name$gatepost_port$request_uri;",
            "proxy_set_header X-Original-URL $scheme://$server_name$request_uri;",
            "server_name auth.example.org;",
            "ssl_certificate /etc/nginx/tls/chat.example.org.crt;",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
