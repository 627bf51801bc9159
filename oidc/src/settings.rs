//! What an operator decides about a provider, and about the tokens that it issues.

use std::sync::Arc;

use openidconnect::{ClientId, ClientSecret, IssuerUrl, Scope};
use url::Url;

use crate::claim_path::ClaimPath;
use crate::client_key::ClientKey;
use crate::sign_out_url::SignOutUrl;
use crate::static_provider::StaticProvider;

/// The placeholder for a tenant in the issuer of a provider with several (Entra ID).
pub(crate) const TENANT: &str = "{tenantid}";

/// Returns where an issuer publishes its discovery document (OpenID Connect
/// Discovery 1.0 §4).
pub(crate) fn well_known(issuer: &str) -> String {
    let issuer = issuer.trim_end_matches('/');
    format!("{issuer}/.well-known/openid-configuration")
}

/// An OpenID provider, and the client that the relying party is there.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Its name in the configuration and in logs.
    pub name: String,
    /// Its name for users, where that differs.
    pub title: Option<String>,
    /// Its issuer, compared exactly as text.
    pub issuer: IssuerUrl,
    /// The tenants whose users may sign in, where the issuer is that of several (Entra ID's
    /// `common` and `organizations`): each replaces `{tenantid}` in the issuer that the metadata
    /// names.
    pub tenants: Vec<String>,
    /// Where the discovery document is, if not below the issuer: an address at which the provider
    /// is reached internally. Endpoints that it names may then be without TLS at that address.
    pub discovery_url: Option<Url>,
    /// The scheme, host and port at which the caller's [`crate::HttpClient`] reaches what has those of
    /// the issuer. This crate does not use it.
    pub internal_url: Option<Url>,
    /// The client's id at the provider.
    pub client_id: ClientId,
    /// The clients, this or others at the same issuer, whose access tokens applications get from the
    /// caller. An application could use such a token at another, so it counts as no machine client's.
    pub handed_on: Vec<String>,
    /// The secret of a confidential client. A public client has none; PKCE protects both.
    pub client_secret: Option<ClientSecret>,
    /// The key of a confidential client that signs its assertions.
    pub client_key: Option<Arc<ClientKey>>,
    /// How the client authenticates; `None` leaves the choice to the provider's metadata.
    pub client_authentication: Option<ClientAuthentication>,
    /// The scopes that are requested besides `openid`.
    pub scopes: Vec<Scope>,
    /// Further parameters of authorization requests.
    pub authorization_parameters: Vec<(String, String)>,
    /// The names of parameters that a caller may add to one request
    /// ([`crate::AuthorizationOptions::parameters`]).
    pub caller_parameters: Vec<String>,
    /// Whether authorization requests are pushed (RFC 9126); `None`: where the provider's metadata
    /// requires it.
    pub pushed_authorization: Option<bool>,
    /// How the provider sends authorization responses.
    pub response_mode: ResponseMode,
    /// Whether ID tokens have to have the nonce of the authorization request.
    pub nonce: NonceCheck,
    /// Audiences that an ID token may name besides the client without an `azp` that names the
    /// client that it was issued to (OpenID Connect Core 1.0 §3.1.3.7).
    pub trusted_audiences: Vec<String>,
    /// Where the claims of a user are.
    pub claims: ClaimSettings,
    /// Where Microsoft Graph is, which is asked for the groups of a user who has too many for an ID
    /// token. `None`: it is not asked.
    pub graph_url: Option<Url>,
    /// What happens to an e-mail address that the provider calls unverified.
    pub unverified_email: UnverifiedEmail,
    /// Seconds after which the caller asks the provider again about a session, if not after those of
    /// all providers. This crate does not use it.
    pub refresh_after: Option<u64>,
    /// What signing out does beyond ending the local session.
    pub sign_out: SignOut,
    /// Where browsers sign out, if not at the end session endpoint of the metadata.
    pub sign_out_url: Option<SignOutUrl>,
    /// Certificates that are trusted besides the system's, in PEM.
    pub authorities: Vec<u8>,
    /// The provider's metadata, where it is known without discovery.
    pub static_provider: Option<StaticProvider>,
}

impl ProviderSettings {
    /// Returns what proves to the provider that the client is the client, in a text that follows "with".
    pub fn client_proof(&self) -> &'static str {
        match (&self.client_secret, &self.client_key) {
            (_, Some(_)) => "its key",
            (Some(_), None) => "its secret",
            (None, None) => "no secret, since `clientSecret` is not set",
        }
    }

    /// Returns the operator's value of a parameter of authorization requests.
    pub(crate) fn authorization_parameter(&self, name: &str) -> Option<&str> {
        let mut parameters = self.authorization_parameters.iter();
        let found = parameters.find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the settings of a public client with the scopes `profile` and `email`.
    pub fn new(name: impl Into<String>, issuer: IssuerUrl, client_id: ClientId) -> Self {
        Self {
            name: name.into(),
            title: None,
            issuer,
            tenants: Vec::new(),
            discovery_url: None,
            internal_url: None,
            client_id,
            handed_on: Vec::new(),
            client_secret: None,
            client_key: None,
            client_authentication: None,
            scopes: ["profile", "email"]
                .map(|scope| Scope::new(scope.to_owned()))
                .into(),
            authorization_parameters: Vec::new(),
            caller_parameters: Vec::new(),
            pushed_authorization: None,
            response_mode: ResponseMode::default(),
            nonce: NonceCheck::default(),
            trusted_audiences: Vec::new(),
            claims: ClaimSettings::default(),
            graph_url: None,
            unverified_email: UnverifiedEmail::default(),
            refresh_after: None,
            sign_out: SignOut::default(),
            sign_out_url: None,
            authorities: Vec::new(),
            static_provider: None,
        }
    }

    /// Returns whether tokens of the provider may name this issuer. Where the provider is that of
    /// several tenants, only its metadata say how they are called, so any name at its host may be one.
    pub fn may_issue_as(&self, issuer: &str) -> bool {
        let host = |url: &Url| url.host_str().map(str::to_owned);
        let is_at_host =
            || Url::parse(issuer).is_ok_and(|url| host(&url) == host(self.issuer.url()));
        self.issuer.as_str() == issuer || (!self.tenants.is_empty() && is_at_host())
    }

    /// Returns its name for users.
    pub fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }
}

impl PartialEq for ProviderSettings {
    /// Compares every setting, so that a provider whose settings are unchanged can be kept.
    fn eq(&self, other: &Self) -> bool {
        // All of them: with a new setting this does not compile until the setting is added here.
        let Self {
            name,
            title,
            issuer,
            tenants,
            discovery_url,
            internal_url,
            client_id,
            handed_on,
            client_secret,
            client_key,
            client_authentication,
            scopes,
            authorization_parameters,
            caller_parameters,
            pushed_authorization,
            response_mode,
            nonce,
            trusted_audiences,
            claims,
            graph_url,
            unverified_email,
            refresh_after,
            sign_out,
            sign_out_url,
            authorities,
            static_provider,
        } = self;
        let secret = |secret: &Option<ClientSecret>| secret.as_ref().map(|s| s.secret().clone());
        *name == other.name
            && *title == other.title
            && *issuer == other.issuer
            && *tenants == other.tenants
            && *discovery_url == other.discovery_url
            && *internal_url == other.internal_url
            && *client_id == other.client_id
            && *handed_on == other.handed_on
            && secret(client_secret) == secret(&other.client_secret)
            && *client_key == other.client_key
            && *client_authentication == other.client_authentication
            && *scopes == other.scopes
            && *authorization_parameters == other.authorization_parameters
            && *caller_parameters == other.caller_parameters
            && *pushed_authorization == other.pushed_authorization
            && *response_mode == other.response_mode
            && *nonce == other.nonce
            && *trusted_audiences == other.trusted_audiences
            && *claims == other.claims
            && *graph_url == other.graph_url
            && *unverified_email == other.unverified_email
            && *refresh_after == other.refresh_after
            && *sign_out == other.sign_out
            && *sign_out_url == other.sign_out_url
            && *authorities == other.authorities
            && *static_provider == other.static_provider
    }
}

/// Where the claims of a user are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimSettings {
    /// The name by which the user signs in.
    pub username: ClaimPath,
    /// The e-mail address: a text, or a list whose first entry it is.
    pub email: ClaimPath,
    /// The full name.
    pub name: ClaimPath,
    /// The groups: all of these claims together.
    pub groups: Vec<ClaimPath>,
    /// What separates groups, where a claim is one text.
    pub groups_separator: Option<String>,
}

impl Default for ClaimSettings {
    /// Returns the standard claims (OpenID Connect Core 1.0 §5.1), and `groups`.
    fn default() -> Self {
        Self {
            username: ClaimPath::top("preferred_username"),
            email: ClaimPath::top("email"),
            name: ClaimPath::top("name"),
            groups: vec![ClaimPath::top("groups")],
            groups_separator: None,
        }
    }
}

/// How a provider sends authorization responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseMode {
    /// In the query of the redirect URI (OAuth 2.0 Multiple Response Type Encoding Practices §2.1).
    #[default]
    Query,
    /// In a form that the browser posts to the redirect URI (OAuth 2.0 Form Post Response Mode).
    FormPost,
}

/// Whether an ID token has to have the nonce of its authorization request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NonceCheck {
    /// It has to (OpenID Connect Core 1.0 §3.1.3.7).
    #[default]
    Required,
    /// It may be missing, for providers that leave it out. PKCE binds the code to the request.
    IfPresent,
}

/// How a client authenticates at the token endpoint (OpenID Connect Core 1.0 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
    /// `client_secret_jwt`: an assertion with a MAC of the secret.
    SecretJwt,
    /// `private_key_jwt`: an assertion signed by the client's key.
    PrivateKeyJwt,
}

/// What happens to an e-mail address that the provider calls unverified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnverifiedEmail {
    /// The identity has no address.
    #[default]
    Drop,
    /// The identity has the address, marked as unverified.
    Accept,
}

/// What signing out does beyond ending the local session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignOut {
    /// Ends the session at the provider too, where it has an end session endpoint.
    #[default]
    AtProvider,
    /// Nothing: the next sign-in may need no password.
    LocalOnly,
}

/// Which access tokens are accepted, and how they are checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessTokenSettings {
    /// The audiences, one of which a token must name; empty means the client's own id.
    pub audience: Vec<String>,
    /// The clients to which a token may have been issued; empty means any.
    pub clients: Vec<String>,
    /// Whether the provider is asked about every token (RFC 7662), instead of verifying JWTs here.
    pub introspect: bool,
    /// The claim that is the user name where `preferred_username` is missing.
    pub name_claim: Option<String>,
}

/// How a name and a password are exchanged for an access token.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenRequest {
    /// The grant.
    pub grant: Grant,
    /// The scopes that are requested.
    pub scopes: Vec<String>,
    /// Further parameters of the request.
    pub parameters: Vec<(String, String)>,
}

/// The grant by which a name and a password are exchanged for an access token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grant {
    /// They are a client's (RFC 6749 §4.4).
    #[default]
    ClientCredentials,
    /// They are a user's (RFC 6749 §4.3).
    Password,
    /// They are a user's name and app password at authentik, sent in the name of the client.
    Authentik,
}
