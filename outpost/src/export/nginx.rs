//! Server blocks for nginx: the configuration that `docs/proxies` explains, for each host.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, context};
use serde::Serialize;
use url::Url;

use crate::application::ApplicationSettings;
use crate::client_certificate::CertificateHeader;
use crate::origin::Mode;

const TEMPLATE: &str = include_str!("nginx.conf.j2");

/// A host that nginx serves.
#[derive(Serialize)]
struct Server {
    application: String,
    name: String,
    port: u16,
    /// The port in the browser's URL, with a `:`; empty where it is the scheme's own.
    shown_port: String,
    tls: bool,
    prefix: String,
    /// Where the outpost of a domain answers; none on its own host.
    elsewhere: Option<String>,
    /// None for the outpost's own host.
    upstream: Option<String>,
    headers: Vec<Header>,
    /// The names of headers that no client may send.
    removed: Vec<String>,
    /// Whether `Authorization` comes from the outpost: the client's may be for that alone.
    authorization: bool,
}

/// A header and the variable that carries it.
#[derive(Serialize)]
struct Header {
    name: String,
    variable: String,
    /// As nginx names the header of an answer.
    upstream: String,
}

/// Returns the server blocks for every application that names an upstream. `certificate` is the header
/// in which the outpost takes a client's certificate from its proxies.
///
/// # Errors
///
/// A [`minijinja::Error`] only for an invalid template, which a test rules out.
pub(crate) fn servers(
    applications: &[ApplicationSettings],
    outpost: &Url,
    certificate: Option<&CertificateHeader>,
) -> Result<String, minijinja::Error> {
    let servers: Vec<Server> = applications.iter().flat_map(of_application).collect();
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.add_template("nginx.conf", TEMPLATE)?;
    environment.get_template("nginx.conf")?.render(context! {
        servers => Value::from(Serde(servers)),
        outpost => outpost.as_str().trim_end_matches('/'),
        certificate => certificate.map(|header| header.name().as_str()),
    })
}

fn of_application(application: &ApplicationSettings) -> Vec<Server> {
    let external = &application.external;
    let domain = matches!(application.mode, Mode::Domain(_));
    let shown_port = external.url().port();
    let server = |name: &str, upstream: Option<&Url>| Server {
        application: application.audience.to_string(),
        name: name.to_owned(),
        port: external.port(),
        shown_port: shown_port.map_or_else(String::new, |port| format!(":{port}")),
        tls: external.is_https(),
        prefix: application.prefix.to_string(),
        elsewhere: domain.then(|| external.origin().to_owned()),
        // With a path, even `/`, nginx would pass on its own reading of the request's path.
        upstream: upstream.map(|url| url.as_str().trim_end_matches('/').to_owned()),
        headers: headers(application),
        removed: application.headers.removed_by_name().collect(),
        authorization: application.takes_authorization_over(),
    };
    let own_host =
        (domain && !application.routes.is_empty()).then(|| server(external.host(), None));
    application
        .routes
        .iter()
        .map(|route| server(&route.host, Some(&route.upstream)))
        .chain(own_host)
        .collect()
}

fn headers(application: &ApplicationSettings) -> Vec<Header> {
    let rules = &application.headers;
    rules
        .names()
        .map(|name| {
            let word = name.as_str().to_ascii_lowercase().replace('-', "_");
            Header {
                name: name.to_string(),
                variable: format!("gatepost_{word}"),
                upstream: word,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn exported(machines: &str) -> String {
        exported_with("", machines)
    }

    fn exported_with(settings: &str, machines: &str) -> String {
        let yaml = format!(
            "
{settings}
keys: ['a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
providers: [{{name: main, issuer: 'https://id.example.com', clientId: g}}]
applications:
  - {{name: wiki, externalUrl: 'https://wiki.example.com', upstream: 'http://wiki:8080'{machines}}}
"
        );
        let config = Config::parse(&yaml, []).expect("a configuration");
        let outpost = Url::parse("http://outpost:9000").expect("a URL");
        let certificate = config.certificate_header.as_ref();
        servers(&config.applications, &outpost, certificate).expect("the template is valid")
    }

    #[test]
    fn credentials_for_the_outpost_do_not_reach_the_application() {
        let line = "proxy_set_header Authorization $gatepost_authorization;";
        let set = "auth_request_set $gatepost_authorization $upstream_http_authorization;";
        let with = exported(", machines: [bearer]");
        assert!(with.contains(line) && with.contains(set), "{with}");
        let without = exported("");
        assert!(!without.contains("Authorization"), "{without}");
    }

    /// Row 57: a client that could say its certificate would use a stolen token.
    #[test]
    fn no_client_says_its_certificate() {
        let settings = "trustedProxies: [127.0.0.1]\nclientCertificateHeader: Client-Cert";
        let text = exported_with(settings, ", machines: [bearer]");
        let set = "proxy_set_header client-cert $ssl_client_escaped_cert;";
        assert_eq!(text.matches(set).count(), 1, "{text}");
        let removed = "proxy_set_header client-cert \"\";";
        assert_eq!(text.matches(removed).count(), 2, "{text}");
        assert!(!exported("").contains("client-cert"));
    }

    #[test]
    fn no_client_is_routed_to_what_the_proxy_asks() {
        let text = exported("");
        let closed = "location /akprox/auth {\n        return 404;";
        assert!(text.contains(closed), "{text}");
    }
}
