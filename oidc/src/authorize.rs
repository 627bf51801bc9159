//! Authorization requests and their responses (OpenID Connect Core 1.0 §3.1.2).

use gatepost_base::Secret;
use http::StatusCode;
use openidconnect::core::{CoreAuthPrompt, CoreAuthenticationFlow, CoreClient, CoreJsonWebKeySet};
use openidconnect::{AuthUrl, CsrfToken, Nonce, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl};
use url::Url;

use crate::error::{SignInError, unreadable};
use crate::form::Form;
use crate::json;
use crate::provider::{Discovered, Provider};
use crate::settings::{ProviderSettings, ResponseMode};

const PAR_ENDPOINT: &str = "pushed authorization request endpoint";

/// The longest ID token that is sent as a hint, in bytes: servers refuse longer URLs.
const MAX_HINT_BYTES: usize = 2_048;

/// The parameters that settings cannot set, since the protocol does.
const RESERVED: [&str; 14] = [
    "response_type",
    "response_mode",
    "client_id",
    "client_secret",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
    "id_token_hint",
    "registration",
];

/// Returns whether an authorization request may have a further parameter of this name: any but
/// those that the protocol sets.
pub fn is_free_parameter(name: &str) -> bool {
    !name.is_empty() && !RESERVED.contains(&name)
}

/// An authorization request (OpenID Connect Core 1.0 §3.1.2.1), and the values that the client
/// keeps until the response arrives.
#[derive(Debug)]
pub struct AuthorizationRequest {
    /// Where to send the browser.
    pub url: Url,
    /// Binds the response to the browser (RFC 6749 §10.12).
    pub state: CsrfToken,
    /// Binds the ID token to the request.
    pub nonce: Nonce,
    /// Binds the code to the request (RFC 7636).
    pub verifier: PkceCodeVerifier,
}

/// How an authorization request differs from one of a user who begins a sign-in.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuthorizationOptions<'a> {
    /// Shows the user no page (`prompt=none`): it succeeds only for a user who is signed in at the
    /// provider.
    pub silent: bool,
    /// The ID token of the user who is expected, sent as `id_token_hint` unless it is too long.
    pub id_token_hint: Option<&'a Secret>,
    /// How the user is to authenticate, where their authentication does not suffice.
    pub step_up: Option<&'a AskedAuthentication>,
    /// How the user who is expected signs in (`login_hint`).
    pub login_hint: Option<&'a str>,
    /// What `state` carries behind its random part and a dot, for the callback: of the characters
    /// that a URL has unescaped.
    pub note: Option<&'a str>,
    /// Further parameters, in the place of those of the settings that have their names. Those that
    /// the settings do not let a caller add are left out.
    pub parameters: &'a [(String, String)],
}

/// How a user is asked to authenticate. Whether they did is the matter of who reads the ID token: the
/// browser carries the request, and no provider has to do as it is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AskedAuthentication {
    /// The value of `acr_values`: classes, with a space between. Empty to ask for none.
    pub acr_values: String,
    /// The class of the session, which is asked for where no rule names another, and in the place of
    /// those of the settings: the new sign-in is not to be weaker.
    pub class_of_session: Option<String>,
    /// The value of `max_age`, in seconds. One of the settings that is less counts.
    pub max_age: Option<u64>,
    /// Whether users authenticate although they are signed in at the provider (`prompt=login`).
    pub again: bool,
}

impl AskedAuthentication {
    /// The parameters that say how a user authenticates.
    const PARAMETERS: [&str; 3] = ["acr_values", "max_age", "prompt"];

    /// Returns whether this parameter is in no link's hands: it says how a user authenticates, or who
    /// that is.
    fn decides_on(name: &str) -> bool {
        name == "login_hint" || Self::PARAMETERS.contains(&name)
    }

    /// Returns the parameters of the request (OpenID Connect Core 1.0 §3.1.2.1), for a provider with
    /// these settings.
    fn parameters(&self, settings: &ProviderSettings) -> Vec<(String, String)> {
        let own_age = settings.authorization_parameter("max_age");
        let own_age = own_age.and_then(|seconds| seconds.parse().ok());
        let age = self.max_age.map(|most| most.min(own_age.unwrap_or(most)));
        // Without either, the settings say it.
        let class = match &*self.acr_values {
            "" => self.class_of_session.clone(),
            values => Some(values.to_owned()),
        };
        let again = self.again.then(|| "login".to_owned());
        let age = age.map(|seconds| seconds.to_string());
        Self::PARAMETERS
            .into_iter()
            .zip([class, age, again])
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

impl Provider {
    /// Makes an authorization request, and pushes it (RFC 9126) where the provider requires that
    /// or the settings say so.
    ///
    /// # Errors
    ///
    /// [`SignInError::Unavailable`] while the provider has not been discovered; others where the
    /// request cannot be pushed.
    pub async fn authorize(
        &self,
        redirect_uri: RedirectUrl,
        options: AuthorizationOptions<'_>,
    ) -> Result<AuthorizationRequest, SignInError> {
        let found = self.discovered()?;
        // 256 bits each from the operating system's generator, by the library.
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let state = match (CsrfToken::new_random_len(32), options.note) {
            (random, Some(note)) => CsrfToken::new(format!("{}.{note}", random.secret())),
            (random, None) => random,
        };
        let nonce = Nonce::new_random_len(32);
        let client = CoreClient::new(
            self.settings.client_id.clone(),
            self.settings.issuer.clone(),
            CoreJsonWebKeySet::default(),
        )
        .set_auth_uri(AuthUrl::from_url(
            found.metadata.authorization_endpoint.clone(),
        ))
        .set_redirect_uri(redirect_uri);
        let (state_sent, nonce_sent) = (state.clone(), nonce.clone());
        let mut request = client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                move || state_sent,
                move || nonce_sent,
            )
            .add_scopes(self.settings.scopes.iter().cloned())
            .set_pkce_challenge(challenge);
        if options.silent {
            request = request.add_prompt(CoreAuthPrompt::None);
        }
        if self.settings.response_mode == ResponseMode::FormPost {
            request = request.add_extra_param("response_mode", "form_post");
        }
        for (name, value) in self.parameters(options) {
            request = request.add_extra_param(name, value);
        }
        let (mut url, ..) = request.url();
        if self.pushes(&found) {
            url = self.push(&found, &url).await?;
        }
        Ok(AuthorizationRequest {
            url,
            state,
            nonce,
            verifier,
        })
    }

    /// Returns the parameters beyond those of the protocol.
    fn parameters(&self, options: AuthorizationOptions<'_>) -> Vec<(String, String)> {
        let free = |(name, _): &&(String, String)| {
            // A silent request shows no page, whatever else is asked for.
            is_free_parameter(name) && !(options.silent && name == "prompt")
        };
        let allowed = |(name, _): &&(String, String)| {
            let mut names = self.settings.caller_parameters.iter();
            let is_decided = options.step_up.is_some() && AskedAuthentication::decides_on(name);
            names.any(|own| own == name) && !is_decided
        };
        let asked = options.step_up;
        let asked = asked.map(|asked| asked.parameters(&self.settings));
        let from_caller = options.parameters.iter().filter(allowed).filter(free);
        let mut all = asked.unwrap_or_default();
        all.extend(from_caller.cloned());
        let hint = options.login_hint.filter(|hint| !hint.is_empty());
        let hint = hint.map(|hint| ("login_hint".to_owned(), hint.to_owned()));
        for parameter in hint.iter().chain(&self.settings.authorization_parameters) {
            let is_there = all.iter().any(|(name, _)| *name == parameter.0);
            if free(&parameter) && !is_there {
                all.push(parameter.clone());
            }
        }
        let hint = options.id_token_hint.map(Secret::expose);
        if let Some(hint) = hint.filter(|hint| !hint.is_empty() && hint.len() <= MAX_HINT_BYTES) {
            all.push(("id_token_hint".to_owned(), hint.to_owned()));
        }
        all
    }

    /// Returns whether authorization requests are pushed.
    fn pushes(&self, found: &Discovered) -> bool {
        let has_endpoint = found.metadata.par_endpoint.is_some();
        match self.settings.pushed_authorization {
            Some(pushed) => pushed,
            None => found.metadata.requires_par && has_endpoint,
        }
    }

    /// Pushes a request, and returns the URL that refers to it (RFC 9126 §2, §4).
    async fn push(&self, found: &Discovered, url: &Url) -> Result<Url, SignInError> {
        let endpoint = found.metadata.par_endpoint.as_ref();
        let endpoint = endpoint.ok_or_else(|| unreadable(PAR_ENDPOINT, "missing"))?;
        let client = self.client(found, endpoint)?;
        let form = url
            .query_pairs()
            .filter(|(name, _)| name != "client_id")
            .fold(Form::new(), |form, (name, value)| form.with(&name, &value));
        let answer = self.post(endpoint, PAR_ENDPOINT, &client, form).await?;
        if let Some((code, words)) = answer.refusal() {
            return Err(self.refused(&code, &words));
        }
        let (status, members) = answer.read(PAR_ENDPOINT)?;
        if status != StatusCode::CREATED && status != StatusCode::OK {
            return Err(unreadable(PAR_ENDPOINT, &format!("it answers {status}")));
        }
        let request_uri = json::needed_text(&members, "request_uri")
            .map_err(|error| unreadable(PAR_ENDPOINT, &error.to_string()))?;
        let mut url = found.metadata.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("client_id", self.settings.client_id.as_str())
            .append_pair("request_uri", request_uri);
        Ok(url)
    }

    /// Checks the `iss` of an authorization response (RFC 9207 §2.4).
    ///
    /// # Errors
    ///
    /// [`SignInError::ResponseIssuer`] when it is another's, or missing although the provider says
    /// that it sends one.
    pub fn check_response_issuer(&self, iss: Option<&str>) -> Result<(), SignInError> {
        let promised = self.discovered()?.metadata.sends_issuer;
        match iss {
            Some(iss) if iss == self.settings.issuer.as_str() || self.issues_as(iss) => Ok(()),
            None if !promised => Ok(()),
            Some(_) | None => Err(SignInError::ResponseIssuer),
        }
    }
}
