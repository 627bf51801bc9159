//! From what authentik says of its providers to applications of the outpost.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gatepost_policy::{
    AuthorizationSchemes, HeaderName, HeaderRules, HeaderSettings, OutpostPrefix, Policy, Preset,
};
use gatepost_session::cookie::CookieName;
use gatepost_session::{Audience, KeyRing};
use openidconnect::{ClientId, ClientSecret, IssuerUrl, Scope};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::api::{AGENT, Snapshot};
use super::settings::Settings;
use super::token_headers::{AuthentikHeaders, UpstreamBasic};
use crate::application::{
    ApplicationSettings, Capabilities, InvalidCredentials, MachineClientSettings, MatchedPart,
    OwnKeys, Route, SignOutScope, SkipPaths, Unserved,
};
use crate::compat::{AUTHENTIK_PREFIX, Conventions};
use crate::origin::{CookieDomain, ExternalUrl, Mode, names_a_host};
use gatepost_base::{Secret, hex};
use gatepost_oidc::{
    AccessTokenSettings, ClientAuthentication, Grant, ProviderSettings, PublicAddress,
    StaticProvider, TokenRequest, UnverifiedEmail,
};

#[cfg(test)]
mod tests;
mod unserved;

/// What authentik's providers are here.
#[derive(Debug, Default)]
pub(super) struct Mapped {
    /// One provider for each application: each has a client of its own.
    pub(super) providers: Vec<ProviderSettings>,
    /// The applications.
    pub(super) applications: Vec<ApplicationSettings>,
    /// The providers that have none, with the names that they keep.
    pub(super) unserved: Vec<Unserved>,
    /// What could not be used as it is, in words for an operator.
    pub(super) problems: Vec<String>,
}

/// `ProxyOutpostConfig` of the API's schema, as far as it is used. All but the first four fields
/// may be missing.
#[derive(Deserialize)]
struct ProxyProvider {
    pk: i64,
    name: String,
    external_host: String,
    oidc_configuration: Map<String, Value>,
    #[serde(default)]
    internal_host: Option<String>,
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    client_secret: Option<String>,
    #[serde(default)]
    cookie_secret: Option<String>,
    #[serde(default)]
    cookie_domain: Option<String>,
    #[serde(default)]
    mode: Option<ProxyMode>,
    #[serde(default)]
    skip_path_regex: Option<String>,
    #[serde(default)]
    basic_auth_enabled: Option<bool>,
    #[serde(default)]
    basic_auth_user_attribute: Option<String>,
    #[serde(default)]
    basic_auth_password_attribute: Option<String>,
    #[serde(default)]
    access_token_validity: Option<f64>,
    #[serde(default)]
    intercept_header_auth: Option<bool>,
    #[serde(default)]
    scopes_to_request: Option<Vec<String>>,
    #[serde(default)]
    assigned_application_slug: Option<String>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum ProxyMode {
    /// authentik's outpost is the proxy itself, which Gatepost's is not: the sign-in is as in
    /// `ForwardSingle`.
    Proxy,
    ForwardSingle,
    ForwardDomain,
}

/// Maps every provider that can be mapped. A provider that cannot does not affect the others.
pub(super) fn map(snapshot: &Snapshot, settings: &Settings) -> Mapped {
    let mut mapped = Mapped::default();
    let outpost = snapshot.outpost.get("name").and_then(Value::as_str);
    let outpost = outpost.unwrap_or("gatepost");
    let from_config = snapshot
        .setting("authentik_host_browser")
        .and_then(|text| Url::parse(text).ok());
    let surroundings = Surroundings {
        outpost,
        settings,
        browser_host: settings.browser_host().or(from_config.as_ref()),
    };
    for value in &snapshot.providers {
        let mut problems = Vec::new();
        let usable = match serde_json::from_value(value.clone()) {
            Ok(provider) => surroundings.application(&provider, &mut problems),
            Err(_) => Err(Unusable("not as the API describes it".to_owned())),
        };
        let usable = usable.and_then(|(client, application)| {
            match clash(&application, &mapped.applications) {
                None => Ok((client, application)),
                Some(clash) => Err(Unusable(clash)),
            }
        });
        match usable {
            Ok((client, application)) => {
                mapped.providers.push(client);
                mapped.applications.push(application);
            }
            Err(Unusable(reason)) => {
                problems.push(format!("{reason}: left out"));
                mapped.unserved.push(unserved::of(value, reason));
            }
        }
        let named = |problem| format!("provider `{}`: {problem}", unserved::name_of(value));
        mapped.problems.extend(problems.into_iter().map(named));
    }
    for value in &snapshot.absent {
        let reason = "the outpost has it, but authentik no longer lists it: give it an application";
        let unserved = unserved::of(value, reason.to_owned());
        let problem = format!("provider `{}`: {reason}: left out", unserved.name);
        mapped.problems.push(problem);
        mapped.unserved.push(unserved);
    }
    for unserved in &mapped.unserved {
        if unserved.host.is_none() && unserved.domain.is_none() {
            mapped.problems.push(format!(
                "provider `{}`: its host is not known, so nothing is refused in its place",
                unserved.name
            ));
        }
    }
    mapped
}

/// Why a provider has no application.
struct Unusable(String);

impl Unusable {
    fn field(name: &str, problem: impl std::fmt::Display) -> Self {
        Self(format!("{name}: {problem}"))
    }
}

/// The values that are the same for all providers.
struct Surroundings<'a> {
    outpost: &'a str,
    settings: &'a Settings,
    browser_host: Option<&'a Url>,
}

impl Surroundings<'_> {
    fn application(
        &self,
        provider: &ProxyProvider,
        problems: &mut Vec<String>,
    ) -> Result<(ProviderSettings, ApplicationSettings), Unusable> {
        let external = external(&provider.external_host, problems)?;
        let mode = mode(provider, &external)?;
        let slug = filled(provider.assigned_application_slug.as_deref());
        let audience = slug.map_or_else(|| format!("provider-{}", provider.pk), str::to_owned);
        let audience = Audience::new(&audience)
            .map_err(|error| Unusable::field("assigned_application_slug", error))?;
        let secret = provider.cookie_secret.as_deref().unwrap_or_default();
        let keys = keys(secret)?;
        let client = self.client(provider)?;
        let matched = match mode {
            Mode::Single => MatchedPart::Path,
            Mode::Domain(_) => MatchedPart::Url,
        };
        let skip = provider.skip_path_regex.as_deref().unwrap_or_default();
        let upstream = filled(provider.internal_host.as_deref())
            .filter(|_| provider.mode == Some(ProxyMode::Proxy))
            .and_then(|url| Url::parse(url).ok())
            .filter(names_a_host);
        let headers = self.headers(provider, &audience, &client);
        let cookie_name =
            CookieName::default_for(external.is_https(), matches!(mode, Mode::Domain(_)));
        let application = ApplicationSettings {
            ports: Vec::new(),
            providers: vec![client.name.clone()],
            prefix: OutpostPrefix::new(AUTHENTIK_PREFIX).unwrap_or_default(),
            cookie_name,
            policy: Policy {
                machine_clients: AuthorizationSchemes::of_authorization(),
                ..Policy::default()
            },
            headers: headers.clone(),
            forward_cookie: false,
            cookie_groups: None,
            // As authentik's outposts do since 2023.2.
            sign_out: SignOutScope::Everywhere,
            assertion: None,
            cross_site: gatepost_signing::CrossSite::default(),
            device_bound: None,
            machine_clients: Some(machine_clients(provider)),
            routes: upstream
                .map(|upstream| Route {
                    host: external.host().to_owned(),
                    upstream,
                })
                .into_iter()
                .collect(),
            shared: Map::from_iter([
                ("outpostPrefix".to_owned(), json!(AUTHENTIK_PREFIX)),
                ("headers".to_owned(), json!({"preset": "authentik"})),
            ]),
            capabilities: Capabilities {
                conventions: Conventions::Authentik,
                keys: Some(keys),
                lifetime: lifetime(provider.access_token_validity),
                skip_paths: SkipPaths::parse(skip, matched, problems),
                token_headers: Some(Arc::new(AuthentikHeaders {
                    basic: basic(provider),
                    rules: headers,
                })),
            },
            audience,
            mode,
            external,
        };
        Ok((client, application))
    }

    /// Returns the settings of the application's client at authentik.
    fn client(&self, provider: &ProxyProvider) -> Result<ProviderSettings, Unusable> {
        let mut document = provider.oidc_configuration.clone();
        if let Some(browser) = self.browser_host {
            // The addresses that browsers and tokens see are public, and those that the outpost
            // asks are not.
            for key in ["issuer", "authorization_endpoint", "end_session_endpoint"] {
                readdress(&mut document, key, browser);
            }
            let internal = self.settings.host();
            for key in [
                "token_endpoint",
                "userinfo_endpoint",
                "introspection_endpoint",
                "jwks_uri",
            ] {
                readdress(&mut document, key, internal);
            }
        }
        // A token that a client gets at authentik's internal address names that as its issuer.
        let internal = provider.oidc_configuration.get("issuer");
        let internal = internal.filter(|internal| document.get("issuer") != Some(internal));
        let internal = internal.and_then(Value::as_str).map(str::to_owned);
        let other_issuers = internal.into_iter().collect();
        let issuer = document.get("issuer").and_then(Value::as_str);
        let issuer = IssuerUrl::new(issuer.unwrap_or_default().to_owned())
            .map_err(|error| Unusable::field("oidc_configuration.issuer", error))?;
        let client_id = filled(provider.client_id.as_deref())
            .ok_or_else(|| Unusable("client_id: missing".to_owned()))?;
        let client_secret = filled(provider.client_secret.as_deref());
        let scopes = provider.scopes_to_request.iter().flatten();
        // A set, whose order says nothing.
        let scopes: BTreeSet<&str> = scopes.map(String::as_str).collect();
        let client_id = ClientId::new(client_id.to_owned());
        Ok(ProviderSettings {
            client_secret: client_secret.map(|secret| ClientSecret::new(secret.to_owned())),
            client_authentication: Some(ClientAuthentication::Post),
            scopes: scopes
                .into_iter()
                .filter(|scope| *scope != "openid")
                .map(|scope| Scope::new(scope.to_owned()))
                .collect(),
            // authentik passes every address to applications, and by default marks each as
            // unverified.
            unverified_email: UnverifiedEmail::Accept,
            static_provider: Some(StaticProvider {
                other_issuers,
                document: Value::Object(document),
                asked_as: self.browser_host.and_then(PublicAddress::of),
                insecure: self.settings.insecure(),
            }),
            ..ProviderSettings::new(provider.name.clone(), issuer, client_id)
        })
    }

    fn headers(
        &self,
        provider: &ProxyProvider,
        audience: &Audience,
        client: &ProviderSettings,
    ) -> HeaderRules {
        let document = client.static_provider.as_ref().map(|known| &known.document);
        let jwks = document.and_then(|document| document.get("jwks_uri"));
        let constants = [
            ("X-Authentik-Meta-Outpost", self.outpost),
            ("X-Authentik-Meta-Provider", provider.name.as_str()),
            (
                "X-Authentik-Meta-Jwks",
                jwks.and_then(Value::as_str).unwrap_or_default(),
            ),
            ("X-Authentik-Meta-Version", AGENT),
        ];
        let named = |(name, value): (&str, &str)| Some((HeaderName::new(name).ok()?, value.into()));
        HeaderRules::new(HeaderSettings {
            constants: constants.into_iter().filter_map(named).collect(),
            ..HeaderSettings::of(Preset::Authentik, audience.as_str())
        })
    }
}

/// Returns the text unless it is empty.
fn filled(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

fn external(text: &str, problems: &mut Vec<String>) -> Result<ExternalUrl, Unusable> {
    let url = Url::parse(text).map_err(|error| Unusable::field("external_host", error))?;
    if url.path() != "/" {
        problems.push("external_host: has a path, which says nothing here".to_owned());
    }
    ExternalUrl::parse(&url.origin().ascii_serialization())
        .map_err(|error| Unusable::field("external_host", error))
}

fn mode(provider: &ProxyProvider, external: &ExternalUrl) -> Result<Mode, Unusable> {
    if provider.mode != Some(ProxyMode::ForwardDomain) {
        return Ok(Mode::Single);
    }
    let domain = CookieDomain::parse(provider.cookie_domain.as_deref().unwrap_or_default())
        .map_err(|error| Unusable::field("cookie_domain", error))?;
    if !domain.contains(external.host()) {
        return Err(Unusable::field(
            "cookie_domain",
            format!("`{}` is not in it", external.host()),
        ));
    }
    Ok(Mode::Domain(domain))
}

/// Returns the key of an application: the cookie secret of its provider.
fn keys(cookie_secret: &str) -> Result<OwnKeys, Unusable> {
    let mut hash = Sha256::new();
    hash.update(b"gatepost authentik kid v1");
    hash.update(cookie_secret.as_bytes());
    let id = hex(hash.finalize().iter().take(4));
    let entry = Secret::new(format!("ak-{id}:{}", STANDARD.encode(cookie_secret)));
    let ring = KeyRing::from_entries([entry.expose()])
        .map_err(|error| Unusable::field("cookie_secret", error))?;
    Ok(OwnKeys { ring, entry })
}

/// Returns the lifetime in seconds. authentik's own outposts keep a session a second longer than
/// its token.
fn lifetime(validity: Option<f64>) -> Option<u64> {
    let validity = validity.filter(|validity| validity.is_finite() && *validity >= 1.0)?;
    std::time::Duration::try_from_secs_f64(validity)
        .ok()
        .map(|validity| validity.as_secs().saturating_add(1))
}

/// Seconds for which authentik's answer about credentials is used, as in its own outposts.
const MACHINE_CACHE_SECONDS: u64 = 60;

/// Returns how credentials are checked at authentik: by introspection, since without a signing key
/// only authentik can verify a token.
fn machine_clients(provider: &ProxyProvider) -> MachineClientSettings {
    let scopes: BTreeSet<&String> = provider.scopes_to_request.iter().flatten().collect();
    MachineClientSettings {
        resource: None,
        public_client: None,
        issuers: Vec::new(),
        provider: None,
        tokens: AccessTokenSettings {
            introspect: true,
            ..AccessTokenSettings::default()
        },
        exchange: TokenRequest {
            grant: Grant::Authentik,
            scopes: scopes.into_iter().cloned().collect(),
            parameters: Vec::new(),
        },
        cache: MACHINE_CACHE_SECONDS,
        forward: false,
        // authentik's default, and that of its outposts, is to intercept the header.
        invalid_credentials: if provider.intercept_header_auth.unwrap_or(true) {
            InvalidCredentials::SignInOnPageLoad
        } else {
            InvalidCredentials::Ignore
        },
    }
}

fn basic(provider: &ProxyProvider) -> Option<UpstreamBasic> {
    provider.basic_auth_enabled.unwrap_or(false).then(|| {
        let attribute = |name: &Option<String>| name.clone().unwrap_or_default();
        UpstreamBasic {
            user_attribute: attribute(&provider.basic_auth_user_attribute),
            password_attribute: attribute(&provider.basic_auth_password_attribute),
        }
    })
}

/// Gives a URL another scheme, host and port.
fn readdress(document: &mut Map<String, Value>, key: &str, to: &Url) {
    let Some(Value::String(text)) = document.get_mut(key) else {
        return;
    };
    // Text by text: an issuer is compared exactly, so nothing of its path may be tidied up.
    let rest = text
        .split_once("://")
        .and_then(|(_, rest)| rest.find('/').map(|at| rest.split_at(at).1))
        .unwrap_or_default()
        .to_owned();
    *text = format!("{}{rest}", to.origin().ascii_serialization());
}

/// Returns why an application cannot be served together with the others.
fn clash(application: &ApplicationSettings, others: &[ApplicationSettings]) -> Option<String> {
    others.iter().find_map(|other| {
        if other.audience == application.audience {
            return Some(format!("`{}` has a provider already", other.audience));
        }
        if other.external.origin() == application.external.origin() {
            return Some(format!("`{}` is at this address already", other.audience));
        }
        // Neither is served then: see `Applications::new`.
        if other.external.host() == application.external.host() {
            return Some(format!(
                "`{}` has this host name too, and a port does not distinguish them, since clients \
                 write it and proxies do not compare it: give each a host name of its own",
                other.audience
            ));
        }
        if other.providers == application.providers {
            return Some(format!("`{}` has a provider of this name", other.audience));
        }
        match (&application.mode, &other.mode) {
            (Mode::Domain(domain), Mode::Domain(taken)) if domain == taken => Some(format!(
                "`{}` has this cookie domain already",
                other.audience
            )),
            _ => None,
        }
    })
}
