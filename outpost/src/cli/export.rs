//! `gatepost export`: the configuration of a proxy that follows from the applications'.

use clap::ValueEnum;
use url::Url;

use super::config_file::ConfigFile;
use super::output::{complain, say};
use crate::application::{ApplicationSettings, Route};
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

pub(super) async fn export(form: Form, namespace: Option<&str>, file: &ConfigFile) -> Option<()> {
    let config = file.load_or_ask().await?;
    let namespace = namespace.filter(|_| form == Form::Kubernetes);
    for application in &config.applications {
        if application.routes.is_empty() && form != Form::Keys {
            complain(&format!(
                "{}: names no `upstream`, so it has no route here",
                application.audience
            ));
        }
    }
    let for_traefik = matches!(form, Form::Traefik | Form::Compose | Form::Kubernetes);
    let section = config.traefik.as_ref();
    let by_plugin = for_traefik && section.is_none_or(|own| own.plugin.is_some());
    for application in &config.applications {
        if by_plugin && application.needs_outpost() {
            let key = if application.machine_clients.is_some() {
                "the plugin alone lets no machine client in (`machines`)"
            } else {
                "the plugin has no tokens (`upstreamTokens`)"
            };
            complain(&format!(
                "{}: Traefik asks the outpost about each request, since {key}: set \
                 `aliasHeadersStrategy: delete` at its entry points",
                application.audience
            ));
        }
    }
    if form == Form::Kubernetes && config.traefik.is_none() && config.revoked_file.is_some() {
        complain(
            &"the Middlewares have no `revokedFile`, since no pod of Traefik has the outpost's file: \
             the plugin refuses an ended session when its window ends",
        );
    }
    match render(form, namespace, &config) {
        Ok((text, advice)) => {
            say(text.trim_end());
            for line in advice {
                complain(&line);
            }
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
    #[error(
        "the upstream of `{0}` has more than scheme, host and port, of which proxies make other paths or \
         nothing: write these alone, in authentik as the internal host"
    )]
    MoreThanAnUpstream(String),
    #[error("cannot be written as YAML: {0}")]
    Yaml(#[from] serde_saphyr::SerializeError),
    #[error("`listen.http` is no address of a URL: {0}")]
    Listen(#[from] url::ParseError),
    #[error("cannot be written: {0}")]
    Template(#[from] minijinja::Error),
    #[error("cannot be written for Kubernetes: {0}")]
    Kubernetes(#[from] kubernetes::KubernetesError),
}

/// Returns what to print, and what the operator has to know of it.
fn render(
    form: Form,
    namespace: Option<&str>,
    config: &Config,
) -> Result<(String, Vec<String>), ExportError> {
    let mut advice = Vec::new();
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
    // Reading a file reports these too.
    let has_more = |application: &&ApplicationSettings| {
        let mut routes = application.routes.iter();
        routes.any(|route| !Route::is_upstream(&route.upstream))
    };
    if let Some(application) = config.applications.iter().find(has_more)
        && form != Form::Keys
    {
        let name = application.audience.to_string();
        return Err(ExportError::MoreThanAnUpstream(name));
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
    let text = match form {
        Form::Traefik => literal(&serde_saphyr::to_string(&dynamic())?),
        Form::Compose => {
            let dynamic = dynamic();
            if let Some(transports) = compose::transports(&dynamic) {
                advice.push(format!(
                    "Traefik has no route to an upstream with `https` until a file of its file provider \
                     (`--providers.file.filename=…`) has these, which labels cannot say; add `rootCAs: \
                     [FILE]` where a private authority has signed the certificate:\n{}",
                    literal(&serde_saphyr::to_string(&transports)?).trim_end()
                ));
            }
            serde_saphyr::to_string(&compose::services(&settings, &dynamic))?
        }
        Form::Kubernetes => {
            let export = kubernetes::objects(&dynamic(), namespace)?;
            advice = export.advice;
            advice.push(format!(
                "after `kubectl apply`, remove what an earlier export has left, or its routes go on by \
                 their old rules: {}",
                export.removal
            ));
            let documents = export
                .objects
                .iter()
                .map(serde_saphyr::to_string)
                .collect::<Result<Vec<_>, _>>()?;
            documents.join("---\n")
        }
        Form::Nginx => {
            let certificate = config.certificate_header.as_ref();
            nginx::servers(&config.applications, &settings.outpost_url, certificate)?
        }
        Form::Keys => keys(config)?,
    };
    Ok((text, advice))
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
    // In a cluster, the outpost and Traefik rarely share files.
    let shares_files = form != Form::Kubernetes;
    let shares_folder = config.state_dir.is_some() && shares_files;
    let has_list = shares_files && !shares_folder;
    let revoked_file = config.revoked_file.as_ref().filter(|_| has_list);
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

/// Returns a text of which Traefik's file provider reads each character as it is: it runs files as
/// templates (Go's `text/template`).
fn literal(text: &str) -> String {
    text.replace("{{", "{{`{{`}}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const CONFIG: &str = "
keys: ['a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
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

    fn printed(form: Form, config: &Config) -> String {
        render(form, None, config).expect("a text").0
    }

    fn exported(form: Form) -> String {
        let mut text = CONFIG.to_owned();
        if form == Form::Kubernetes {
            text = text.replace("http://wiki.apps:", "http://wiki.apps.svc:");
            text = text.replace("http://outpost:", "http://gatepost.gatepost.svc:");
            text = text.replace("http://chat'", "http://chat.apps.svc'");
        }
        let config = Config::parse(&text, []).expect("right");
        let text = printed(form, &config);
        assert!(
            !text.contains("hush") && !text.contains("QkNERUZ"),
            "{text}"
        );
        text
    }

    /// authentik's internal host may have a path, which the reading of a file refuses.
    #[test]
    fn no_form_prints_an_upstream_with_a_path() {
        let mut config = Config::parse(CONFIG, []).expect("right");
        let route = config
            .applications
            .first_mut()
            .expect("one")
            .routes
            .first_mut();
        route.expect("one").upstream = Url::parse("http://wiki.apps.svc:8080/base").expect("a URL");
        for form in [Form::Traefik, Form::Compose, Form::Kubernetes, Form::Nginx] {
            let refused = render(form, None, &config).expect_err("a path").to_string();
            assert!(
                refused.contains("`wiki` has more than"),
                "{form:?}: {refused}"
            );
        }
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
        let in_cluster = rest
            .replace("http://wiki.apps:", "http://wiki.apps.svc:")
            .replace("http://chat'", "http://chat.apps.svc'");
        let two = json!({"application": "wiki", "stateDir": "/gatepost"});
        for (text, form, is_short) in [
            (&rest, Form::Traefik, true),
            (&by_section, Form::Traefik, true),
            (&in_cluster, Form::Kubernetes, false),
        ] {
            let config = Config::parse(text, []).expect("right");
            let exported = printed(form, &config);
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
keys: ['a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
providers: [{name: main, issuer: 'https://id.example.com', clientId: g}]
applications:
  - name: wiki
    externalUrl: https://wiki.example.com
    upstream: http://wiki.apps.svc:8080
    upstreamTokens: {accessToken: Authorization, idToken: X-Id-Token}
  - {name: files, externalUrl: 'https://files.example.com', upstream: 'http://files.apps.svc'}
";
        let config = Config::parse(text, []).expect("right");
        let traefik = printed(Form::Traefik, &config);
        let read: Value = serde_saphyr::from_str(&traefik).expect("YAML");
        let asks = &read["http"]["middlewares"]["gatepost-wiki"]["forwardAuth"];
        let names = asks["authResponseHeaders"].as_array().expect("a list");
        for form in [Form::Compose, Form::Kubernetes, Form::Nginx] {
            let text = printed(form, &config);
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
        let by_section = printed(Form::Traefik, &by_section);
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
             target=$scheme://$server_name$request_uri;",
            "proxy_set_header X-Original-URL $scheme://$server_name$request_uri;",
            "server_name auth.example.org;",
            "ssl_certificate /etc/nginx/tls/chat.example.org.crt;",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    /// A router with TLS has no request without.
    #[test]
    fn routes_have_tls_where_browsers_reach_the_application_by_https() {
        let text = "
keys: ['a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
providers: [{name: main, issuer: 'https://id.example.com', clientId: g}]
applications:
  - {name: wiki, externalUrl: 'https://wiki.example.com', upstream: 'http://wiki.apps.svc'}
  - {name: files, externalUrl: 'http://files.lan', upstream: 'http://files.apps.svc'}
";
        for section in [
            "",
            "traefik: {outpostUrl: 'http://gatepost.gatepost.svc', plugin: gatepost, pluginKeysFile: /k, tls: true}",
            "traefik: {outpostUrl: 'http://gatepost.gatepost.svc', certResolver: le}",
        ] {
            let config = Config::parse(&format!("{text}{section}"), []).expect("right");
            for form in [Form::Traefik, Form::Kubernetes] {
                let printed = printed(form, &config);
                let documents: Vec<Value> = serde_saphyr::from_multiple(&printed).expect("YAML");
                let tls = |name: &str| {
                    let routers = documents
                        .iter()
                        .map(|it| &it["http"]["routers"][name]["tls"]);
                    let routes = documents.iter().filter(|it| {
                        it["kind"] == "IngressRoute" && it["metadata"]["name"] == name
                    });
                    let mut all = routers.chain(routes.map(|it| &it["spec"]["tls"]));
                    all.any(Value::is_object)
                };
                for (name, expected) in [
                    ("gatepost-wiki", true),
                    ("gatepost-wiki-outpost", true),
                    ("gatepost-files", false),
                    ("gatepost-files-outpost", false),
                ] {
                    assert_eq!(tls(name), expected, "{name} {section}\n{printed}");
                }
            }
        }
    }

    /// Alone, the plugin answers every machine client with 401.
    #[test]
    fn traefik_asks_the_outpost_about_machine_clients() {
        let text = "
keys: ['a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
providers: [{name: main, issuer: 'https://id.example.com', clientId: g}]
revokedFile: /run/gatepost/revoked
applications:
  - {name: wiki, externalUrl: 'https://wiki.example.com', upstream: 'http://wiki.apps.svc', machines: [basic]}
";
        let config = Config::parse(text, []).expect("right");
        for form in [Form::Traefik, Form::Compose, Form::Kubernetes] {
            let text = printed(form, &config);
            assert!(text.contains("/auth/traefik"), "{text}");
            assert!(!text.contains("keysFile"), "{text}");
        }
        let text = text.replace(", machines: [basic]", "");
        let config = Config::parse(&text, []).expect("right");
        for (form, has_list) in [(Form::Traefik, true), (Form::Kubernetes, false)] {
            let text = printed(form, &config);
            assert_eq!(text.contains("revokedFile"), has_list, "{text}");
        }
    }
}
