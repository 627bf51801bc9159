//! How the credentials of machine clients are checked.

use std::path::PathBuf;

use gatepost_policy::config::Fields;
use gatepost_policy::{AuthorizationSchemes, OutpostPrefix};
use url::Url;

use super::files::{Files, Written, written};
use super::provider::{authorities, claim_path, claim_paths};
use super::providers::KnownProviders;
use super::urls::http_url;
use crate::application::{
    InvalidCredentials, MachineClientSettings, MachineIssuer, ProtectedResource, PublicClient,
};
use crate::origin::{CookieDomain, ExternalUrl};
use gatepost_oidc::{
    AccessTokenSettings, ClaimPath, ClaimSettings, Grant, KeySource, TokenIssuerSettings,
    TokenRequest,
};

/// Seconds for which the result of a check of credentials is used.
const MACHINE_CACHE_SECONDS: u64 = 300;

/// The most of them: a token that its issuer has revoked is accepted for as long.
const MOST_CACHE_SECONDS: u64 = 24 * 3_600;

/// Reads `machineTokens` of an application with these providers.
pub(super) fn read(
    fields: &mut Fields<'_>,
    schemes: &AuthorizationSchemes,
    place: Place<'_>,
    providers: Option<&[String]>,
    known: KnownProviders<'_>,
    files: &Files,
) -> Option<MachineClientSettings> {
    let mut settings = MachineClientSettings {
        provider: None,
        tokens: AccessTokenSettings::default(),
        resource: None,
        public_client: None,
        issuers: Vec::new(),
        exchange: TokenRequest::default(),
        cache: MACHINE_CACHE_SECONDS,
        forward: false,
        invalid_credentials: InvalidCredentials::Refuse,
    };
    if let Some(mut section) = fields.section("machineTokens") {
        if !schemes.any() {
            fields.problem(
                "machineTokens",
                "says nothing without `machines`: write `machines: [bearer]`",
            );
        }
        settings.provider = section.text("provider");
        if let (Some(name), Some(known)) = (&settings.provider, providers)
            && !known.contains(name)
        {
            let known = known.join(", ");
            let message = format!("`{name}` is not one of the application's providers: {known}");
            section.problem("provider", message);
        }
        settings.tokens.audience = section.list("audience").unwrap_or_default();
        let clients = section.list("clients");
        if clients.as_ref().is_some_and(Vec::is_empty) {
            section.problem("clients", "an empty list: leave the key out to accept any");
        }
        settings.tokens.clients = clients.unwrap_or_default();
        let grants = [
            ("clientCredentials", Grant::ClientCredentials),
            ("password", Grant::Password),
        ];
        settings.exchange.grant = section.choice("grant", &grants).unwrap_or_default();
        settings.exchange.scopes = section.list("scopes").unwrap_or_default();
        settings.exchange.parameters = section.texts("parameters");
        settings.resource = resource(&mut section, place, &settings.exchange.scopes);
        settings.public_client = public_client(&mut section, settings.resource.is_some());
        let own = providers.unwrap_or_default().iter();
        let mut own = own.filter_map(|name| known.find(name));
        if let Some(client) = &settings.public_client
            && own.any(|provider| provider.client_id.as_str() == client.id)
        {
            let message = format!("`{}` is the outpost's own client", client.id);
            section.problem("publicClient", message);
        }
        if let Some(resource) = &settings.resource {
            if settings.tokens.audience.is_empty() {
                settings.tokens.audience = resource.audiences();
            }
            let parameters = &mut settings.exchange.parameters;
            if !parameters.iter().any(|(name, _)| name == "resource") {
                parameters.push(("resource".to_owned(), resource.as_str().to_owned()));
            }
        }
        settings.tokens.introspect = section.flag("introspect").unwrap_or(false);
        settings.tokens.name_claim = section.text("nameClaim");
        settings.issuers = issuers(&mut section, providers.unwrap_or_default(), known, files);
        let cache = section.seconds_within(
            "cache",
            0..=MOST_CACHE_SECONDS,
            "so long a revoked token may be accepted",
        );
        settings.cache = cache.unwrap_or(MACHINE_CACHE_SECONDS);
        settings.forward = section.flag("forward").unwrap_or(false);
        section.finish();
    }
    schemes.any().then_some(settings)
}

/// The place of an application: where users reach it, and the domain that it may have.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) external: Option<&'a ExternalUrl>,
    pub(super) domain: Option<&'a CookieDomain>,
    pub(super) prefix: &'a OutpostPrefix,
}

/// Reads `resource`, which is at a host of the application.
fn resource(
    section: &mut Fields<'_>,
    place: Place<'_>,
    scopes: &[String],
) -> Option<ProtectedResource> {
    let resource = section.parsed("resource", ProtectedResource::parse)?;
    if let Some(external) = place.external {
        let origin = resource.origin();
        let is_here = match place.domain {
            None => origin == external.origin(),
            Some(domain) => {
                let is_https = origin.starts_with("https://");
                is_https == external.is_https() && domain.contains(resource.host())
            }
        };
        if !is_here {
            let message = format!(
                "`{}` is not an address of the application",
                resource.as_str()
            );
            section.problem("resource", message);
        }
    }
    if place.prefix.contains(resource.path().as_bytes()) {
        section.problem("resource", "its path is the outpost's own");
    }
    // RFC 6749 §3.3.
    let plain = |b: u8| matches!(b, b'!' | b'#'..=b'[' | b']'..=b'~');
    if let Some(scope) = scopes.iter().find(|scope| !scope.bytes().all(plain)) {
        section.problem("scopes", format!("`{scope}` is not a scope"));
    }
    Some(resource)
}

/// Reads `publicClient` and the redirect URIs that it is handed out for.
fn public_client(section: &mut Fields<'_>, has_resource: bool) -> Option<PublicClient> {
    let id = section.text("publicClient");
    let redirect_uris = section.list("redirectUris").unwrap_or_default();
    if id.is_some() && !has_resource {
        section.problem("publicClient", "needs `resource`");
    }
    if id.is_none() && !redirect_uris.is_empty() {
        section.problem("redirectUris", "has no effect without `publicClient`");
    }
    let is_whole = |text: &str| {
        let url = Url::parse(text).ok().filter(|url| url.fragment().is_none());
        url.is_some() && !text.contains('*')
    };
    if let Some(text) = redirect_uris.iter().find(|text| !is_whole(text)) {
        let message =
            format!("`{text}` is not a whole redirect URI, which must be compared as it is");
        section.problem("redirectUris", message);
    }
    Some(PublicClient {
        id: id?,
        redirect_uris,
    })
}

/// Reads `issuers`: others than the application's providers.
fn issuers(
    section: &mut Fields<'_>,
    providers: &[String],
    known: KnownProviders<'_>,
    files: &Files,
) -> Vec<MachineIssuer> {
    let sections = section.sections("issuers");
    let mut issuers: Vec<MachineIssuer> = Vec::new();
    for fields in sections {
        let Some(issuer) = issuer(fields, files) else {
            continue;
        };
        let name = &issuer.tokens.issuer;
        let is_providers = providers.iter().filter_map(|own| known.find(own));
        let mut is_providers = is_providers.filter(|own| own.issuer.as_str() == name);
        if is_providers.next().is_some() {
            section.problem(
                "issuers",
                format!("`{name}` is a provider of the application"),
            );
        }
        if issuers.iter().any(|earlier| earlier.tokens.issuer == *name) {
            section.problem("issuers", format!("`{name}` is named twice"));
        }
        issuers.push(issuer);
    }
    issuers
}

fn issuer(mut fields: Fields<'_>, files: &Files) -> Option<MachineIssuer> {
    let issuer = fields.required_text("issuer", "what its tokens have in `iss`");
    let audience = fields.list("audience").unwrap_or_default();
    if audience.is_empty() {
        fields.problem(
            "audience",
            "missing: what a token must be for (`aud`), since the issuer signs tokens for others too",
        );
    }
    let keys = key_source(&mut fields, files, issuer.as_deref());
    let authorities = authorities(&mut fields, files);
    let token_file = fields.text("tokenFile").map(PathBuf::from);
    let url = keys.as_ref().and_then(KeySource::url);
    if token_file.is_some() && url.is_none_or(|url| url.scheme() != "https") {
        fields.problem(
            "tokenFile",
            "needs keys at an https URL, which alone gets the token",
        );
    }
    let claims = ClaimSettings {
        username: claim_path(&mut fields, "usernameClaim").unwrap_or(ClaimPath::top("sub")),
        ..ClaimSettings::default()
    };
    let claims = ClaimSettings {
        email: claim_path(&mut fields, "emailClaim").unwrap_or(claims.email),
        groups: claim_paths(&mut fields, "groupsClaim").unwrap_or(claims.groups),
        ..claims
    };
    fields.finish();
    Some(MachineIssuer {
        tokens: TokenIssuerSettings {
            handed_on: Vec::new(),
            issuer: issuer?,
            audience,
            keys: keys?,
            claims,
        },
        authorities,
        token_file,
    })
}

fn key_source(fields: &mut Fields<'_>, files: &Files, issuer: Option<&str>) -> Option<KeySource> {
    const ACCEPTED: &str = "expected an http or https URL";
    let url: Option<Url> = fields.parsed("jwksUrl", |text| http_url(text).ok_or(ACCEPTED));
    match written(fields, url, "jwksUrl", "jwksFile") {
        Some(Err(())) => None,
        Some(Ok(Written::Inline(url))) => Some(KeySource::Url(url)),
        Some(Ok(Written::File(path))) => {
            let document = files.read(fields, "jwksFile", &path)?;
            match KeySource::given(document.as_bytes().to_vec()) {
                Ok(keys) => Some(keys),
                Err(error) => {
                    fields.problem("jwksFile", format!("{path} is not a key set: {error}"));
                    None
                }
            }
        }
        None => {
            let issuer = issuer?;
            let keys = http_url(issuer).and_then(|_| KeySource::discovery(issuer));
            if keys.is_none() {
                fields.problem(
                    "issuer",
                    "is not an http or https URL, at which its keys could be found: set `jwksUrl` or \
                     `jwksFile`",
                );
            }
            keys
        }
    }
}
