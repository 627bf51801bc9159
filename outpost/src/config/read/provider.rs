//! The keys of a provider.

use std::cell::RefCell;
use std::path::PathBuf;

use gatepost_policy::config::Fields;
use openidconnect::{ClientId, ClientSecret, IssuerUrl, Scope};

use super::read_file;
use gatepost_oidc::{ClientAuthentication, ProviderSettings, SignOut, UnverifiedEmail};

pub(super) fn provider(
    mut fields: Fields<'_>,
    files: &RefCell<Vec<PathBuf>>,
) -> Option<ProviderSettings> {
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
    let trusted_audiences = fields.list("trustedAudiences").unwrap_or_default();
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
    let addresses = [
        ("drop", UnverifiedEmail::Drop),
        ("accept", UnverifiedEmail::Accept),
    ];
    let unverified_email = fields.choice("unverifiedEmail", &addresses);
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
    let base = ProviderSettings::new(name?, issuer?, ClientId::new(client_id?));
    Some(ProviderSettings {
        title,
        client_secret,
        client_authentication,
        scopes: scopes
            .into_iter()
            .filter(|scope| scope != "openid")
            .map(Scope::new)
            .collect(),
        trusted_audiences,
        groups_claim,
        unverified_email: unverified_email.unwrap_or_default(),
        sign_out,
        authorities,
        ..base
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
