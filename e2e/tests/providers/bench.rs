//! What a scenario runs on: a provider that is started once, and a stack in front of it.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use gatepost_e2e::providers::{ClientKey, Provider, Registration};
use gatepost_e2e::tools::GoProgram;
use gatepost_e2e::users::User;
use gatepost_e2e::{ApplicationSpec, Client, Journey, Ports, Stack, ports, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::scenarios::Scenario;

/// For something to happen on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// The place of one provider, which stops with the last scenario that needs it.
pub(crate) struct Seat {
    pub(crate) name: &'static str,
    /// Its name in the documentation.
    pub(crate) title: &'static str,
    /// Whether the record has what the scenarios find: it is about one release.
    pub(crate) recorded: bool,
    /// Whether no two scenarios may run at once.
    one_at_a_time: bool,
    find: fn() -> Result<()>,
    start: fn() -> Result<Box<dyn Provider>>,
    provider: Mutex<Option<Result<Arc<dyn Provider>, String>>>,
    /// Held alone by scenarios that others would notice.
    turn: RwLock<()>,
}

impl Seat {
    pub(crate) fn new(
        name: &'static str,
        title: &'static str,
        find: fn() -> Result<()>,
        start: fn() -> Result<Box<dyn Provider>>,
    ) -> Self {
        Self {
            name,
            title,
            recorded: true,
            one_at_a_time: false,
            find,
            start,
            provider: Mutex::default(),
            turn: RwLock::default(),
        }
    }

    /// Has its scenarios run one after another.
    pub(crate) fn one_at_a_time(mut self) -> Self {
        self.one_at_a_time = true;
        self
    }

    /// Leaves what the scenarios find out of the record where another build is given.
    pub(crate) fn unless_given(mut self, program: GoProgram) -> Self {
        self.recorded = program.given().is_none();
        self
    }

    /// Returns why the provider cannot be started, where it is not installed.
    pub(crate) fn missing(&self) -> Option<String> {
        (self.find)().err().map(|error| format!("{error:#}"))
    }

    /// Starts the provider for the first scenario; what failed once is not tried again.
    fn provider(&self) -> Result<Arc<dyn Provider>> {
        let mut provider = self.provider.lock().unwrap_or_else(PoisonError::into_inner);
        let started = provider.get_or_insert_with(|| {
            let started = (self.start)().map_err(|error| format!("{error:#}"));
            started.map(Arc::from)
        });
        started.clone().map_err(|error| anyhow!(error))
    }
}

/// Whose turn it is at a provider.
enum Turn<'s> {
    Shared { _guard: RwLockReadGuard<'s, ()> },
    Alone { _guard: RwLockWriteGuard<'s, ()> },
}

/// A provider for one scenario.
pub(crate) struct Bench<'s> {
    /// Names the folder with the logs.
    name: String,
    pub(crate) provider: Arc<dyn Provider>,
    _turn: Turn<'s>,
}

/// The settings of a stack, besides its provider.
pub(crate) struct Plan {
    /// Whether the provider gives refresh tokens.
    pub(crate) refresh_tokens: bool,
    /// A further audience of ID tokens.
    pub(crate) further_audience: Option<&'static str>,
    /// Whether the provider has a scope `groups`.
    pub(crate) groups_scope: bool,
    /// Whether the client may have users sign in.
    pub(crate) code_flow: bool,
    /// The key by which the client authenticates, instead of a secret.
    pub(crate) client_key: Option<ClientKey>,
    /// Whether the client authenticates by a MAC of its secret.
    pub(crate) secret_jwt: bool,
    /// Whether the provider has the classes of authentication `silver` and `gold`.
    pub(crate) levels: bool,
    /// Whether the outpost has the configuration that the documentation begins with.
    pub(crate) first_settings: bool,
    /// The rule of the application, in plugin and outpost.
    pub(crate) require: Value,
    /// Its list of rules, in both.
    pub(crate) rules: Value,
    /// Changes of the provider's entry in the outpost's configuration.
    pub(crate) provider: Value,
    /// Changes of the outpost's configuration.
    pub(crate) outpost: Value,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            refresh_tokens: true,
            further_audience: None,
            groups_scope: true,
            code_flow: true,
            client_key: None,
            secret_jwt: false,
            levels: false,
            first_settings: false,
            require: json!({ "groups": ["staff"] }),
            rules: Value::Null,
            provider: json!({}),
            outpost: json!({}),
        }
    }
}

impl Plan {
    /// Windows that a test can wait for: a page load after three seconds renews.
    pub(crate) fn short_windows() -> Self {
        Self {
            outpost: json!({
                "session": { "window": "30s", "renewAfter": "3s", "refreshAfter": "2s" },
            }),
            ..Self::default()
        }
    }

    /// Sessions without a refresh token, which browsers renew in the last quarter of a window: a page
    /// load after [`LAST_QUARTER`] does.
    pub(crate) fn renewed_by_browsers() -> Self {
        Self {
            refresh_tokens: false,
            outpost: json!({
                "session": { "window": "40s", "renewAfter": "3s", "refreshAfter": "2s" },
            }),
            ..Self::default()
        }
    }
}

/// When the last quarter of a window of [`Plan::renewed_by_browsers`] has begun.
pub(crate) const LAST_QUARTER: Duration = Duration::from_secs(31);

/// A stack with a provider.
pub(crate) struct Signed {
    pub(crate) stack: Stack,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) registration: Registration,
    metrics: Url,
}

impl<'s> Bench<'s> {
    pub(crate) fn of(seat: &'s Seat, scenario: &Scenario) -> Result<Self> {
        let turn = if scenario.alone || seat.one_at_a_time {
            let guard = seat.turn.write().unwrap_or_else(PoisonError::into_inner);
            Turn::Alone { _guard: guard }
        } else {
            let guard = seat.turn.read().unwrap_or_else(PoisonError::into_inner);
            Turn::Shared { _guard: guard }
        };
        Ok(Self {
            name: format!("providers.{}.{}", seat.name, scenario.name),
            provider: seat.provider()?,
            _turn: turn,
        })
    }

    /// Returns the issuer that a client finds for which nothing special is asked.
    pub(crate) fn issuer(&self) -> String {
        self.provider.issuer(&self.registration())
    }

    /// Returns a registration for which nothing special is asked, of a client without a name.
    pub(crate) fn registration(&self) -> Registration {
        let plan = Plan::default();
        Registration {
            client_id: String::new(),
            origins: Vec::new(),
            outpost_port: 0,
            refresh_tokens: plan.refresh_tokens,
            further_audience: plan.further_audience,
            groups_scope: plan.groups_scope,
            code_flow: plan.code_flow,
            client_key: None,
            secret_jwt: plan.secret_jwt,
            levels: false,
        }
    }

    /// Starts a stack with two applications, `app` and `other`.
    pub(crate) fn stack(&self, plan: &Plan) -> Result<Signed> {
        let ports = Ports {
            web: ports::free()?,
            outpost: ports::free()?,
            metrics: ports::free()?,
            provider: ports::free()?,
        };
        let origin = |name: &str| format!("http://{name}.localhost:{}", ports.web);
        let registration = Registration {
            client_id: format!("gatepost-{}", ports.web),
            origins: vec![origin("app"), origin("other")],
            outpost_port: ports.outpost,
            refresh_tokens: plan.refresh_tokens,
            further_audience: plan.further_audience,
            groups_scope: plan.groups_scope,
            code_flow: plan.code_flow,
            client_key: plan.client_key.clone(),
            secret_jwt: plan.secret_jwt,
            levels: plan.levels,
        };
        let client = self.provider.register(&registration)?;
        let mut provider = if plan.first_settings {
            registration.first_settings(&*self.provider, &client)?
        } else {
            registration.settings(&*self.provider, &client)
        };
        merge(&mut provider, &plan.provider);
        let application = |name| {
            let own = ApplicationSpec::new(name).set("require", &plan.require);
            own.set("rules", &plan.rules)
        };
        let stack = Stack::builder()
            .name(&self.name)
            .ports(ports)
            .application(application("app"))
            .application(application("other"))
            .revoked_file()
            // The provider of other tests.
            .provider_down()
            .outpost(&json!({ "providers": [provider] }))
            .outpost(&plan.outpost)
            .start()?;
        let at_metrics = |path: &str| format!("http://127.0.0.1:{}{path}", ports.metrics);
        let readiness = Url::parse(&at_metrics("/readyz"))?;
        let client = Client::new()?;
        until("the outpost to find the provider", PATIENCE, || {
            let answer = client.bare(Method::GET, &readiness).send()?;
            Ok((answer.status() == StatusCode::OK).then_some(()))
        })
        .with_context(|| stack.outpost().output())?;
        Ok(Signed {
            stack,
            provider: Arc::clone(&self.provider),
            registration,
            metrics: Url::parse(&at_metrics("/metrics"))?,
        })
    }
}

fn merge(base: &mut Value, changes: &Value) {
    if let (Some(base), Some(changes)) = (base.as_object_mut(), changes.as_object()) {
        base.extend(changes.clone());
    }
}

impl Signed {
    pub(crate) fn url(&self, path: &str) -> Url {
        self.stack.app().url(path)
    }

    /// Signs a user in, who comes back to the page.
    pub(crate) fn sign_in(&self, browser: &Client, user: &User) -> Result<Journey> {
        let page = self.url("/signed-in?as=a%20user");
        let journey = self.provider.sign_in(browser, &page, user)?;
        self.landed(&journey, &page)?;
        Ok(journey)
    }

    /// Fails, with what the outpost logged, unless a journey has ended at this page.
    pub(crate) fn landed(&self, journey: &Journey, page: &Url) -> Result<()> {
        let landed = &journey.landed;
        if landed.url == *page && landed.status == StatusCode::OK {
            return Ok(());
        }
        Err(anyhow!(
            "the user did not come to {page}:{journey}\n{:.2000}\noutpost: {}",
            landed.body,
            self.stack.outpost().output()
        ))
    }

    /// Whether the browser went to the provider.
    pub(crate) fn asked_provider(&self, journey: &Journey) -> bool {
        let issuer = self.provider.issuer(&self.registration);
        let issuer = Url::parse(&issuer).expect("an issuer is a URL");
        journey
            .hops()
            .any(|hop| hop.url.origin() == issuer.origin())
    }

    /// Returns how often the provider has confirmed a session to the outpost.
    pub(crate) fn confirmations(&self) -> Result<u64> {
        let text = Client::new()?.bare(Method::GET, &self.metrics).send()?;
        let text = text.text()?;
        let mut lines = text.lines();
        let line = lines.find(|line| {
            line.starts_with("gatepost_confirmations_total{") && line.contains("\"holds\"")
        });
        let count = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
        Ok(count.unwrap_or(0))
    }

    /// Loads pages until the provider has confirmed the session once more.
    pub(crate) fn renew(&self, browser: &Client) -> Result<()> {
        let before = self.confirmations()?;
        until("a renewal", PATIENCE, || {
            let page = self.another_page();
            let journey = browser.open(&page)?;
            self.landed(&journey, &page)?;
            assert!(!self.asked_provider(&journey), "{journey}");
            Ok((self.confirmations()? > before).then_some(()))
        })
    }

    /// Returns a page that no test has opened. With windows this short, a browser that comes back
    /// to the same one looks as if it were caught in a loop.
    pub(crate) fn another_page(&self) -> Url {
        use std::sync::atomic::{AtomicU32, Ordering};
        static VISITS: AtomicU32 = AtomicU32::new(0);
        let visit = VISITS.fetch_add(1, Ordering::Relaxed);
        self.url(&format!("/page/{visit}"))
    }

    /// Returns the only line of the outpost's log that has these words.
    pub(crate) fn line(&self, words: &str) -> Result<String> {
        let log = self.stack.outpost().output();
        let mut lines = log.lines().filter(|line| line.contains(words));
        match (lines.next(), lines.next()) {
            (Some(line), None) => Ok(line.to_owned()),
            (None, _) => Err(anyhow!("no line with {words}: {log}")),
            (Some(_), Some(_)) => Err(anyhow!("several lines with {words}: {log}")),
        }
    }

    /// The status that a script of this application receives.
    pub(crate) fn status(&self, browser: &Client, application: &str) -> Result<StatusCode> {
        let page = self.stack.application(application)?.url("/data");
        Ok(browser.fetch(Method::GET, &page).send()?.status())
    }

    /// The provider's metadata (OpenID Connect Discovery 1.0 §4).
    pub(crate) fn metadata(&self) -> Result<Value> {
        let issuer = self.provider.issuer(&self.registration);
        let issuer = issuer.trim_end_matches('/');
        let url = Url::parse(&format!("{issuer}/.well-known/openid-configuration"))?;
        let text = Client::new()?.bare(Method::GET, &url).send()?.text()?;
        Ok(serde_json::from_str(&text)?)
    }
}
