//! What follows from a decision.

use gatepost_policy::{
    Decision, Deferral, Demand, Denial, OUTPOST_VERDICT, Permit, Presentation, RULE_HEADER,
    RULE_PROOF_HEADER, Request as _, StepUp, Unauthenticated, VERDICT_HEADER, holds_api_key,
    until_bound, with_conditions,
};
use gatepost_session::{TextList, Verifier, WindowError};

use crate::config::Config;
use crate::forwarded_cookies::Cookies;
use crate::host::{Flow, Host, Level, Reply, View, first_line};
use crate::reply::{self, Probe};
use crate::session_cache::VerifiedSession;

/// A request on which the policy has decided.
pub(super) struct Exchange<'r, H> {
    pub(super) config: &'r Config,
    pub(super) host: &'r H,
    /// The authentic session, whether or not it is in force.
    pub(super) session: Option<&'r VerifiedSession>,
    /// The cookies for the application.
    pub(super) cookies: &'r Cookies,
    /// Whether it has the header for API keys.
    pub(super) has_api_key: bool,
    /// Of sessions: it has their keys.
    pub(super) verifier: &'r Verifier,
}

impl<H: Host> Exchange<'_, H> {
    /// Answers without a router behind the plugin (`fallback: redirect`).
    pub(super) fn answer(&self, decision: Decision<'_>) -> Flow {
        // Also where the application would be allowed: it would answer in the outpost's place.
        if self.is_for_the_outpost() {
            return self.stand_in_for_the_outpost();
        }
        match decision {
            Decision::Allow(permit) => self.admit(&permit),
            Decision::Renew(permit) => match self.presentation() {
                Presentation::PageLoad if self.renews_beside(&permit) => self.admit(&permit),
                Presentation::PageLoad => self.respond(reply::redirect(self.sign_in_url())),
                Presentation::Form | Presentation::Data => self.admit(&permit),
            },
            Decision::SignIn(reason) => {
                self.log_refusal(&reason);
                self.require_sign_in(self.presentation())
            }
            Decision::Defer(Deferral::MoreGroups) => self.require_sign_in(self.presentation()),
            Decision::Defer(Deferral::Authorization) => {
                let message =
                    "credentials cannot be checked here: `machines` needs `fallback: route`";
                self.config.log(self.host, Level::Warn, message);
                // A machine client sent them, whatever it accepts: a sign-in page does not help it.
                self.require_sign_in(Presentation::Data)
            }
            Decision::Deny(denial) => {
                self.log_denial(&denial);
                if let Some(step_up) = denial.step_up() {
                    return self.require_step_up(step_up);
                }
                let outpost = self.config.sign_in.base();
                let application = &self.config.application;
                let how = self.presentation();
                self.respond(match how {
                    Presentation::PageLoad if denial.lacks_device() => {
                        reply::redirect(until_bound(self.sign_in_url()))
                    }
                    _ => reply::denied(how, &denial, application, &outpost),
                })
            }
            Decision::MethodNotAllowed => self.respond(reply::method_not_allowed()),
        }
    }

    /// Hands the request on with its verdict, for the routers behind the plugin
    /// (`fallback: route`); `verdicts` are the words for "allowed".
    pub(super) fn route(&self, decision: &Decision<'_>, verdicts: &[String]) -> Flow {
        match decision {
            // A signed-in user who goes to the outpost needs the session's cookie there.
            Decision::Allow(_) if self.is_for_the_outpost() => self.hand_over(OUTPOST_VERDICT),
            // The outpost has the tokens, and removes what a client sends in their place.
            Decision::Allow(_) | Decision::Renew(_) if self.config.upstream_tokens.is_some() => {
                self.hand_over("defer")
            }
            Decision::Allow(permit) => self.pass(permit, verdicts),
            Decision::Renew(permit)
                if !self.is_for_the_outpost()
                    && self.presentation() == Presentation::PageLoad
                    && self.renews_beside(permit) =>
            {
                self.pass(permit, verdicts)
            }
            Decision::Renew(_) | Decision::SignIn(_) | Decision::Deny(_) | Decision::Defer(_) => {
                self.hand_over(decision.verdict())
            }
            Decision::MethodNotAllowed => self.respond(reply::method_not_allowed()),
        }
    }

    /// Hands a permitted request on to the router of the application.
    fn pass(&self, permit: &Permit<'_>, verdicts: &[String]) -> Flow {
        for word in verdicts {
            self.host.add_header(VERDICT_HEADER, word.as_bytes());
        }
        self.admit(permit)
    }

    /// Has the browser of a page load renew its session while it shows the page. Returns false where
    /// that cannot be: the browser does not say that it loads a document, or the window is near its
    /// end.
    fn renews_beside(&self, permit: &Permit<'_>) -> bool {
        let destination = || first_line(self.host, "sec-fetch-dest");
        let can = permit.can_renew_beside() && destination().as_deref() == Some(b"document");
        if can {
            let link = self.config.sign_in.renewal_link();
            self.host.add_response_header("Link", link.as_bytes());
        }
        can
    }

    /// Returns whether `gatepost check` has signed the session, to see whether the plugin has the
    /// outpost's keys and rule.
    pub(super) fn is_probe(&self) -> bool {
        self.session
            .is_some_and(|session| session.authentic.session_id().is_probe())
    }

    /// Answers `gatepost check`. `list` says whether the list of revoked sessions can be read.
    pub(super) fn answer_probe(&self, list: &str) -> Flow {
        let config = self.config;
        let narrowing = config.narrowing.as_ref();
        let probe = Probe {
            rule: &config.policy.require.to_text().unwrap_or_default(),
            rules: &config.policy.fingerprints_of_rules(),
            public: &config.policy.fingerprints_of_paths(),
            list,
            narrowed_to: narrowing.map(|own| own.rule_text.as_deref().unwrap_or_default()),
            tokens: config.upstream_tokens.as_deref(),
        };
        self.respond(reply::unauthenticated(
            &config.application,
            &self.start(),
            Some(probe),
        ))
    }

    /// Prepares a permitted request for the application.
    fn admit(&self, permit: &Permit<'_>) -> Flow {
        if let Some(name) = self.config.headers.api_key().filter(|_| self.has_api_key) {
            self.host.remove_header(name.as_str().as_bytes());
        }
        // A key that did not decide: what an application sees, it could use at others.
        if self.config.policy.machine_clients.api_key
            && let Some(credentials) = View(self.host, &[]).header("authorization")
            && holds_api_key(&credentials)
        {
            self.host.remove_header(b"authorization");
        }
        self.set_identity(permit);
        self.cookies.forward(self.host);
        Flow::Continue
    }

    /// Sends the request on to the outpost, which decides in the plugin's place.
    fn hand_over(&self, verdict: &str) -> Flow {
        self.host.set_header(VERDICT_HEADER, verdict.as_bytes());
        let config = self.config;
        let narrowing = config.narrowing.as_ref();
        let beside = narrowing.and_then(|own| own.rule_text.as_deref());
        let request = View(self.host, &config.proxies);
        let has_own_paths = narrowing.is_none_or(|own| own.leaves_paths_out);
        let demand = config.policy.demand(&request, has_own_paths, beside);
        if let Some(demand) = demand {
            // The outpost's own rules may admit more users, and so may the same ones: a middleware behind
            // this one may have changed the path or the host.
            self.host.set_header(RULE_HEADER, demand.as_bytes());
            if let Some(session) = self.session {
                let text = Demand::vouched_text(&demand);
                let word = self.verifier.vouch(session.authentic.session_id(), &text);
                self.host.set_header(RULE_PROOF_HEADER, word.as_bytes());
            }
        }
        Flow::Continue
    }

    fn respond(&self, reply: Reply) -> Flow {
        self.host.respond(reply);
        Flow::Responded
    }

    fn set_identity(&self, permit: &Permit<'_>) {
        let render = || {
            let mut lines = TextList::with_capacity(12, 192);
            for (name, value) in self.config.headers.render(permit) {
                lines.push(name.as_str());
                lines.push(&value);
            }
            lines.shrink();
            lines
        };
        // A request may pass without an identity although its cookie is authentic.
        if let (Some(session), Some(_)) = (self.session, permit.identity()) {
            let mut lines = session.headers.get_or_init(render).iter();
            while let (Some(name), Some(value)) = (lines.next(), lines.next()) {
                self.host.set_header(name, value.as_bytes());
            }
        }
    }

    /// Answers a request without a session in force.
    fn require_sign_in(&self, how: Presentation) -> Flow {
        self.respond(match how {
            Presentation::PageLoad => reply::redirect(self.sign_in_url()),
            Presentation::Form => {
                reply::not_delivered("You are not signed in any more", &self.start())
            }
            Presentation::Data => {
                reply::unauthenticated(&self.config.application, &self.start(), None)
            }
        })
    }

    /// Answers a user whose authentication does not suffice. `start` finds by the outpost's own rules
    /// what to ask the provider for.
    #[inline(never)]
    fn require_step_up(&self, step_up: &StepUp<'_>) -> Flow {
        let how = self.presentation();
        let request = View(self.host, &[]);
        let mut url = self
            .config
            .sign_in
            .step_up_url(&request, how, || self.host_name());
        // The rules of the outpost's folder it knows, where no router narrows them.
        let narrowing = self.config.narrowing.as_ref();
        if narrowing.is_none_or(|own| !own.log.is_empty()) {
            // Only a user with a session lacks an authentication.
            url = with_conditions(url, step_up, |text| match self.session {
                Some(session) => self.verifier.vouch(session.authentic.session_id(), text),
                None => String::new(),
            });
        }
        self.respond(match how {
            Presentation::PageLoad => reply::redirect(url),
            Presentation::Form => {
                reply::not_delivered("This needs a stronger or more recent sign-in", &url)
            }
            Presentation::Data => {
                let challenge = step_up.challenge(self.config.application.as_str());
                reply::insufficient(&url, challenge)
            }
        })
    }

    /// Answers a request for the outpost, which has not reached it.
    fn stand_in_for_the_outpost(&self) -> Flow {
        let prefix = self.config.sign_in.prefix();
        if prefix.is_for_proxies(&self.host.target()) {
            return self.respond(reply::for_proxies_only());
        }
        // With the outpost's origin if it has one: a request for the prefix at an application's host
        // is then a link to the wrong host.
        let base = self.config.sign_in.base();
        let message = format!(
            "a request for {base} reached the plugin: start the outpost, without which the proxy \
             drops its route, or route these requests to it"
        );
        self.config.log(self.host, Level::Error, &message);
        self.respond(reply::misrouted(self.presentation(), &base))
    }

    fn presentation(&self) -> Presentation {
        Presentation::of(&View(self.host, &[]))
    }

    /// Returns whether a request is for the outpost's own paths.
    fn is_for_the_outpost(&self) -> bool {
        let prefix = self.config.sign_in.prefix();
        self.host.with_target(|target| prefix.contains(target))
    }

    /// Returns the URL at which a user signs in.
    fn start(&self) -> String {
        format!("{}/start", self.config.sign_in.base())
    }

    /// Returns the URL at which this page load signs in, and which leads back to it.
    fn sign_in_url(&self) -> String {
        let sign_in = &self.config.sign_in;
        sign_in.url(|| self.host_name(), &self.host.target())
    }

    /// Returns the host that the request names.
    fn host_name(&self) -> String {
        let name = first_line(self.host, "host").unwrap_or_default();
        String::from_utf8_lossy(&name).into_owned()
    }

    fn log_refusal(&self, reason: &Unauthenticated) {
        let level = match reason {
            Unauthenticated::NoCookie | Unauthenticated::Revoked => Level::Debug,
            // A client made it up, or the keys differ: worth seeing. A window that has not begun
            // says that a clock is wrong.
            Unauthenticated::Invalid(_) => Level::Info,
            Unauthenticated::Window(WindowError::NotYet) => Level::Warn,
            Unauthenticated::Window(_) => Level::Debug,
        };
        self.config.log(self.host, level, &reason.to_string());
    }

    /// Logs the rule and the groups, which an operator compares with it: names differ by a letter.
    fn log_denial(&self, denial: &Denial<'_>) {
        let rule = denial.rule().unwrap_or("require");
        let mut message = format!("signed in, but `{rule}` does not admit: ");
        if denial.lacks_device() {
            message.push_str("the session is not bound to a device");
        } else if let Some(step_up) = denial.step_up() {
            message.push_str(&step_up.to_text());
        } else {
            let groups = denial.identity().map(|user| user.groups.join(b'|'));
            message.push_str("groups ");
            message.push_str(groups.as_deref().unwrap_or("none"));
        }
        self.config.log(self.host, Level::Debug, &message);
    }
}
