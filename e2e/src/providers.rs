//! Real OpenID providers, each the program that its makers publish.
//!
//! The tests of `tests/providers/` sign users in at them, and the documentation's table of what
//! Gatepost can do with which provider comes from these tests. The provider of `testdata/`, which
//! every other test has, is quicker and can be made to fail.

mod api;
mod authelia;
mod canaille;
mod client_key;
mod dex;
mod glewlwyd;
mod hydra;
mod keycloak;

use std::fmt::Debug;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use url::Url;

pub use self::authelia::Authelia;
pub use self::canaille::Canaille;
pub use self::client_key::ClientKey;
pub use self::dex::Dex;
pub use self::glewlwyd::Glewlwyd;
pub use self::hydra::Hydra;
pub use self::keycloak::Keycloak;
use crate::clients::{Client, Journey};
use crate::programs::Service;
use crate::users::User;
use crate::{layout, settings};

/// The secret of every client that the tests register. Only ever used on loopback.
const CLIENT_SECRET: &str = "client-secret-of-the-tests";

/// A running provider that knows the users of [`crate::users`] with their groups.
pub trait Provider: Debug + Send + Sync {
    /// Returns the program.
    fn service(&self) -> &Service;

    /// Returns the issuer that a client with this registration finds.
    fn issuer(&self, registration: &Registration) -> String;

    /// Registers a client.
    ///
    /// # Errors
    ///
    /// When the provider refuses it.
    fn register(&self, registration: &Registration) -> Result<Credentials>;

    /// Returns the keys that the outpost's configuration needs in `providers` besides issuer,
    /// client and secret, as the provider's page in the documentation shows it.
    fn settings(&self, _registration: &Registration) -> Value {
        json!({ "scopes": ["openid", "profile", "email", "groups"] })
    }

    /// Returns whether the provider remembers a user who has signed in, so that the next application needs
    /// no password.
    fn remembers_users(&self) -> bool {
        true
    }

    /// Returns whether the provider gives refresh tokens to every client, so that no session is renewed
    /// by way of the browser.
    fn gives_every_client_refresh_tokens(&self) -> bool {
        false
    }

    /// Opens a page and does what the provider asks a user to do.
    ///
    /// # Errors
    ///
    /// When a request gets no answer or the journey ends where the provider asks for nothing.
    fn sign_in(&self, browser: &Client, page: &Url, user: &User) -> Result<Journey> {
        self.fill_in(browser, browser.open(page)?, user)
    }

    /// Fills in the form at which a journey has ended.
    ///
    /// # Errors
    ///
    /// When a request gets no answer or the journey has ended at a page without such a form.
    fn fill_in(&self, browser: &Client, journey: Journey, user: &User) -> Result<Journey> {
        browser.fill_in(journey, "input[type=password]", user)
    }

    /// Opens a page with a browser whose user the provider knows, and does what the provider may
    /// ask for but a password.
    ///
    /// # Errors
    ///
    /// When a request gets no answer.
    fn open(&self, browser: &Client, page: &Url) -> Result<Journey> {
        browser.open(page)
    }

    /// Returns whether a journey has ended where the provider asks a user to sign in.
    ///
    /// # Errors
    ///
    /// When a request gets no answer.
    fn asks_to_sign_in(&self, _browser: &Client, journey: &Journey) -> Result<bool> {
        journey.shows("input[type=password]")
    }

    /// Confirms to the provider, where it asks for that, that the user wants to sign out.
    ///
    /// # Errors
    ///
    /// When a request gets no answer.
    fn confirm_sign_out(&self, _browser: &Client, journey: Journey) -> Result<Journey> {
        Ok(journey)
    }

    /// Signs the user of this browser out at the provider itself, and not by way of an application.
    ///
    /// # Errors
    ///
    /// When a request gets no answer, or the page is not the one that is expected.
    fn end_session(&self, browser: &Client) -> Result<()>;

    /// Registers a program with an issuer of this server at which no user of the tests signs in, and
    /// gets it a token for `audience`. `None` where there is no such issuer.
    ///
    /// # Errors
    ///
    /// When the provider refuses it.
    fn program_of_another_issuer(&self, _audience: &str) -> Result<Option<ProgramToken>> {
        Ok(None)
    }

    /// Registers a machine client whose tokens are for these audiences. `None` where the tests do not know
    /// how.
    ///
    /// # Errors
    ///
    /// When the provider refuses it.
    fn program(&self, _audiences: &[&str]) -> Result<Option<Program>> {
        Ok(None)
    }

    /// Registers the public client that all clients of an MCP server share, whose tokens are for this
    /// server, and returns where it takes refresh tokens back. `None` where the tests do not know how.
    ///
    /// # Errors
    ///
    /// When the provider refuses it.
    fn public_client(&self, _id: &str, _server: &Url) -> Result<Option<Url>> {
        Ok(None)
    }

    /// Adds a user in the group `staff`, whom no other test knows.
    ///
    /// # Errors
    ///
    /// When the provider refuses it, or the tests do not know how.
    fn add_user(&self, _user: &User) -> Result<()> {
        bail!("no test adds users to this provider")
    }

    /// Has the provider ask something of a user at the next visit, or no longer.
    ///
    /// # Errors
    ///
    /// When the provider refuses it, or the tests do not know how.
    fn asks_something_of(&self, _user: &User, _something: bool) -> Result<()> {
        bail!("no test has this provider ask something")
    }

    /// Changes the keys by which a client may authenticate.
    ///
    /// # Errors
    ///
    /// When the provider refuses it, or the tests do not know how.
    fn change_client_keys(&self, _client: &Registration, _keys: &[&ClientKey]) -> Result<()> {
        bail!("no test changes the keys of a client of this provider")
    }

    /// Has the provider take no refresh token that it has issued.
    ///
    /// # Errors
    ///
    /// When the tests do not know how.
    fn revoke_refresh_tokens(&self) -> Result<()> {
        bail!("no test revokes the refresh tokens of this provider")
    }

    /// Has the provider sign with a new key, and forget the old one.
    ///
    /// # Errors
    ///
    /// When the provider refuses it.
    fn change_signing_key(&self) -> Result<()>;
}

/// What a provider gave to a client.
#[derive(Clone, Debug)]
pub struct Credentials {
    client_id: String,
    client_secret: String,
}

/// What a provider is to know of an outpost.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The client's name.
    pub client_id: String,
    /// The origins of the applications.
    pub origins: Vec<String>,
    /// Where the outpost listens.
    pub outpost_port: u16,
    /// Whether the client receives refresh tokens.
    pub refresh_tokens: bool,
    /// A further audience of the client's ID tokens.
    pub further_audience: Option<&'static str>,
    /// Whether the provider has a scope `groups`. Without one, groups come unasked.
    pub groups_scope: bool,
    /// Whether the client may have users sign in, by the authorization code flow.
    pub code_flow: bool,
    /// The key by which the client authenticates, instead of a secret. Such a client must push its
    /// authorization requests, too (RFC 9126).
    pub client_key: Option<ClientKey>,
    /// Whether the client authenticates by a MAC of its secret, and does not send that.
    pub secret_jwt: bool,
    /// Whether the provider has the classes of authentication `silver` and `gold` (`acr`).
    pub levels: bool,
}

/// What a program has to come in.
#[derive(Clone, Debug)]
pub struct ProgramToken {
    /// The issuer, at a name that the outpost cannot resolve.
    pub issuer: String,
    /// Where the outpost finds its keys.
    pub keys: Url,
    /// The access token.
    pub token: String,
}

/// A machine client of the provider at which users sign in.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its client id.
    pub id: &'static str,
    /// Its secret.
    pub secret: &'static str,
    /// An access token that it has got in its own name.
    pub token: String,
    /// Tokens of other kinds, for the same audiences, each with its kind.
    pub other_tokens: Vec<(&'static str, String)>,
}

impl Registration {
    /// Returns the entry of `providers` in the outpost's configuration.
    pub fn settings(&self, provider: &dyn Provider, client: &Credentials) -> Value {
        let mut entry = self.client_settings(provider, client);
        settings::merge(&mut entry, &provider.settings(self));
        entry
    }

    /// Returns the entry of `providers` of the configuration that the documentation begins with,
    /// after the changes that it asks for: issuer, client and secret.
    ///
    /// # Errors
    ///
    /// When the file has changed.
    pub fn first_settings(&self, provider: &dyn Provider, client: &Credentials) -> Result<Value> {
        let shown = settings::from_template("deploy/outpost/single.yaml", &[])?;
        let mut entry = shown
            .pointer("/providers/0")
            .context("deploy/outpost/single.yaml has a provider")?
            .clone();
        settings::merge(&mut entry, &self.client_settings(provider, client));
        Ok(entry)
    }

    fn client_settings(&self, provider: &dyn Provider, client: &Credentials) -> Value {
        let proof = match &self.client_key {
            Some(key) => json!({ "clientKeyFile": key.file(), "clientKeyId": key.id() }),
            None => json!({ "clientSecret": client.client_secret }),
        };
        let mut entry = json!({
            "name": "main",
            "issuer": provider.issuer(self),
            "clientId": client.client_id,
        });
        settings::merge(&mut entry, &proof);
        entry
    }

    /// Returns the credentials that a provider is configured to give to the client.
    fn credentials(&self) -> Credentials {
        Credentials {
            client_id: self.client_id.clone(),
            client_secret: CLIENT_SECRET.to_owned(),
        }
    }

    fn at_origins(&self, path: &str) -> Vec<String> {
        let at = |origin: &String| format!("{origin}{path}");
        self.origins.iter().map(at).collect()
    }

    fn redirect_uris(&self) -> Vec<String> {
        self.at_origins("/akprox/callback")
    }

    fn post_logout_redirect_uris(&self) -> Vec<String> {
        self.at_origins("/")
    }

    fn backchannel_logout_uri(&self) -> String {
        format!(
            "http://127.0.0.1:{}/akprox/backchannel_logout",
            self.outpost_port
        )
    }
}

/// Returns the folder for the log of a provider, which serves several tests.
fn logs(provider: &str) -> PathBuf {
    layout::artefacts_dir().join(format!("providers.{provider}"))
}
