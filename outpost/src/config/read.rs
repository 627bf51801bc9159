//! From the keys of the file and the environment to a [`Config`].

use std::cell::RefCell;
use std::net::SocketAddr;
use std::path::PathBuf;

use gatepost_policy::OutpostPrefix;
use gatepost_policy::config::{self, Fields, Problems};
use gatepost_session::cookie::CookieName;
use gatepost_session::{Audience, KeyRing};
use openidconnect::{ClientId, ClientSecret, IssuerUrl, Scope};
use serde_json::Value;
use tracing::level_filters::LevelFilter;
use url::Url;
use zeroize::Zeroizing;

use super::{
    ApplicationSettings, ClientAuthentication, Config, Listen, Log, LogFormat, Mode, PluginKeys,
    PluginSettings, ProviderSettings, Route, SessionTimes, SignOut, StoreSettings, TraefikSettings,
};
use crate::authority::{Authority, CookieDomain, ExternalUrl};
use crate::trust::TrustedProxies;

/// Reads every key and reports what is wrong; `None` when something needed is missing or wrong.
pub(super) fn config(value: &Value, problems: &Problems) -> Option<Config> {
    let mut fields = Fields::of(value, "", problems)?;
    let files = RefCell::new(Vec::new());
    let listen = listen(&mut fields);
    let log = log(&mut fields);
    let keys = keys(&mut fields, &files);
    let trusted_proxies = trusted_proxies(&mut fields);
    let store = store(&mut fields);
    let session = session(&mut fields);
    let providers = fields.sections("providers");
    if providers.is_empty() {
        fields.problem("providers", "missing: at least one OpenID provider");
    }
    let written = providers.len();
    let providers: Vec<ProviderSettings> = providers
        .into_iter()
        .filter_map(|fields| provider(fields, &files))
        .collect();
    let names: Vec<&str> = providers
        .iter()
        .map(|provider| provider.name.as_str())
        .collect();
    for (at, name) in names.iter().enumerate() {
        if names.iter().take(at).any(|earlier| earlier == name) {
            fields.problem("providers", format!("two are called `{name}`"));
        }
    }
    let all_read = providers.len() == written;
    let applications = fields.sections("applications");
    if applications.is_empty() {
        fields.problem("applications", "missing: at least one application");
    }
    let applications: Vec<ApplicationSettings> = applications
        .into_iter()
        .filter_map(|fields| application(fields, &names, all_read))
        .collect();
    report_clashes(&applications, &fields);
    let traefik = fields.section("traefik").and_then(traefik);
    fields.finish();
    Some(Config {
        listen: listen?,
        log,
        keys: keys?,
        trusted_proxies,
        store,
        session,
        applications,
        traefik,
        files: files.into_inner(),
        providers,
    })
}

fn listen(fields: &mut Fields<'_>) -> Option<Listen> {
    // Loopback, so that nothing is reachable from elsewhere unless somebody says so.
    let http = SocketAddr::from(([127, 0, 0, 1], 9000));
    let metrics = SocketAddr::from(([127, 0, 0, 1], 9300));
    let Some(mut section) = fields.section("listen") else {
        return Some(Listen { http, metrics });
    };
    let mut address = |key, default| {
        section
            .parsed(key, |text| {
                let accepted = "expected an address and a port, like `0.0.0.0:9000` or `[::]:9000`";
                text.parse::<SocketAddr>().map_err(|_| accepted)
            })
            .unwrap_or(default)
    };
    let listen = Listen {
        http: address("http", http),
        metrics: address("metrics", metrics),
    };
    if listen.http == listen.metrics && listen.http.port() != 0 {
        section.problem(
            "metrics",
            "the same address as `http`: metrics are not the public's",
        );
    }
    section.finish();
    Some(listen)
}

fn log(fields: &mut Fields<'_>) -> Log {
    let mut log = Log {
        format: LogFormat::Text,
        level: LevelFilter::INFO,
    };
    if let Some(mut section) = fields.section("log") {
        let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
        let levels = [
            ("error", LevelFilter::ERROR),
            ("warn", LevelFilter::WARN),
            ("info", LevelFilter::INFO),
            ("debug", LevelFilter::DEBUG),
        ];
        log.format = section.choice("format", &formats).unwrap_or(log.format);
        log.level = section.choice("level", &levels).unwrap_or(log.level);
        section.finish();
    }
    log
}

fn keys(fields: &mut Fields<'_>, files: &RefCell<Vec<PathBuf>>) -> Option<KeyRing> {
    let entries = fields.list("keys");
    let file = fields.text("keysFile");
    match (entries, file) {
        (Some(_), Some(_)) => {
            fields.problem("keysFile", "stands beside `keys`: write one of them");
            None
        }
        (Some(entries), None) => {
            let entries = Zeroizing::new(entries);
            KeyRing::from_entries(entries.iter().map(String::as_str))
                .map_err(|error| fields.problem("keys", error))
                .ok()
        }
        (None, Some(path)) => {
            let text = read_file(fields, "keysFile", &path, files)?;
            KeyRing::parse(&text)
                .map_err(|error| fields.problem("keysFile", format!("{path}: {error}")))
                .ok()
        }
        (None, None) => {
            fields.problem(
                "keys",
                "missing: entries `kid:base64` of at least 32 bytes, or `keysFile`; `gatepost \
                 keygen` makes one",
            );
            None
        }
    }
}

/// Reads a file that a key names, and remembers it.
fn read_file(
    fields: &Fields<'_>,
    key: &str,
    path: &str,
    files: &RefCell<Vec<PathBuf>>,
) -> Option<Zeroizing<String>> {
    files.borrow_mut().push(PathBuf::from(path));
    match std::fs::read_to_string(path) {
        Ok(text) => Some(Zeroizing::new(text)),
        Err(error) => {
            fields.problem(key, format!("cannot read {path}: {error}"));
            None
        }
    }
}

fn trusted_proxies(fields: &mut Fields<'_>) -> TrustedProxies {
    let entries = fields.list("trustedProxies").unwrap_or_default();
    TrustedProxies::parse(entries.iter().map(String::as_str)).unwrap_or_else(|entry| {
        let accepted = "expected networks or addresses, like 10.0.0.0/8 or 127.0.0.1";
        fields.problem("trustedProxies", format!("`{entry}`: {accepted}"));
        TrustedProxies::default()
    })
}

fn store(fields: &mut Fields<'_>) -> StoreSettings {
    // Some 2 KiB each: this is bounded by memory, not by what clients do.
    let mut max_sessions = 100_000;
    if let Some(mut section) = fields.section("store") {
        section.choice("kind", &[("memory", ())]);
        if let Some(number) = section.number("maxSessions", 100_000_000) {
            max_sessions = usize::try_from(number.max(1)).unwrap_or(max_sessions);
        }
        section.finish();
    }
    StoreSettings::Memory { max_sessions }
}

fn session(fields: &mut Fields<'_>) -> SessionTimes {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    // A revoked session ends within one window where nothing tells the plugins, so it is short; a
    // page load in its last third renews it, so that nobody who is active notices.
    let mut times = SessionTimes {
        window: 15 * MINUTE,
        renew_after: 10 * MINUTE,
        idle: 8 * HOUR,
        lifetime: 24 * HOUR,
    };
    let Some(mut section) = fields.section("session") else {
        return times;
    };
    let window = section.seconds("window");
    times.window = window.unwrap_or(times.window);
    // Two thirds of the window, unless it is said.
    let renew_after = section.seconds("renewAfter");
    times.renew_after = renew_after.unwrap_or(times.window / 3 * 2);
    times.idle = section.seconds("idle").unwrap_or(times.idle);
    times.lifetime = section.seconds("lifetime").unwrap_or(times.lifetime);
    if !(1..=24 * HOUR).contains(&times.window) {
        section.problem(
            "window",
            "expected 1s to 24h: so long a revoked session may live on",
        );
    }
    if times.renew_after >= times.window && renew_after.is_some() {
        section.problem("renewAfter", "must be shorter than `window`");
    }
    if times.idle < times.window {
        section.problem(
            "idle",
            "must not be shorter than `window`, within which nobody asks",
        );
    }
    if times.lifetime < times.window {
        section.problem("lifetime", "must not be shorter than `window`");
    }
    section.finish();
    times
}

fn provider(mut fields: Fields<'_>, files: &RefCell<Vec<PathBuf>>) -> Option<ProviderSettings> {
    let name = fields.required_text("name", "what applications call this provider");
    let issuer = fields.required_text(
        "issuer",
        "the issuer, as in the provider's discovery document",
    );
    let issuer = issuer.and_then(|issuer| match issuer_url(&issuer) {
        Ok(issuer) => Some(issuer),
        Err(message) => {
            fields.problem("issuer", message);
            None
        }
    });
    let client_id = fields.required_text("clientId", "the id that the provider gave Gatepost");
    let client_secret = client_secret(&mut fields, files);
    let methods = [
        ("basic", ClientAuthentication::Basic),
        ("post", ClientAuthentication::Post),
    ];
    let client_authentication = fields.choice("clientAuthentication", &methods);
    let scopes = fields
        .list("scopes")
        .unwrap_or_else(|| vec!["openid".into(), "profile".into(), "email".into()]);
    let groups_claim = fields
        .text("groupsClaim")
        .unwrap_or_else(|| "groups".to_owned());
    // A claim whose name is a URL has dots of its own, and stands at the top.
    let groups_claim: Vec<String> = if groups_claim.contains("://") {
        vec![groups_claim]
    } else {
        groups_claim.split('.').map(str::to_owned).collect()
    };
    if groups_claim.iter().any(String::is_empty) {
        fields.problem(
            "groupsClaim",
            "expected a claim's name, or a path like `realm_access.roles`",
        );
    }
    let sign_outs = [
        ("provider", SignOut::AtProvider),
        ("local", SignOut::LocalOnly),
    ];
    let sign_out = fields.choice("signOut", &sign_outs).unwrap_or_default();
    let authorities = fields
        .text("caFile")
        .and_then(|path| read_file(&fields, "caFile", &path, files))
        .map(|pem| pem.as_bytes().to_vec())
        .unwrap_or_default();
    if !authorities.is_empty() && reqwest::Certificate::from_pem_bundle(&authorities).is_err() {
        fields.problem("caFile", "expected certificates in PEM");
    }
    fields.finish();
    Some(ProviderSettings {
        name: name?,
        issuer: issuer?,
        client_id: ClientId::new(client_id?),
        client_secret,
        client_authentication,
        scopes: scopes
            .into_iter()
            .filter(|scope| scope != "openid")
            .map(Scope::new)
            .collect(),
        groups_claim,
        sign_out,
        authorities,
    })
}

fn issuer_url(text: &str) -> Result<IssuerUrl, &'static str> {
    const ACCEPTED: &str = "expected an http or https URL without query, like \
                            `https://id.example.com/realms/main`";
    let issuer = IssuerUrl::new(text.to_owned()).map_err(|_| ACCEPTED)?;
    let url = issuer.url();
    let good = matches!(url.scheme(), "http" | "https")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.has_host();
    if good { Ok(issuer) } else { Err(ACCEPTED) }
}

fn client_secret(fields: &mut Fields<'_>, files: &RefCell<Vec<PathBuf>>) -> Option<ClientSecret> {
    let inline = fields.text("clientSecret");
    let file = fields.text("clientSecretFile");
    let secret = match (inline, file) {
        (Some(_), Some(_)) => {
            fields.problem(
                "clientSecretFile",
                "stands beside `clientSecret`: write one of them",
            );
            return None;
        }
        (Some(secret), None) => secret,
        (None, Some(path)) => read_file(fields, "clientSecretFile", &path, files)?
            .trim_end()
            .to_owned(),
        (None, None) => return None,
    };
    if secret.is_empty() {
        fields.problem("clientSecret", "is empty: leave it out for a public client");
    }
    Some(ClientSecret::new(secret))
}

fn application(
    mut fields: Fields<'_>,
    providers: &[&str],
    all_providers_read: bool,
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
    let prefix = fields
        .parsed("outpostPrefix", OutpostPrefix::new)
        .unwrap_or_default();
    let provider = fields.text("provider");
    let provider = match (provider, providers) {
        (Some(name), _) if providers.contains(&name.as_str()) || !all_providers_read => Some(name),
        (Some(name), _) => {
            let known = providers.join(", ");
            fields.problem(
                "provider",
                format!("`{name}` is none of the providers: {known}"),
            );
            None
        }
        (None, [only]) => Some((*only).to_owned()),
        (None, []) => None,
        (None, _) => {
            fields.problem(
                "provider",
                format!("missing: one of {}", providers.join(", ")),
            );
            None
        }
    };
    let forward_cookie = fields.flag("forwardCookie").unwrap_or(false);
    let routes = routes(&mut fields, cookie_domain.as_ref(), external.as_ref());
    let shared = SHARED
        .into_iter()
        .filter_map(|key| Some((key.to_owned(), fields.value(key)?.clone())))
        .collect();
    let policy = config::policy(&mut fields);
    let headers = config::headers(&mut fields, audience.as_ref().map_or("", Audience::as_str));
    fields.finish();
    Some(ApplicationSettings {
        audience: audience?,
        mode: match cookie_domain {
            Some(domain) => Mode::Domain(domain),
            None if domain_mode => return None,
            None => Mode::Single,
        },
        external: external?,
        provider: provider?,
        prefix,
        cookie_name,
        policy,
        headers,
        forward_cookie,
        routes,
        shared,
    })
}

/// The keys of an application that the plugin has too, with the same meaning.
const SHARED: [&str; 6] = [
    "outpostPrefix",
    "cookieName",
    "public",
    "allowPreflight",
    "require",
    "headers",
];

/// Where Traefik finds the application.
fn routes(
    fields: &mut Fields<'_>,
    cookie_domain: Option<&CookieDomain>,
    external: Option<&ExternalUrl>,
) -> Vec<Route> {
    const ACCEPTED: &str = "expected an http or https URL, like `http://wiki:8080`";
    let upstream = fields.parsed("upstream", |text| upstream_url(text).ok_or(ACCEPTED));
    let mut routes: Vec<Route> = upstream
        .zip(external)
        .map(|(upstream, external)| Route {
            host: external.host().to_owned(),
            upstream,
        })
        .into_iter()
        .collect();
    for (host, text) in fields.texts("upstreams") {
        let valid = Authority::parse(&host).is_some_and(|authority| authority.port().is_none());
        match (upstream_url(&text), cookie_domain) {
            (_, None) => fields.problem("upstreams", "is for `mode: domain`: write `upstream`"),
            (_, Some(domain)) if !valid || !domain.contains(&host) => {
                fields.problem(
                    "upstreams",
                    format!("`{host}` is no host under cookieDomain"),
                );
            }
            (None, _) => fields.problem("upstreams", format!("`{host}`: {ACCEPTED}")),
            (Some(upstream), Some(_)) => routes.push(Route { host, upstream }),
        }
    }
    routes
}

fn upstream_url(text: &str) -> Option<Url> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

fn traefik(mut fields: Fields<'_>) -> Option<TraefikSettings> {
    let outpost_url = fields.required_text("outpostUrl", "the outpost, as Traefik reaches it");
    let outpost_url = outpost_url.and_then(|text| {
        let url = upstream_url(&text);
        if url.is_none() {
            fields.problem("outpostUrl", "expected a URL like `http://outpost:9000`");
        }
        url
    });
    let name = fields.text("plugin");
    let file = fields.text("pluginKeysFile");
    let env = fields.text("pluginKeysEnv");
    let keys = match (&name, file, env) {
        (Some(_), Some(file), None) => Some(PluginKeys::File(file)),
        (Some(_), None, Some(env)) => Some(PluginKeys::Env(env)),
        (Some(_), ..) => {
            fields.problem("plugin", "needs either `pluginKeysFile` or `pluginKeysEnv`");
            None
        }
        (None, None, None) => None,
        (None, ..) => {
            fields.problem(
                "plugin",
                "missing: the plugin's name in Traefik's configuration",
            );
            None
        }
    };
    let entry_points = fields.list("entryPoints").unwrap_or_default();
    let tls = fields.flag("tls").unwrap_or(false);
    let cert_resolver = fields.text("certResolver");
    fields.finish();
    Some(TraefikSettings {
        outpost_url: outpost_url?,
        plugin: name
            .zip(keys)
            .map(|(name, keys)| PluginSettings { name, keys }),
        entry_points,
        tls,
        cert_resolver,
    })
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

/// Reports applications that could not be told apart.
fn report_clashes(applications: &[ApplicationSettings], fields: &Fields<'_>) {
    for (at, application) in applications.iter().enumerate() {
        let earlier = || applications.iter().take(at);
        if earlier().any(|other| other.audience == application.audience) {
            fields.problem(
                "applications",
                format!("two are called `{}`", application.audience),
            );
        }
        if earlier().any(|other| other.external.origin() == application.external.origin()) {
            let origin = application.external.origin();
            fields.problem(
                "applications",
                format!("two have the externalUrl `{origin}`"),
            );
        }
        if let Mode::Domain(domain) = &application.mode
            && earlier().any(|other| other.mode == application.mode)
        {
            let domain = domain.as_str();
            fields.problem(
                "applications",
                format!("two have the cookieDomain `{domain}`"),
            );
        }
    }
}
