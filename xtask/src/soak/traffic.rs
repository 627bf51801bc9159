//! The requests, and what every answer to them must be.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream};
use gatepost_e2e::{Stack, forge};
use gatepost_session::Claims;
use reqwest::header::{COOKIE, LINK, LOCATION, SET_COOKIE};
use reqwest::{Client, StatusCode};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use url::Url;

use super::APPLICATION;
use super::app::MARK;
use super::figures::{Count, Figures, Violation};
use super::people::{People, Person, State, Until, claims, key_id, now};

/// How many people load something at the same time.
const CROWD: u64 = 24;

/// After this time everyone knows of a sign-out: the outpost within one second, guests within two,
/// and a part that was away is back.
const SIGN_OUT_IS_KNOWN: Duration = Duration::from_secs(45);

/// The most redirects of one page load: to `start`, back, and one more pair.
const MAX_HOPS: usize = 6;

/// How often a user tries a page that does not load, at the end of the run.
const PATIENCE: u32 = 40;

pub(super) struct Traffic {
    http: Client,
    origin: Url,
    people: Arc<People>,
    figures: Arc<Figures>,
    stop: Arc<AtomicBool>,
    seed: AtomicU64,
    /// Cookies that are no session, each with its kind.
    forged: Vec<(&'static str, String)>,
}

/// What has a browser send a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The user loads a page.
    Page,
    /// A script of the page fetches something.
    Script,
    /// The page's `Link` has the browser renew the session.
    Link,
}

impl Cause {
    /// Returns what a browser says of the request: `Accept`, `Sec-Fetch-Mode`, `Sec-Fetch-Dest`,
    /// `Sec-Fetch-Site`.
    fn headers(self) -> [(&'static str, &'static str); 4] {
        let said = match self {
            Self::Page => ["text/html,*/*;q=0.8", "navigate", "document", "none"],
            Self::Script => ["application/json", "cors", "empty", "same-origin"],
            Self::Link => ["*/*", "cors", "empty", "same-origin"],
        };
        let [accept, mode, destination, site] = said;
        [
            ("Accept", accept),
            ("Sec-Fetch-Mode", mode),
            ("Sec-Fetch-Dest", destination),
            ("Sec-Fetch-Site", site),
        ]
    }
}

/// An answer.
struct Reply {
    status: StatusCode,
    location: Option<Url>,
    /// Where the page has the browser renew the session.
    link: Option<Url>,
    /// The value of the session cookie that it sets.
    cookie: Option<String>,
    /// The user whom the app saw, if the app answered.
    seen: Option<String>,
}

/// How a page load ended.
enum Load {
    /// With the page, and this cookie.
    Page(String),
    /// With no answer, or one of a part that is away.
    Away,
    /// At the provider.
    AtProvider,
    /// With a refusal.
    Refused(StatusCode),
}

/// Random enough to choose by.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

/// Returns whether the renewal of a cookie is due in the last quarter of its window and not earlier.
fn is_put_off(claims: &Claims) -> bool {
    let window = claims.exp.seconds_since(claims.iat);
    claims.rnw.seconds_since(claims.iat) >= window - window / 4
}

impl Traffic {
    pub(super) fn new(stack: &Stack, people: Arc<People>, figures: Arc<Figures>) -> Result<Self> {
        let origin = stack.app().url("/");
        let host = origin.host_str().context("a host")?;
        let port = origin.port().context("a port")?;
        let http = Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .resolve(host, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            .timeout(Duration::from_secs(20))
            .build()?;
        let ring = stack.keys().ring()?;
        let forged = vec![
            ("of another key", forge::wrong_key(APPLICATION)?),
            ("altered", forge::altered(&ring, APPLICATION)?),
            ("of another application", forge::valid(&ring, "another")?),
            (
                "of a window that ended",
                forge::expired(&ring, APPLICATION)?,
            ),
            ("made up", forge::MADE_UP.to_owned()),
        ];
        figures.add(Count::Sessions, u64::try_from(people.all.len())?);
        Ok(Self {
            http,
            origin,
            people,
            figures,
            stop: Arc::default(),
            seed: AtomicU64::new(now()),
            forged,
        })
    }

    /// Returns the flag that ends the traffic.
    pub(super) fn stopped(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Begins.
    pub(super) fn spawn(self: &Arc<Self>, runtime: &Runtime) -> Vec<JoinHandle<()>> {
        (0..CROWD)
            .map(|_| {
                let traffic = Arc::clone(self);
                runtime.spawn(async move {
                    let mut dice = Dice(traffic.seed.fetch_add(0xabcd_ef01, Ordering::Relaxed));
                    while !traffic.stop.load(Ordering::Relaxed) {
                        traffic.turn(&mut dice).await;
                    }
                })
            })
            .collect()
    }

    /// Has a user act.
    async fn turn(&self, dice: &mut Dice) {
        if dice.below(20) == 0 {
            return self.impostor(dice).await;
        }
        let count = u64::try_from(self.people.all.len()).unwrap_or(1);
        let at = usize::try_from(dice.below(count)).unwrap_or_default();
        let Some(person) = self.people.all.get(at) else {
            return;
        };
        let Ok(mut state) = person.state.try_lock() else {
            return;
        };
        match state.clone() {
            State::SignedIn(cookie) => {
                let next = match dice.below(100) {
                    0..80 => self.fetch(person, cookie).await,
                    80..86 => self.renew_beside(person, cookie).await,
                    86..90 => self.load(person, cookie, Until::LastQuarter).await,
                    90..99 => self.load(person, cookie, Until::Ended).await,
                    // A few: a user who signs out is gone for the rest of the run.
                    _ if dice.below(10) == 0 => self.sign_out(cookie).await,
                    _ => State::SignedIn(cookie),
                };
                *state = next;
            }
            State::SignedOut(cookie, at) if at.elapsed() > SIGN_OUT_IS_KNOWN => {
                self.after_sign_out(person, &cookie).await;
            }
            State::SigningOut(cookie) => *state = self.sign_out(cookie).await,
            State::SignedOut(..) | State::Unknown => {}
        }
    }

    /// Sends a script's request, within the window.
    async fn fetch(&self, person: &Person, cookie: String) -> State {
        let Ok(own) = claims(&cookie) else {
            return State::Unknown;
        };
        let in_force = |now: u64| own.exp.as_seconds() > now + 2;
        if in_force(now()) {
            match self.ask(&self.origin, Some(&cookie), Cause::Script).await {
                Ok(reply) => {
                    self.is_only(&reply, Some(&person.name));
                    if reply.seen.as_deref() == Some(&person.name) {
                        self.figures.count(Count::InWindow);
                    } else if in_force(now()) && reply.seen.is_none() {
                        let what = format!(
                            "{}: {}, signed by {} at {} of {}",
                            person.name,
                            reply.status,
                            key_id(&cookie).unwrap_or_default(),
                            own.iat.as_seconds(),
                            now(),
                        );
                        self.figures.violation(Violation::WindowRefused, what);
                    }
                }
                // Traefik runs throughout, so not to answer is to refuse.
                Err(error) => {
                    let what = format!("{}: {error}", person.name);
                    self.figures.violation(Violation::WindowRefused, what);
                }
            }
        }
        State::SignedIn(cookie)
    }

    /// Lets time pass until a renewal is due, and loads a page as a browser does: the page comes,
    /// whatever part is away, and says where the browser renews.
    async fn renew_beside(&self, person: &Person, cookie: String) -> State {
        // The outpost has put the renewal off, because the provider or the store was away.
        if claims(&cookie).is_ok_and(|claims| is_put_off(&claims)) {
            return self.load(person, cookie, Until::LastQuarter).await;
        }
        let Ok(aged) = self.people.aged(&cookie, Until::RenewalDue) else {
            return State::Unknown;
        };
        let page = match self.ask(&self.origin, Some(&aged), Cause::Page).await {
            Ok(page) => page,
            Err(error) => {
                let what = format!("{}, whose renewal is due: {error}", person.name);
                self.figures.violation(Violation::WindowRefused, what);
                return State::SignedIn(aged);
            }
        };
        self.is_only(&page, Some(&person.name));
        if page.seen.is_none() {
            let what = format!("{}, whose renewal is due: {}", person.name, page.status);
            self.figures.violation(Violation::WindowRefused, what);
            return State::SignedIn(aged);
        }
        self.figures.count(Count::Pages);
        let Some(link) = page.link else {
            let what = person.name.clone();
            self.figures.violation(Violation::NotRenewedBeside, what);
            return State::SignedIn(aged);
        };
        // With no answer, or one without a cookie, the page goes on in its window.
        match self.ask(&link, Some(&aged), Cause::Link).await {
            Ok(Reply {
                cookie: Some(fresh),
                ..
            }) => {
                self.figures.count(Count::RenewedBeside);
                State::SignedIn(fresh)
            }
            Ok(_) | Err(_) => State::SignedIn(aged),
        }
    }

    /// Lets time pass for a user, who then loads a page.
    async fn load(&self, person: &Person, cookie: String, until: Until) -> State {
        let Ok(aged) = self.people.aged(&cookie, until) else {
            return State::Unknown;
        };
        if until == Until::Ended {
            self.is_refused("a window that ended", &aged).await;
        }
        match self.page(&person.name, aged.clone()).await {
            Load::Page(fresh) => {
                self.figures.count(match until {
                    Until::RenewalDue | Until::LastQuarter => Count::Renewals,
                    Until::Ended => Count::Ended,
                });
                State::SignedIn(fresh)
            }
            Load::AtProvider => {
                let what = format!("{} was sent to sign in", person.name);
                self.figures.violation(Violation::SessionLost, what);
                State::Unknown
            }
            Load::Away | Load::Refused(_) => {
                self.figures.count(Count::NotAnswered);
                State::SignedIn(aged)
            }
        }
    }

    /// Loads a page and follows redirects as far as they are the app's own.
    async fn page(&self, name: &str, mut cookie: String) -> Load {
        let mut url = self.origin.clone();
        for _ in 0..MAX_HOPS {
            let Ok(reply) = self.ask(&url, Some(&cookie), Cause::Page).await else {
                return Load::Away;
            };
            self.is_only(&reply, Some(name));
            if let Some(fresh) = reply.cookie {
                cookie = fresh;
            }
            if reply.seen.is_some() {
                return Load::Page(cookie);
            }
            match reply.location {
                Some(to) if to.origin() == self.origin.origin() => url = to,
                Some(_) => return Load::AtProvider,
                None if reply.status.is_server_error() => return Load::Away,
                None => return Load::Refused(reply.status),
            }
        }
        Load::Refused(StatusCode::LOOP_DETECTED)
    }

    async fn sign_out(&self, cookie: String) -> State {
        let Ok(url) = self.origin.join("/akprox/sign_out") else {
            return State::Unknown;
        };
        match self.ask(&url, Some(&cookie), Cause::Page).await {
            Ok(reply) if reply.status == StatusCode::FOUND || reply.status == StatusCode::OK => {
                self.figures.count(Count::SignOuts);
                State::SignedOut(cookie, std::time::Instant::now())
            }
            // It may have been done, and its answer lost: asking again is to finish it.
            _ => {
                self.figures.count(Count::SignOutsInDoubt);
                State::SigningOut(cookie)
            }
        }
    }

    async fn after_sign_out(&self, person: &Person, cookie: &str) {
        match self.ask(&self.origin, Some(cookie), Cause::Script).await {
            Ok(reply) if reply.seen.is_some() => {
                let what = format!("{} after signing out", person.name);
                self.figures.violation(Violation::LetThrough, what);
            }
            Ok(_) => self.figures.count(Count::AfterSignOut),
            Err(_) => {}
        }
    }

    async fn impostor(&self, dice: &mut Dice) {
        let kinds = u64::try_from(self.forged.len()).unwrap_or_default() + 1;
        let at = usize::try_from(dice.below(kinds)).unwrap_or_default();
        match self.forged.get(at) {
            Some((kind, cookie)) => self.is_refused(kind, cookie).await,
            None => {
                let cause = match dice.below(2) {
                    0 => Cause::Page,
                    _ => Cause::Script,
                };
                if let Ok(reply) = self.ask(&self.origin, None, cause).await {
                    self.check_is_anonymous("no cookie", &reply);
                }
            }
        }
    }

    async fn is_refused(&self, kind: &str, cookie: &str) {
        if let Ok(reply) = self.ask(&self.origin, Some(cookie), Cause::Script).await {
            self.check_is_anonymous(kind, &reply);
        }
    }

    fn check_is_anonymous(&self, kind: &str, reply: &Reply) {
        if let Some(seen) = &reply.seen {
            let what = format!("{kind}: seen as {seen:?}");
            self.figures.violation(Violation::LetThrough, what);
        } else {
            self.figures.count(Count::Impostors);
        }
    }

    /// Checks that the app saw no user other than this one.
    fn is_only(&self, reply: &Reply, name: Option<&str>) {
        if let Some(seen) = reply.seen.as_deref().filter(|seen| Some(*seen) != name) {
            let what = format!("{name:?} was taken for {seen:?}");
            self.figures.violation(Violation::AnotherIdentity, what);
        }
    }

    /// Has every user load a page once more, long after their windows have ended.
    pub(super) async fn roll_call(&self) {
        stream::iter(&self.people.all)
            .for_each_concurrent(usize::try_from(CROWD).ok(), async |person| {
                let state = person.state.lock().await;
                match state.clone() {
                    State::SignedIn(cookie) => self.is_still_there(person, cookie).await,
                    State::SignedOut(cookie, _) => self.after_sign_out(person, &cookie).await,
                    State::SigningOut(_) | State::Unknown => {}
                }
            })
            .await;
    }

    async fn is_still_there(&self, person: &Person, cookie: String) {
        let Ok(aged) = self.people.aged(&cookie, Until::Ended) else {
            return;
        };
        let mut last = StatusCode::OK;
        for _ in 0..PATIENCE {
            match self.page(&person.name, aged.clone()).await {
                Load::Page(_) => return self.figures.count(Count::RollCall),
                Load::AtProvider => break,
                Load::Away => {}
                Load::Refused(status) => last = status,
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let what = format!("{} is not there in the end ({last})", person.name);
        self.figures.violation(Violation::SessionLost, what);
    }

    async fn ask(
        &self,
        url: &Url,
        cookie: Option<&str>,
        cause: Cause,
    ) -> Result<Reply, reqwest::Error> {
        let request = self.http.get(url.clone());
        let mut request = cause
            .headers()
            .into_iter()
            .fold(request, |request, (name, value)| {
                request.header(name, value)
            });
        if let Some(cookie) = cookie {
            request = request.header(COOKIE, format!("theme=dark; gatepost={cookie}"));
        }
        self.figures.count(Count::Requests);
        let response = request.send().await?;
        let headers = response.headers();
        let location = headers.get(LOCATION).and_then(|to| to.to_str().ok());
        // The app has no `Link` of its own.
        let link = headers.get(LINK).and_then(|line| line.to_str().ok());
        let link = link.and_then(|line| line.strip_prefix('<')?.split('>').next());
        let session = headers.get_all(SET_COOKIE).iter().find_map(|line| {
            let value = line.to_str().ok()?.strip_prefix("gatepost=")?;
            let value = value.split(';').next()?;
            (!value.is_empty()).then(|| value.to_owned())
        });
        let of_app = headers.contains_key(MARK);
        let mut reply = Reply {
            status: response.status(),
            location: location.and_then(|to| url.join(to).ok()),
            link: link.and_then(|to| url.join(to).ok()),
            cookie: session,
            seen: None,
        };
        let body = response.text().await?;
        reply.seen = of_app.then_some(body);
        Ok(reply)
    }
}
