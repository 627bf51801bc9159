//! An application as the outpost serves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gatepost_policy::{
    ASSERTION_CLAIM, HeaderRules, OutpostPrefix, OutpostUrl, Policy, Presentation, PublicPaths,
    Request, SignIn, Unauthenticated,
};
use gatepost_session::cookie::{Candidates, CookieName, Hide};
use gatepost_session::{Audience, Authentic, Claims, KeyRing, OpenError, SessionId, Verifier};
use gatepost_signing::{CookieAttributes, Signer};

use super::capabilities::Capabilities;
use super::providers::Providers;
use super::public_client::PublicClient;
use super::resource::ProtectedResource;
use super::settings::{ApplicationSettings, MachineClientSettings, SignOutScope};
use crate::assertion::{AssertionKeys, AssertionSigner, KnownGroups, Unsigned};
use crate::compat::{CALLBACK_QUERY, Conventions};
use crate::device_bound::DeviceBound;
use crate::origin::{ExternalUrl, HostPort, Mode};
use crate::session_times::SessionTimes;
use crate::telemetry::metrics::Counts;
use gatepost_oidc::{NamedClaim, Provider};

/// One application, with everything that the outpost needs to answer for it.
#[derive(Debug)]
pub struct Application {
    settings: ApplicationSettings,
    providers: Providers,
    /// The policy with every path public, for the paths that need no session; `None` where there
    /// are no such expressions.
    policy_of_skip_paths: Option<Policy>,
    /// The names of other applications' session cookies, which this one does not see.
    other_sessions: Vec<CookieName>,
    cookie: CookieAttributes,
    sign_in: SignIn,
    device_bound: DeviceBound,
    assertions: Option<AssertionSigner>,
    /// Whether the log has said that no browser gets to bind a session.
    says_unbindable: AtomicBool,
    counts: Counts,
    signer: Signer,
    verifier: Verifier,
}

impl Application {
    /// Creates the application with these settings. Keys of `ring` sign its sessions unless it has
    /// its own.
    pub fn new(settings: &ApplicationSettings, ring: &KeyRing, providers: Providers) -> Self {
        let domain = match &settings.mode {
            Mode::Single => None,
            Mode::Domain(domain) => Some(domain.as_str().to_owned()),
        };
        let own = settings.capabilities.keys.as_ref();
        let ring = own.map_or(ring, |own| &own.ring);
        // The verifier checks the audience, and the issuer too: an application that changes its
        // providers must not accept the subjects of an old one.
        let verifier = providers.iter().fold(
            Verifier::new(ring, settings.audience.clone()),
            |verifier, provider| verifier.with_issuer(provider.settings().issuer.as_str()),
        );
        let sign_in = match settings.mode {
            Mode::Single => SignIn::OnHost(settings.prefix.clone()),
            Mode::Domain(_) => OutpostUrl::new(settings.external.origin()).map_or_else(
                |_| SignIn::OnHost(settings.prefix.clone()),
                |outpost| SignIn::OnOutpost(outpost, settings.prefix.clone()),
            ),
        };
        Self {
            settings: settings.clone(),
            providers,
            policy_of_skip_paths: policy_of_skip_paths(settings),
            other_sessions: Vec::new(),
            cookie: CookieAttributes {
                name: settings.cookie_name.clone(),
                domain,
                secure: settings.external.is_https(),
                cross_site: settings.cross_site,
            },
            sign_in,
            device_bound: settings.device_bound.unwrap_or_default(),
            assertions: None,
            says_unbindable: AtomicBool::new(false),
            counts: Counts::of(settings.audience.as_str()),
            signer: Signer::new(ring),
            verifier,
        }
    }

    /// Returns the settings that it was made with, for the other files of this module.
    pub(super) fn settings(&self) -> &ApplicationSettings {
        &self.settings
    }

    /// Returns the name, which is the audience of the application's sessions.
    pub fn audience(&self) -> &Audience {
        &self.settings.audience
    }

    /// Returns which hosts it has: one, or all hosts of a domain.
    pub fn mode(&self) -> &Mode {
        &self.settings.mode
    }

    /// Returns where browsers reach it; in domain mode, where they reach the outpost.
    pub fn external(&self) -> &ExternalUrl {
        &self.settings.external
    }

    /// Returns, in domain mode, the ports besides that of the external URL to which a sign-in leads
    /// back.
    pub fn ports(&self) -> &[u16] {
        &self.settings.ports
    }

    /// Returns the path under which the outpost answers.
    pub fn prefix(&self) -> &OutpostPrefix {
        &self.settings.prefix
    }

    /// Returns the providers at which its users sign in.
    pub fn providers(&self) -> &Providers {
        &self.providers
    }

    /// Returns which requests are allowed.
    pub fn policy(&self) -> &Policy {
        &self.settings.policy
    }

    /// Returns the identity headers that it gets.
    pub fn headers(&self) -> &HeaderRules {
        &self.settings.headers
    }

    /// Returns the claims that its sessions have beyond the standard ones, for rules and headers.
    pub fn claims_of_sessions(&self) -> Vec<NamedClaim> {
        let by_rules = self.settings.policy.claims();
        let headers = self.headers().claims();
        let headers = headers.filter(|name| !by_rules.contains(name));
        let headers = headers.map(NamedClaim::for_headers);
        let rules = by_rules.iter().copied().map(NamedClaim::for_rules);
        headers.chain(rules).collect()
    }

    /// Returns the groups, besides those of the policy, that its cookie keeps when it has no room
    /// for all.
    pub fn cookie_groups(&self) -> Option<&[String]> {
        self.settings.cookie_groups.as_deref()
    }

    /// Returns which sessions a user ends by signing out.
    pub fn sign_out(&self) -> SignOutScope {
        self.settings.sign_out
    }

    /// Returns whether its sessions are bound to devices.
    pub fn device_bound(&self) -> DeviceBound {
        self.device_bound
    }

    /// Returns how credentials of machine clients are checked, where they are accepted in place of
    /// a session.
    pub fn machine_clients(&self) -> Option<&MachineClientSettings> {
        self.settings.machine_clients.as_ref()
    }

    /// Returns the resource for which clients get tokens, where it is at this host.
    pub fn resource_at(&self, host: &HostPort) -> Option<&ProtectedResource> {
        let resource = self.machine_clients()?.resource.as_ref()?;
        (resource.host() == host.host()).then_some(resource)
    }

    /// Returns the client that OAuth clients get which register, where the operator has made one.
    pub fn public_client(&self) -> Option<&PublicClient> {
        self.machine_clients()?.public_client.as_ref()
    }

    /// Returns the provider of the credentials of machine clients that name none.
    pub fn provider_of_machines(&self) -> &Arc<Provider> {
        let named = self.machine_clients().and_then(|own| own.provider.as_ref());
        let named = named.and_then(|name| self.providers.named(name));
        named.unwrap_or_else(|| self.providers.first())
    }

    /// Returns the scopes that clients are to ask for in a token for the resource.
    pub fn resource_scopes(&self) -> &[String] {
        self.machine_clients()
            .map_or(&[], |machines| &machines.exchange.scopes)
    }

    /// Returns its settings that have no key in a configuration file.
    pub fn capabilities(&self) -> &Capabilities {
        &self.settings.capabilities
    }

    /// Returns how its session cookie is set.
    pub fn cookie(&self) -> &CookieAttributes {
        &self.cookie
    }

    /// Returns the builder of the URL that starts a sign-in.
    pub fn sign_in(&self) -> &SignIn {
        &self.sign_in
    }

    /// Returns its counters.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Puts the assertion for the application into the claims of a session of the store or of a machine
    /// client ([`AssertionSigner::put_into`]), where it wants one.
    ///
    /// # Errors
    ///
    /// [`Unsigned`].
    pub fn assert(&self, claims: &mut Claims, groups: KnownGroups) -> Result<(), Unsigned> {
        match &self.assertions {
            Some(signer) => signer.put_into(claims, groups),
            None => Ok(()),
        }
    }

    /// Returns whether these claims are of a cookie that was made before the application wanted
    /// assertions, or by a key that is no longer published.
    pub fn lacks_assertion(&self, claims: &Claims) -> bool {
        let own = claims.ext.get(ASSERTION_CLAIM);
        let is_verifiable =
            |signer: &AssertionSigner| own.is_some_and(|own| signer.is_verifiable(own));
        let signer = self.assertions.as_ref();
        signer.is_some_and(|signer| !is_verifiable(signer))
    }

    /// Takes the keys that sign its assertions, where it wants any. The configuration has checked that
    /// there is one.
    #[must_use]
    pub fn with_assertion_keys(mut self, keys: &AssertionKeys) -> Self {
        let wanted = self.settings.assertion.as_ref();
        self.assertions = wanted.and_then(|settings| {
            let issuer = format!(
                "{}{}",
                self.settings.external.origin(),
                self.settings.prefix
            );
            AssertionSigner::new(settings, issuer, keys)
        });
        self
    }

    /// Returns the signer of its sessions.
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Hides from this application the session cookies with these names, which belong to other
    /// applications.
    #[must_use]
    pub fn without_sessions_of_others<'n>(
        mut self,
        names: impl Iterator<Item = &'n CookieName>,
    ) -> Self {
        let own = &self.cookie.name;
        self.other_sessions = names.filter(|name| *name != own).cloned().collect();
        self
    }

    /// Returns whether a session that is not bound to a device ends with its first window: because
    /// the operator requires it, or because each rule of the application asks for a device. A proxy that
    /// does not have this rule admits every cookie in its window.
    pub fn requires_device(&self) -> bool {
        self.device_bound == DeviceBound::Require || self.policy().always_needs_device()
    }

    /// Logs once, where sessions have to be bound to devices, that the answer to a sign-in went through
    /// a proxy's question, in which no browser can register a key.
    pub fn note_unbindable(&self) {
        if self.requires_device() && !self.says_unbindable.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                application = %self.audience(),
                "no browser can bind its session to a device, and sessions have to be bound: the \
                 proxy asks about `{0}/callback` in place of routing it here; give `{0}/` a route \
                 of its own to the outpost",
                self.prefix()
            );
        }
    }

    /// Has its sessions bound to devices as the configuration says of all applications, where its
    /// own settings do not say.
    #[must_use]
    pub fn with_device_bound(mut self, of_all: DeviceBound) -> Self {
        self.device_bound = self.settings.device_bound.unwrap_or(of_all);
        self
    }

    /// Returns the cookies of a request that it does not get: Gatepost's cookies, also those of
    /// other applications, except its own session cookie if it verifies that itself.
    pub fn hidden_cookies(&self) -> impl Iterator<Item = Hide<'_>> {
        let name = &self.cookie.name;
        let own = if self.settings.forward_cookie {
            Hide::AllBut(name)
        } else {
            Hide::All(name)
        };
        let others = self.other_sessions.iter().map(Hide::Session);
        std::iter::once(own).chain(others)
    }

    /// Opens the session cookie of a request: of the candidates that a key of the ring made for
    /// this application, the first that is in force, else the first.
    pub fn authenticate(
        &self,
        candidates: &Candidates<'_>,
        in_force: impl Fn(&Authentic) -> bool,
    ) -> Result<Authentic, Unauthenticated> {
        let chosen = self.verifier.choose(candidates, in_force);
        chosen.map_err(|error| match error {
            Some(error) => Unauthenticated::Invalid(error),
            // Chunks that do not fit together.
            None if candidates.any() => Unauthenticated::Invalid(OpenError::Malformed),
            None => Unauthenticated::NoCookie,
        })
    }

    /// Returns all session cookies among these candidates that a key of the ring made for this
    /// application.
    pub fn authentic<'c>(
        &'c self,
        candidates: &'c Candidates<'_>,
    ) -> impl Iterator<Item = Authentic> + 'c {
        let values = candidates.values();
        values.filter_map(|value| self.verifier.authenticate(&value).ok())
    }

    /// Returns a word by which a link of a session's own browser says that it was not made by another
    /// site: see [`Verifier::vouch`].
    pub fn vouch(&self, session: &SessionId, text: &str) -> String {
        self.verifier.vouch(session, text)
    }

    /// Returns whether this is such a word, of the outpost or of its plugin.
    pub fn has_vouched(&self, session: &SessionId, text: &str, word: &str) -> bool {
        self.verifier.has_vouched(session, text, word)
    }

    /// Returns the words by which its plugin says "allowed" to routers behind it: those of `ring`,
    /// unless it has keys of its own.
    pub fn verdicts(&self, ring: &KeyRing) -> Vec<String> {
        let own = self.settings.capabilities.keys.as_ref();
        let ring = own.map_or(ring, |own| &own.ring);
        ring.verdicts(&self.settings.audience)
    }

    /// Returns the policy for a request at `host` where its path is one of the paths that need no
    /// session.
    pub fn policy_of_skip_path(&self, host: &HostPort, request: &impl Request) -> Option<&Policy> {
        let policy = self.policy_of_skip_paths.as_ref()?;
        let paths = &self.settings.capabilities.skip_paths;
        let matches = paths.match_path_of(&self.settings.external, host, request);
        matches.then_some(policy)
    }

    /// Returns which addresses and proxy recipes the application is used with.
    pub fn conventions(&self) -> Conventions {
        self.settings.capabilities.conventions
    }

    /// Returns the URL to which one of its providers sends the browser back. It depends on the
    /// configuration alone, and on nothing in a request.
    pub fn redirect_uri(&self, provider: &Provider) -> String {
        let uri = format!(
            "{}{}/callback",
            self.settings.external.origin(),
            self.settings.prefix
        );
        match (self.conventions(), self.callback_name(provider)) {
            // The URL that authentik registers for its outposts.
            (Conventions::Authentik, _) => format!("{uri}?{CALLBACK_QUERY}"),
            (Conventions::Gatepost, Some(name)) => format!("{uri}/{name}"),
            (Conventions::Gatepost, None) => uri,
        }
    }

    /// Returns the last segment of a provider's callback path where the application has several
    /// providers. Each has its own redirect URI, so that the outpost notices a provider's response
    /// to another provider's request (RFC 9700 §4.4.2.2). The configuration has checked that the
    /// name can be a path segment.
    pub fn callback_name<'p>(&self, provider: &'p Provider) -> Option<&'p str> {
        match self.providers.only() {
            Some(_) => None,
            None => Some(&provider.settings().name),
        }
    }

    /// Returns the path of the cookies that a sign-in sets while it is under way.
    pub fn flow_path(&self) -> &str {
        match self.conventions() {
            // A callback may come at any path, since its query marks it.
            Conventions::Authentik => "/",
            Conventions::Gatepost => self.settings.prefix.as_str(),
        }
    }

    /// Returns the `Set-Cookie` line of a cookie of the outpost that is not the session's.
    /// `max_age` is in seconds, and 0 removes the cookie.
    pub fn own_cookie(&self, name: &str, value: &str, path: &str, max_age: u32) -> String {
        let secure = if self.cookie.secure { "; Secure" } else { "" };
        let cross_site = self.cookie.cross_site.attributes();
        format!("{name}={value}; Path={path}; Max-Age={max_age}; HttpOnly; {cross_site}{secure}")
    }

    /// Returns how long its sessions last at most, in seconds.
    pub fn lifetime(&self, times: &SessionTimes) -> u64 {
        self.settings
            .capabilities
            .lifetime
            .unwrap_or(times.lifetime)
    }

    /// Returns the URL to which a provider may send the browser after signing out.
    pub fn post_logout_uri(&self) -> String {
        self.settings.external.url().to_string()
    }

    /// Returns the URL that starts a sign-in leading back to the request at `host`.
    ///
    /// It is absolute, since Traefik resolves a relative one against the outpost's own address.
    pub fn start_url(&self, host: &HostPort, request: &impl Request) -> String {
        self.absolute(self.sign_in.url(|| host.to_string(), &request.target()))
    }

    /// Returns the URL of `start`, as absolute, for a user whose authentication does not suffice for a
    /// request at `host`, which gets an answer of this form.
    pub fn step_up_url(
        &self,
        host: &HostPort,
        request: &impl Request,
        how: Presentation,
    ) -> String {
        self.absolute(self.sign_in.step_up_url(request, how, || host.to_string()))
    }

    fn absolute(&self, start: String) -> String {
        match self.sign_in {
            // One host, so it is known, whatever port the request names.
            SignIn::OnHost(_) => format!("{}{start}", self.settings.external.origin()),
            SignIn::OnOutpost(..) => start,
        }
    }
}

/// Returns the policy with every path public.
fn policy_of_skip_paths(settings: &ApplicationSettings) -> Option<Policy> {
    if settings.capabilities.skip_paths.is_empty() {
        return None;
    }
    Some(Policy {
        public: PublicPaths::parse(["/*"]).ok()?,
        ..settings.policy.clone()
    })
}
