//! The keys of an application.

use std::sync::Arc;

use gatepost_policy::InvalidDemand;
use gatepost_policy::OutpostPrefix;
use gatepost_policy::config::{self, Fields};
use gatepost_session::Audience;
use gatepost_session::cookie::CookieName;
use serde_json::Value;
use url::Url;

use super::assertion;
use super::files::Files;
use super::frames::Frames;
use super::machine_tokens;
use super::providers::{self, KnownProviders};
use super::upstream_tokens::upstream_tokens;
use super::urls::http_url;
use crate::application::{
    ApplicationSettings, Capabilities, Route, SignOutScope, TokenHeaders, UpstreamTokens,
};
use crate::compat::SHARED_PREFIXES;
use crate::device_bound::DeviceBound;
use crate::origin::{CookieDomain, ExternalUrl, HostPort, Mode};

pub(super) fn application(
    mut fields: Fields<'_>,
    known: KnownProviders<'_>,
    files: &Files,
    frames: Frames,
) -> Option<ApplicationSettings> {
    let name = fields.required_text("name", "the application's name, which its sessions are for");
    let audience = name.and_then(|name| match Audience::new(&name) {
        Ok(audience) => Some(audience),
        Err(error) => {
            fields.problem("name", error);
            None
        }
    });
    let domain_mode = fields
        .choice("mode", &[("single", false), ("domain", true)])
        .unwrap_or(false);
    let external = fields.required_text("externalUrl", "where browsers reach it");
    let external = external.and_then(|text| match ExternalUrl::parse(&text) {
        Ok(external) => Some(external),
        Err(error) => {
            fields.problem("externalUrl", error);
            None
        }
    });
    let cookie_domain = cookie_domain(&mut fields, domain_mode, external.as_ref());
    let ports = ports(&mut fields, domain_mode);
    let https = external.as_ref().is_none_or(ExternalUrl::is_https);
    let default_name = CookieName::default_for(https, domain_mode);
    let cookie_name = fields
        .parsed("cookieName", CookieName::new)
        .unwrap_or(default_name);
    let lower = cookie_name.as_str().to_ascii_lowercase();
    if !https && (lower.starts_with("__host-") || lower.starts_with("__secure-")) {
        fields.problem("cookieName", "browsers take this prefix over https only");
    } else if domain_mode && lower.starts_with("__host-") {
        fields.problem(
            "cookieName",
            "browsers take `__Host-` without a domain only",
        );
    }
    let cross_site = Frames::read(&mut fields);
    let cross_site = frames.of_application(cross_site, external.as_ref(), &fields);
    let prefix = fields
        .parsed("outpostPrefix", OutpostPrefix::new)
        .unwrap_or_default();
    if let Some(shared) = SHARED_PREFIXES.iter().find(|own| is_asked_at(own, &prefix)) {
        // A route to this prefix would bring clients to where proxies ask.
        fields.problem(
            "outpostPrefix",
            format!("proxies ask under `{shared}/auth`: write another, like `/sso`"),
        );
    }
    let providers = providers::named(&mut fields, known);
    let cookie_groups = fields.list("cookieGroups");
    let forward_cookie = fields.flag("forwardCookie").unwrap_or(false);
    let scopes = [
        ("session", SignOutScope::Session),
        ("everywhere", SignOutScope::Everywhere),
    ];
    let sign_out = fields.choice("signOut", &scopes).unwrap_or_default();
    let device_bound = fields.parsed("deviceBound", DeviceBound::parse);
    let routes = routes(&mut fields, cookie_domain.as_ref(), external.as_ref());
    let assertion = fields.section("assertion");
    let assertion = assertion.and_then(assertion::settings);
    let own = fields.asked().len();
    let policy = config::policy(&mut fields);
    // Whatever a decision is made by: the plugin decides by the same.
    let deciding = fields.asked().get(own..).unwrap_or_default().to_vec();
    let shared = SHARED
        .into_iter()
        .chain(deciding)
        .filter_map(|key| Some((key.to_owned(), Value::from(fields.value(key)?))));
    let mut shared = shared.collect();
    assertion::set_header(assertion.as_ref(), &mut shared, &fields);
    for (at, why) in policy.rules.idle() {
        fields
            .problems()
            .add(format!("{}[{at}]", fields.path_of("rules")), why);
    }
    // A plugin that leaves a decision to the outpost sends its rules along.
    let own = policy.require.is_too_long().then(|| "require".to_owned());
    let of_rules = policy.rules.too_long();
    for key in own
        .into_iter()
        .chain(of_rules.map(|at| format!("rules[{at}].require")))
    {
        let message = format!("has {}", InvalidDemand::TooLong);
        fields.problems().add(fields.path_of(&key), message);
    }
    if policy.claims().len() > MAX_RULE_CLAIMS {
        fields.problem(
            "rules",
            format!("name more than {MAX_RULE_CLAIMS} claims: each is in every cookie"),
        );
    }
    let schemes = &policy.machine_clients;
    let place = machine_tokens::Place {
        external: external.as_ref(),
        domain: cookie_domain.as_ref(),
        prefix: &prefix,
    };
    let machine_clients = machine_tokens::read(
        &mut fields,
        schemes,
        place,
        providers.as_deref(),
        known,
        files,
    );
    // As the plugin reads them.
    let with_assertion = config::Value::from(&Value::Object(shared.clone()));
    let path = fields.path_of("");
    let headers = Fields::of(
        &with_assertion,
        path.trim_end_matches('.'),
        fields.problems(),
    );
    let headers = config::headers(
        &mut headers?,
        audience.as_ref().map_or("", Audience::as_str),
        schemes.api_key_header(),
    );
    let tokens = upstream_tokens(&mut fields, &headers, machine_clients.as_ref(), domain_mode);
    let headers = headers.reserving(tokens.iter().flat_map(UpstreamTokens::names).cloned());
    let headers = headers.guarding(&policy, false);
    fields.finish();
    Some(ApplicationSettings {
        audience: audience?,
        mode: match cookie_domain {
            Some(domain) => Mode::Domain(domain),
            None if domain_mode => return None,
            None => Mode::Single,
        },
        external: external?,
        ports,
        providers: providers?,
        prefix,
        cookie_name,
        cross_site,
        policy,
        headers,
        forward_cookie,
        cookie_groups,
        sign_out,
        assertion,
        device_bound,
        machine_clients,
        routes,
        shared,
        capabilities: Capabilities {
            token_headers: tokens.map(|tokens| Arc::new(tokens) as Arc<dyn TokenHeaders>),
            ..Capabilities::default()
        },
    })
}

/// Returns whether a prefix lies where proxies ask under the shared one.
fn is_asked_at(shared: &str, prefix: &OutpostPrefix) -> bool {
    let rest = prefix.as_str().strip_prefix(shared);
    let rest = rest.and_then(|rest| rest.strip_prefix("/auth"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The most claims that rules may name: with their limit of a kilobyte each, a cookie holds them.
const MAX_RULE_CLAIMS: usize = 12;

/// The keys of an application that the plugin has too, with the same meaning, besides those of its
/// policy.
const SHARED: [&str; 5] = [
    "outpostPrefix",
    "cookieName",
    "forwardCookie",
    "headers",
    "upstreamTokens",
];

/// Reads where Traefik finds the application.
fn routes(
    fields: &mut Fields<'_>,
    cookie_domain: Option<&CookieDomain>,
    external: Option<&ExternalUrl>,
) -> Vec<Route> {
    let upstream = fields.parsed("upstream", upstream_url);
    let mut routes: Vec<Route> = upstream
        .zip(external)
        .map(|(upstream, external)| Route {
            host: external.host().to_owned(),
            upstream,
        })
        .into_iter()
        .collect();
    for (host, text) in fields.texts("upstreams") {
        let valid = HostPort::parse(&host).is_some_and(|authority| authority.port().is_none());
        match (upstream_url(&text), cookie_domain) {
            (_, None) => fields.problem("upstreams", "is for `mode: domain`: write `upstream`"),
            (_, Some(domain)) if !valid || !domain.contains(&host) => {
                fields.problem(
                    "upstreams",
                    format!("`{host}` is no host under cookieDomain"),
                );
            }
            (Err(accepted), _) => fields.problem("upstreams", format!("`{host}`: {accepted}")),
            (Ok(upstream), Some(_)) => routes.push(Route { host, upstream }),
        }
    }
    routes
}

/// Parses the address of an upstream.
fn upstream_url(text: &str) -> Result<Url, &'static str> {
    let url = http_url(text).ok_or("expected an http or https URL, like `http://wiki:8080`")?;
    if Route::is_upstream(&url) {
        Ok(url)
    } else {
        Err(
            "has more than scheme, host and port, of which proxies make other paths or nothing: write \
             these alone, like `http://wiki:8080`",
        )
    }
}

/// Reads `ports`.
fn ports(fields: &mut Fields<'_>, domain_mode: bool) -> Vec<u16> {
    let texts = fields.list("ports").unwrap_or_default();
    if !texts.is_empty() && !domain_mode {
        fields.problem(
            "ports",
            "needs `mode: domain`: a single host has the port of externalUrl",
        );
    }
    let port = |text: &String| match text.parse() {
        Ok(port) if port > 0 => Some(port),
        _ => {
            fields.problem(
                "ports",
                format!("`{text}` is not a port; write one like `8443`"),
            );
            None
        }
    };
    texts.iter().filter_map(port).collect()
}

fn cookie_domain(
    fields: &mut Fields<'_>,
    domain_mode: bool,
    external: Option<&ExternalUrl>,
) -> Option<CookieDomain> {
    let given = fields.text("cookieDomain");
    match (given, domain_mode) {
        (Some(text), true) => match CookieDomain::parse(&text) {
            Ok(domain) => {
                let host = external.map(ExternalUrl::host);
                if host.is_some_and(|host| !domain.contains(host)) {
                    let host = host.unwrap_or_default();
                    fields.problem(
                        "cookieDomain",
                        format!("`{host}` of externalUrl is not in it"),
                    );
                }
                Some(domain)
            }
            Err(error) => {
                fields.problem("cookieDomain", format!("`{text}`: {error}"));
                None
            }
        },
        (Some(_), false) => {
            fields.problem(
                "cookieDomain",
                "needs `mode: domain`: a single host's cookie has none",
            );
            None
        }
        (None, true) => {
            fields.problem(
                "cookieDomain",
                "missing: the domain whose hosts share the session, like `example.com`",
            );
            None
        }
        (None, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::problems;

    /// nginx asks an application at `/basex` for `GET /x` and `http://wiki/base`.
    #[test]
    fn an_upstream_has_no_path() {
        for (url, well) in [
            ("http://wiki", true),
            ("http://wiki:8080/", true),
            ("https://[::1]:8443", true),
            ("http://wiki/base", false),
            ("http://wiki/base/", false),
            ("http://wiki//", false),
            ("http://wiki?a=b", false),
            ("http://wiki#a", false),
            ("http://alice@wiki", false),
        ] {
            for lines in [
                problems(&format!(
                    "  - {{name: wiki, externalUrl: 'https://x.example.com', upstream: '{url}'}}\n"
                )),
                problems(&format!(
                    "  - {{name: all, externalUrl: 'https://auth.example.com', mode: domain, \
                     cookieDomain: example.com, upstreams: {{x.example.com: '{url}'}}}}\n"
                )),
            ] {
                assert_eq!(lines.is_empty(), well, "{url}: {lines:?}");
                let told = lines.iter().all(|line| line.contains("`http://wiki:8080`"));
                assert!(told, "{url}: {lines:?}");
            }
        }
    }

    /// Row 61: a route to the prefix must not lead to where proxies ask.
    #[test]
    fn no_prefix_is_where_proxies_ask() {
        for (prefix, well) in [
            ("/sso", true),
            ("/sso/auth", true),
            ("/akprox", true),
            ("/akprox/authors", true),
            ("/akprox/auth", false),
            ("/akprox/auth/x", false),
            ("/outpost.goauthentik.io/auth", false),
        ] {
            let lines = problems(&format!(
                "  - {{name: wiki, externalUrl: 'https://x.example.com', outpostPrefix: {prefix}}}\n"
            ));
            assert_eq!(lines.is_empty(), well, "{prefix}: {lines:?}");
        }
    }
}
