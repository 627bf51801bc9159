//! What an operator decides about a provider, and about the tokens that it issues.

use openidconnect::{ClientId, ClientSecret, IssuerUrl, Scope};

use crate::static_metadata::StaticProvider;

/// An OpenID provider, and the client that the relying party is there.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// Its name in the configuration and in logs.
    pub name: String,
    /// Its name for users, where that differs.
    pub title: Option<String>,
    /// Its issuer, compared exactly as text.
    pub issuer: IssuerUrl,
    /// The client's id at the provider.
    pub client_id: ClientId,
    /// The secret of a confidential client. A public client has none; PKCE protects both.
    pub client_secret: Option<ClientSecret>,
    /// How the client authenticates; `None` leaves the choice to the provider's metadata.
    pub client_authentication: Option<ClientAuthentication>,
    /// The scopes that are requested beside `openid`.
    pub scopes: Vec<Scope>,
    /// Audiences that an ID token may name beside the client, without an `azp` that says to whom it
    /// was issued (OpenID Connect Core 1.0 §3.1.3.7).
    pub trusted_audiences: Vec<String>,
    /// The path of the groups claim: keys from the outermost, like `realm_access`, `roles`.
    pub groups_claim: Vec<String>,
    /// What happens to an e-mail address that the provider calls unverified.
    pub unverified_email: UnverifiedEmail,
    /// What signing out does beyond ending the local session.
    pub sign_out: SignOut,
    /// Certificates that are trusted besides the system's, in PEM.
    pub authorities: Vec<u8>,
    /// The provider's metadata, where it is known without discovery.
    pub static_provider: Option<StaticProvider>,
}

impl ProviderSettings {
    /// Returns the settings of a public client with the scopes `profile` and `email`.
    pub fn new(name: impl Into<String>, issuer: IssuerUrl, client_id: ClientId) -> Self {
        Self {
            name: name.into(),
            title: None,
            issuer,
            client_id,
            client_secret: None,
            client_authentication: None,
            scopes: ["profile", "email"]
                .map(|scope| Scope::new(scope.to_owned()))
                .into(),
            trusted_audiences: Vec::new(),
            groups_claim: vec!["groups".to_owned()],
            unverified_email: UnverifiedEmail::default(),
            sign_out: SignOut::default(),
            authorities: Vec::new(),
            static_provider: None,
        }
    }

    /// Returns its name for users.
    pub fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }
}

impl PartialEq for ProviderSettings {
    /// Compares every setting, so that a provider whose settings are unchanged can be kept.
    fn eq(&self, other: &Self) -> bool {
        let secret = |settings: &Self| settings.client_secret.as_ref().map(|s| s.secret().clone());
        self.name == other.name
            && self.title == other.title
            && self.issuer == other.issuer
            && self.client_id == other.client_id
            && secret(self) == secret(other)
            && self.client_authentication == other.client_authentication
            && self.scopes == other.scopes
            && self.trusted_audiences == other.trusted_audiences
            && self.groups_claim == other.groups_claim
            && self.unverified_email == other.unverified_email
            && self.sign_out == other.sign_out
            && self.authorities == other.authorities
            && self.static_provider == other.static_provider
    }
}

/// How a client sends its secret to the token endpoint (OpenID Connect Core 1.0 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
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
