//! The keys of a provider.

use std::fs::metadata;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use gatepost_oidc::{
    ClaimPath, ClaimSettings, ClientAuthentication, ClientKey, NonceCheck, ProviderSettings,
    ResponseMode, SignOut, SignOutUrl, UnverifiedEmail, is_free_parameter,
};
use gatepost_policy::config::Fields;
use openidconnect::{ClientId, ClientSecret, IssuerUrl, Scope};
use url::Url;

use super::files::{Files, Written, written};
use super::session::span;
use super::urls::http_url;
use crate::origin::is_bare;

pub(super) fn provider(mut fields: Fields<'_>, files: &Files) -> Option<ProviderSettings> {
    let name = fields.required_text("name", "what applications call this provider");
    let title = fields.text("title");
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
    let tenants = tenants(&mut fields);
    let discovery_url = fields.parsed("discoveryUrl", web_url);
    let internal_url = fields.parsed("internalUrl", origin_url);
    let client_id = fields.required_text("clientId", "the id that the provider gave Gatepost");
    if let Some(id) = &client_id {
        report_variable(&mut fields, "clientId", id);
    }
    let client = client(&mut fields, files);
    let requests = requests(&mut fields);
    let trusted_audiences = fields.list("trustedAudiences").unwrap_or_default();
    let claims = claims(&mut fields);
    let graph_url = fields.parsed("graphUrl", origin_url);
    let has_tls = |url: &Url| url.scheme() == "https";
    if issuer.as_ref().is_some_and(|issuer| has_tls(issuer.url()))
        && graph_url.as_ref().is_some_and(|url| !has_tls(url))
    {
        fields.problem(
            "graphUrl",
            "must be https, as the issuer is: it gets access tokens",
        );
    }
    let addresses = [
        ("drop", UnverifiedEmail::Drop),
        ("accept", UnverifiedEmail::Accept),
    ];
    let unverified_email = fields.choice("unverifiedEmail", &addresses);
    let refresh_after = span(&mut fields, "refreshAfter");
    let sign_outs = [
        ("provider", SignOut::AtProvider),
        ("local", SignOut::LocalOnly),
    ];
    let sign_out = fields.choice("signOut", &sign_outs).unwrap_or_default();
    let sign_out_url = fields.parsed("signOutUrl", |text| {
        SignOutUrl::parse(text).ok_or(
            "expected a URL, in which `{clientId}` and `{returnTo}` are filled in, like \
             `https://id.example.com/logout?client_id={clientId}&logout_uri={returnTo}`",
        )
    });
    let authorities = authorities(&mut fields, files);
    fields.finish();
    Some(ProviderSettings {
        title,
        tenants,
        discovery_url,
        internal_url,
        client_secret: client.secret,
        client_key: client.key,
        client_authentication: client.authentication,
        scopes: requests.scopes,
        authorization_parameters: requests.parameters,
        caller_parameters: requests.from_link,
        pushed_authorization: requests.pushed,
        response_mode: requests.response_mode,
        nonce: requests.nonce,
        trusted_audiences,
        claims,
        graph_url,
        unverified_email: unverified_email.unwrap_or_default(),
        refresh_after,
        sign_out,
        sign_out_url,
        authorities,
        ..ProviderSettings::new(name?, issuer?, ClientId::new(client_id?))
    })
}

fn issuer_url(text: &str) -> Result<IssuerUrl, &'static str> {
    const ACCEPTED: &str = "expected an http or https URL without query, like \
                            `https://id.example.com/realms/main`";
    const DOCUMENT: &str = "/.well-known/openid-configuration";
    if text.trim_end_matches('/').ends_with(DOCUMENT) {
        return Err(
            "the address of the discovery document, which begins with the issuer: leave \
             `/.well-known/openid-configuration` out",
        );
    }
    let issuer = IssuerUrl::new(text.to_owned()).map_err(|_| ACCEPTED)?;
    let url = issuer.url();
    let good = matches!(url.scheme(), "http" | "https")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.has_host();
    if good { Ok(issuer) } else { Err(ACCEPTED) }
}

fn web_url(text: &str) -> Result<Url, &'static str> {
    const ACCEPTED: &str = "expected an http or https URL";
    http_url(text).ok_or(ACCEPTED)
}

/// Parses scheme, host and port alone.
fn origin_url(text: &str) -> Result<Url, &'static str> {
    const ACCEPTED: &str =
        "expected a scheme, a host and maybe a port, like `http://keycloak:8080`";
    let url = http_url(text).ok_or(ACCEPTED)?;
    if is_bare(&url) {
        Ok(url)
    } else {
        Err(ACCEPTED)
    }
}

/// Reads `tenants`: ids, each of which takes a place in an issuer's path.
fn tenants(fields: &mut Fields<'_>) -> Vec<String> {
    let tenants = fields.list("tenants");
    if tenants.as_ref().is_some_and(Vec::is_empty) {
        fields.problem(
            "tenants",
            "an empty list: name each tenant, or leave the key out",
        );
    }
    let tenants = tenants.unwrap_or_default();
    let is_id = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    for tenant in tenants.iter().filter(|tenant| !is_id(tenant)) {
        fields.problem("tenants", format!("`{tenant}` is not a tenant's id"));
    }
    tenants
}

/// Returns why a file's path may be the secret itself, which no message may show: there is no such file, and
/// no folder either in which it could be.
fn may_be_the_secret(path: &Path) -> Option<&'static str> {
    let is_missing = |path: &Path| {
        metadata(path).is_err_and(|error| {
            matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::InvalidFilename
            )
        })
    };
    // The root and the working folder are there, whatever a secret is.
    let folder = path.parent().filter(|folder| folder.parent().is_some());
    (is_missing(path) && folder.is_none_or(is_missing)).then_some(
        "there is no such file, nor its folder. Is this the secret itself? Write it under \
         `clientSecret`, or into a file whose path you write here",
    )
}

/// Reports a text that is a variable of a shell or a compose file: nothing expands it here, and it may stand
/// for a secret, so that no later message would show it.
fn report_variable(fields: &mut Fields<'_>, key: &'static str, text: &str) {
    let name = text
        .strip_prefix("${")
        .and_then(|rest| rest.strip_suffix('}'));
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if name.is_some_and(is_name) {
        fields.problem(
            key,
            "variables (`${…}`) are not expanded in this file: write the value, a file, or set the \
             variable that this key has (`gatepost config example`, docs/configuration.md)",
        );
    }
}

/// The client that the outpost is at a provider, and how it authenticates.
struct Client {
    secret: Option<ClientSecret>,
    key: Option<Arc<ClientKey>>,
    authentication: Option<ClientAuthentication>,
}

fn client(fields: &mut Fields<'_>, files: &Files) -> Client {
    let secret = client_secret(fields, files);
    let key = client_key(fields, files);
    let methods = [
        ("basic", ClientAuthentication::Basic),
        ("post", ClientAuthentication::Post),
        ("secretJwt", ClientAuthentication::SecretJwt),
        ("privateKeyJwt", ClientAuthentication::PrivateKeyJwt),
    ];
    let authentication = fields.choice("clientAuthentication", &methods);
    let message = match authentication {
        Some(ClientAuthentication::PrivateKeyJwt) if key.is_none() => {
            Some("`privateKeyJwt` needs `clientKeyFile`")
        }
        Some(ClientAuthentication::SecretJwt) if secret.is_none() => {
            Some("`secretJwt` needs `clientSecret`")
        }
        _ => None,
    };
    if let Some(message) = message {
        fields.problem("clientAuthentication", message);
    }
    Client {
        secret,
        key,
        authentication,
    }
}

fn client_secret(fields: &mut Fields<'_>, files: &Files) -> Option<ClientSecret> {
    let inline = fields.text("clientSecret");
    let secret = match written(fields, inline, "clientSecret", "clientSecretFile")?.ok()? {
        Written::Inline(secret) => {
            if secret.is_empty() {
                fields.problem("clientSecret", "is empty: leave it out for a public client");
            }
            report_variable(fields, "clientSecret", &secret);
            secret
        }
        Written::File(path) => {
            if let Some(why) = may_be_the_secret(path.as_ref()) {
                files.watch(path.as_ref());
                fields.problem("clientSecretFile", why);
                return None;
            }
            let read = files.read(fields, "clientSecretFile", &path)?;
            let secret = read.trim_end();
            if secret.is_empty() {
                let message = format!("{path} is empty: write the client's secret into it");
                fields.problem("clientSecretFile", message);
            }
            secret.to_owned()
        }
    };
    Some(ClientSecret::new(secret))
}

fn client_key(fields: &mut Fields<'_>, files: &Files) -> Option<Arc<ClientKey>> {
    let id = fields.text("clientKeyId");
    let Some(path) = fields.text("clientKeyFile") else {
        if id.is_some() {
            fields.problem("clientKeyId", "needs `clientKeyFile`");
        }
        return None;
    };
    let pem = files.read(fields, "clientKeyFile", &path)?;
    match ClientKey::parse(pem.as_bytes(), id) {
        Ok(key) => Some(Arc::new(key)),
        Err(error) => {
            fields.problem("clientKeyFile", error);
            None
        }
    }
}

/// Settings of authorization requests beyond the protocol's own parameters.
struct Requests {
    scopes: Vec<Scope>,
    parameters: Vec<(String, String)>,
    from_link: Vec<String>,
    pushed: Option<bool>,
    response_mode: ResponseMode,
    nonce: NonceCheck,
}

/// The parameters of `start` itself.
const OF_START: [&str; 3] = ["rd", "provider", "redirect"];

fn requests(fields: &mut Fields<'_>) -> Requests {
    let scopes = fields
        .list("scopes")
        .unwrap_or_else(|| vec!["openid".into(), "profile".into(), "email".into()]);
    let parameters = fields.texts("authorizationParameters");
    for (name, value) in &parameters {
        if name == "max_age" && value.parse::<u64>().is_err() {
            let message = format!("`max_age` is a number of seconds, not `{value}`");
            fields.problem("authorizationParameters", message);
        }
        if !is_free_parameter(name) {
            let message = format!("`{name}` is set by the protocol: leave it out");
            fields.problem("authorizationParameters", message);
        }
    }
    let from_link = fields.list("parametersFromLink").unwrap_or_default();
    for name in &from_link {
        if !is_free_parameter(name) || OF_START.contains(&name.as_str()) {
            let message = format!("`{name}` cannot be taken from a link");
            fields.problem("parametersFromLink", message);
        }
    }
    let modes = [
        ("query", ResponseMode::Query),
        ("formPost", ResponseMode::FormPost),
    ];
    let nonces = [
        ("required", NonceCheck::Required),
        ("ifPresent", NonceCheck::IfPresent),
    ];
    Requests {
        // No scope has a blank (RFC 6749 §3.3): several in one text are what requests have.
        scopes: scopes
            .iter()
            .flat_map(|text| text.split_whitespace())
            .filter(|scope| *scope != "openid")
            .map(|scope| Scope::new(scope.to_owned()))
            .collect(),
        parameters,
        from_link,
        pushed: fields.flag("pushedAuthorization"),
        response_mode: fields.choice("responseMode", &modes).unwrap_or_default(),
        nonce: fields.choice("nonce", &nonces).unwrap_or_default(),
    }
}

fn claims(fields: &mut Fields<'_>) -> ClaimSettings {
    let default = ClaimSettings::default();
    let groups_separator = fields.text("groupsSeparator");
    if groups_separator.as_ref().is_some_and(String::is_empty) {
        fields.problem("groupsSeparator", "is empty: leave it out");
    }
    ClaimSettings {
        username: claim_path(fields, "usernameClaim").unwrap_or(default.username),
        email: claim_path(fields, "emailClaim").unwrap_or(default.email),
        name: claim_path(fields, "nameClaim").unwrap_or(default.name),
        groups: claim_paths(fields, "groupsClaim").unwrap_or(default.groups),
        groups_separator: groups_separator.filter(|separator| !separator.is_empty()),
    }
}

fn parse_path(text: &str) -> Result<ClaimPath, &'static str> {
    ClaimPath::parse(text).ok_or("expected a claim's name, or a path like `realm_access.roles`")
}

/// Reads the path of a claim.
pub(super) fn claim_path(fields: &mut Fields<'_>, key: &'static str) -> Option<ClaimPath> {
    fields.parsed(key, parse_path)
}

/// Reads the paths of claims, one at least.
pub(super) fn claim_paths(fields: &mut Fields<'_>, key: &'static str) -> Option<Vec<ClaimPath>> {
    let names = fields.list(key)?;
    if names.is_empty() {
        fields.problem(key, "an empty list: name a claim");
    }
    let paths = names.iter().map(|name| match parse_path(name) {
        Ok(path) => Some(path),
        Err(message) => {
            fields.problem(key, message);
            None
        }
    });
    Some(paths.collect::<Option<Vec<_>>>().unwrap_or_default())
}

/// Reads `caFile`.
pub(super) fn authorities(fields: &mut Fields<'_>, files: &Files) -> Vec<u8> {
    let Some(path) = fields.text("caFile") else {
        return Vec::new();
    };
    let Some(pem) = files.read(fields, "caFile", &path) else {
        return Vec::new();
    };
    // A text without a certificate is a bundle of none, with which no server would be trusted.
    let found = reqwest::Certificate::from_pem_bundle(pem.as_bytes());
    if !found.is_ok_and(|found| !found.is_empty()) {
        let message = format!("{path} has no certificate, or an invalid one: expected PEM");
        fields.problem("caFile", message);
    }
    pem.as_bytes().to_vec()
}
