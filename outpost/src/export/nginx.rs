//! Server blocks for nginx: the configuration that `docs/proxies` explains, for each host.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, context};
use serde::Serialize;
use url::Url;

use crate::application::ApplicationSettings;
use crate::origin::Mode;

const TEMPLATE: &str = include_str!("nginx.conf.j2");

/// A host that nginx serves.
#[derive(Serialize)]
struct Server {
    application: String,
    name: String,
    port: u16,
    tls: bool,
    prefix: String,
    /// Where the outpost of a domain answers; none on its own host.
    elsewhere: Option<String>,
    /// None for the outpost's own host.
    upstream: Option<String>,
    headers: Vec<Header>,
}

/// A header and the variable that carries it.
#[derive(Serialize)]
struct Header {
    name: String,
    variable: String,
    /// As nginx names the header of an answer.
    upstream: String,
}

/// Returns the server blocks for every application that names an upstream.
///
/// # Errors
///
/// A [`minijinja::Error`] only for an invalid template, which a test rules out.
pub fn servers(
    applications: &[ApplicationSettings],
    outpost: &Url,
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
    })
}

fn of_application(application: &ApplicationSettings) -> Vec<Server> {
    let external = &application.external;
    let domain = matches!(application.mode, Mode::Domain(_));
    let server = |name: &str, upstream: Option<&Url>| Server {
        application: application.audience.to_string(),
        name: name.to_owned(),
        port: external.port(),
        tls: external.is_https(),
        prefix: application.prefix.to_string(),
        elsewhere: domain.then(|| external.origin().to_owned()),
        // With a path, even `/`, nginx would pass on its own reading of the request's path.
        upstream: upstream.map(|url| match url.path() {
            "/" => url.as_str().trim_end_matches('/').to_owned(),
            _ => url.to_string(),
        }),
        headers: headers(application),
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
    let names = rules.names().map(|name| name.as_str());
    // The variable of a header that the outpost never sets is empty, and then nginx sends no such
    // header.
    names
        .chain(rules.withheld())
        .map(|name| {
            let word = name.to_ascii_lowercase().replace('-', "_");
            Header {
                name: name.to_owned(),
                variable: format!("gatepost_{word}"),
                upstream: word,
            }
        })
        .collect()
}
