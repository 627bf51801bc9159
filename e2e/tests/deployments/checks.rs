//! Checks that apply to every deployment, whatever proxy is in front.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gatepost_e2e::clients::raw_http1::RawConnection;
use gatepost_e2e::users::{ALICE, User};
use gatepost_e2e::{Answer, Client, Site, SiteBuilder, until};
use reqwest::blocking::Response;
use reqwest::{Method, StatusCode};
use serde_json::json;
use url::Url;

/// Known to the provider, and in no group.
const CAROL: User = User {
    login: "carol",
    password: "rumpelstiltskin",
};

/// Known to the provider, and in so many groups that the session takes several cookies.
const ERIN: User = User {
    login: "erin",
    password: "so-many-things",
};

/// A page with everything that a target may contain.
const PAGE: &str = "/reports/2026?quarter=3&sort=a%2Fb&empty=";

/// How long the slowest machine may take to see a renewal that is due after a second.
pub(crate) const RENEWAL: Duration = Duration::from_secs(60);

/// Returns a site whose outpost has this configuration, with the settings that the checks need: a
/// public path, a user to deny, and a renewal that is due immediately.
pub(crate) fn site(outpost_file: &str) -> SiteBuilder {
    let mut groups = vec!["staff".to_owned()];
    groups.extend((0..200).map(|number| format!("department-with-a-long-name-{number}")));
    Site::builder(outpost_file)
        .outpost(&json!({ "session": { "window": "1h", "renewAfter": "1s" } }))
        .applications(&json!({ "public": PUBLIC }))
        .provider(&json!({ "users": {
            CAROL.login: {
                "sub": "248289761003",
                "password": CAROL.password,
                "name": "Carol Nobody",
                "email": "carol@example.com",
                "groups": [],
            },
            ERIN.login: {
                "sub": "248289761005",
                "password": ERIN.password,
                "name": "Erin Everywhere",
                "email": "erin@example.com",
                "groups": groups,
            },
        } }))
}

/// The public paths of [`site`].
pub(crate) const PUBLIC: &[&str] = &["/public/*"];

/// Checks one application: the app `wiki`.
pub(crate) fn single(site: &Site) -> Result<()> {
    single_but_for_spellings(site)?;
    identity_cannot_be_made_up(site, "__Secure-gatepost.0")
}

/// Checks the same where the proxy hands on headers with an underscore in their names.
pub(crate) fn single_but_for_spellings(site: &Site) -> Result<()> {
    no_request_without_a_session_passes(site, "wiki")?;
    a_visit_signs_in_and_comes_back(site, "wiki")?;
    public_paths_are_open_and_anonymous(site)?;
    forwarded_headers_of_clients_decide_nothing(site)?;
    who_is_in_no_group_is_refused(site)?;
    only_the_proxy_asks(site, &["wiki"])?;
    signing_out_ends_the_session(site, "wiki")
}

/// Checks every host of a domain: the apps `wiki` and `files`, and the outpost at `auth`.
pub(crate) fn domain(site: &Site) -> Result<()> {
    no_request_without_a_session_passes(site, "wiki")?;
    no_request_without_a_session_passes(site, "files")?;
    a_visit_signs_in_and_comes_back(site, "wiki")?;
    one_sign_in_is_valid_at_all_hosts(site)?;
    public_paths_are_open_and_anonymous(site)?;
    identity_cannot_be_made_up(site, "__Host-gatepost")?;
    forwarded_headers_of_clients_decide_nothing(site)?;
    who_is_in_no_group_is_refused(site)?;
    only_the_proxy_asks(site, &["wiki", "auth"])?;
    signing_out_ends_the_session(site, "auth")
}

fn no_request_without_a_session_passes(site: &Site, host: &str) -> Result<()> {
    let client = Client::new()?;
    let url = site.url(host, "/private?x=1")?;
    let before = site.wiki().len() + site.files().len();
    for method in [Method::GET, Method::POST, Method::DELETE] {
        let refused = client.fetch(method.clone(), &url).send()?;
        assert_eq!(refused.status(), site.turned_away(), "{host}: {method}");
        is_for_no_cache(site, &refused)?;
    }
    let form = client.page_load(Method::POST, &url).body("a=1").send()?;
    assert_eq!(form.status(), site.turned_away(), "{host}: a form");
    is_for_no_cache(site, &form)?;
    let page = client.page_load(Method::GET, &url).send()?;
    assert_eq!(page.status(), StatusCode::FOUND, "{host}: a page");
    is_for_no_cache(site, &page)?;
    let after = site.wiki().len() + site.files().len();
    assert_eq!(before, after, "{host}: something reached an app");
    Ok(())
}

/// Row 78: checks that no cache in front gives this answer to another client, but where ingress-nginx,
/// which turns everyone away by 302, writes it without a header.
fn is_for_no_cache(site: &Site, answer: &Response) -> Result<()> {
    if site.turned_away() == StatusCode::FOUND {
        return Ok(());
    }
    let control = answer.headers().get("cache-control");
    let control = control.map_or(Ok(""), |value| value.to_str())?;
    let status = answer.status();
    assert!(control.contains("no-store"), "{status}: {control:?}");
    Ok(())
}

fn a_visit_signs_in_and_comes_back(site: &Site, host: &str) -> Result<()> {
    let page = site.url(host, PAGE)?;
    let client = Client::new()?;
    client.add_cookie(&page, "theme=dark");
    let journey = client.sign_in(&page, &ALICE)?;
    assert_eq!(journey.landed.url, page, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");

    let seen = site.wiki();
    let seen = seen.last().context("the app was asked")?;
    assert_eq!(seen.uri, PAGE);
    for (name, value) in [
        ("x-auth-username", "alice"),
        ("x-auth-groups", "staff|admins"),
        ("x-forwarded-email", "alice@example.com"),
        ("x-forwarded-preferred-username", "alice"),
        ("x-forwarded-user", "248289761001"),
        // The session's cookie is not the app's to see, and so not its to replay.
        ("cookie", "theme=dark"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}");
    }

    let next = client.open(&site.url(host, "/next")?)?;
    assert_eq!(next.landed.status, StatusCode::OK, "{next}");
    let post = client.fetch(Method::POST, &site.url(host, "/next")?);
    let post = post.body("a=1").send()?.status();
    assert_eq!(post, StatusCode::OK, "a script's POST with a session");
    Ok(())
}

fn one_sign_in_is_valid_at_all_hosts(site: &Site) -> Result<()> {
    let client = Client::new()?;
    client.sign_in(&site.url("wiki", "/")?, &ALICE)?;
    let status = client
        .fetch(Method::GET, &site.url("files", "/")?)
        .send()?
        .status();
    assert_eq!(status, StatusCode::OK, "the second host, without a sign-in");
    let seen = site.files();
    let seen = seen.last().context("the second app was asked")?;
    assert_eq!(seen.header("x-auth-username"), Some("alice"));
    assert_eq!(seen.header("cookie").unwrap_or_default(), "");
    Ok(())
}

fn public_paths_are_open_and_anonymous(site: &Site) -> Result<()> {
    let request = Client::new()?
        .fetch(Method::GET, &site.url("wiki", "/public/logo")?)
        .header("X-Auth-Username", "mallory");
    assert_eq!(request.send()?.status(), StatusCode::OK);
    let seen = site.wiki();
    let seen = seen.last().context("the app was asked")?;
    assert_eq!(seen.uri, "/public/logo");
    // Some proxies cannot leave a header out; an empty one names no user either.
    assert_eq!(seen.header("x-auth-username").unwrap_or_default(), "");
    Ok(())
}

/// `others` is a name that the session cookie of another application may have.
fn identity_cannot_be_made_up(site: &Site, others: &str) -> Result<()> {
    let client = Client::new()?;
    let page = site.url("wiki", "/")?;
    client.sign_in(&page, &ALICE)?;
    let request = client
        .fetch(Method::GET, &page)
        .header("X-Auth-Username", "mallory")
        .header("x_auth_username", "mallory")
        .header("X-Auth-Groups", "root")
        .header("X-Forwarded-User", "0")
        .header("Connection", "X-Auth-Username");
    assert_eq!(request.send()?.status(), StatusCode::OK);
    let seen = site.wiki();
    let seen = seen.last().context("the app was asked")?;
    assert_eq!(seen.header("x-auth-username"), Some("alice"));
    assert_eq!(seen.header("x-auth-groups"), Some("staff|admins"));
    assert_eq!(seen.header("x-forwarded-user"), Some("248289761001"));
    assert_eq!(seen.header("x_auth_username"), None, "an alias");
    a_client_cannot_set_identity_headers_of_other_systems(site, &client, others)
}

/// Checks rows A9 and A8: neither an identity header of another system, nor a session of another
/// application below the domain, reaches the app.
fn a_client_cannot_set_identity_headers_of_other_systems(
    site: &Site,
    client: &Client,
    others: &str,
) -> Result<()> {
    const NAMES: [&str; 18] = [
        "X-Forwarded-Groups",
        "X-Forwarded-Access-Token",
        "X-Auth-Request-User",
        "X-Auth-Request-Email",
        "X-Auth-Request-Groups",
        "X-Auth-Request-Preferred-Username",
        "X-Auth-Request-Access-Token",
        "X-Auth-Request-Redirect",
        "Remote-User",
        "Remote-Groups",
        "Remote-Email",
        "Remote-Name",
        "X-Remote-User",
        "X-WEBAUTH-USER",
        "X-Original-URL",
        "X-Rewrite-URL",
        "SCRIPT_NAME",
        "X-Script-Name",
    ];
    for (path, groups) in [("/", "staff,admins"), ("/public/logo", "staff,admins")] {
        let page = site.url("wiki", path)?;
        let session = ["gatepost", "__Host-gatepost", "__Secure-gatepost"]
            .into_iter()
            .find_map(|name| Some(format!("{name}={}", client.cookie(&page, name)?)));
        let session = session.context("a session")?;
        let cookies = format!("a=1; {others}=x; __Host-gatepost-flow-x=1; {session}; b=2");
        let request = NAMES
            .iter()
            .fold(client.fetch(Method::GET, &page), |request, name| {
                request.header(*name, "mallory")
            });
        let request = request.header("Cookie", cookies);
        assert_eq!(request.send()?.status(), StatusCode::OK, "{path}");
        let seen = site.wiki();
        let seen = seen.last().context("the app was asked")?;
        let said = seen
            .headers
            .iter()
            .filter(|(_, values)| values.iter().any(|v| v == "mallory"));
        assert_eq!(said.count(), 0, "{path}: {:?}", seen.headers);
        assert_eq!(seen.header("x-forwarded-groups"), Some(groups), "{path}");
        assert_eq!(seen.header("cookie"), Some("a=1; b=2"), "{path}");
    }
    Ok(())
}

/// Headers by which a client would name a user, in the spellings of several systems.
const NO_CLIENT_SAYS: [&str; 16] = [
    "X-Auth-Username",
    "X_Auth_Username",
    "X.Auth.Username",
    "X-Webauth-Role",
    "X-Webauth-Groups",
    "X-Vouch-User",
    "X-Pomerium-Claim-Email",
    "X-Auth-Roles",
    "X-Forwarded-Login",
    "Tailscale-User-Login",
    "Oidc-Claim-Sub",
    "X-Authentik-Entitlements",
    "Remote-Foo",
    "Remote_User",
    "X_Rewrite_URL",
    "SCRIPT_NAME",
];

/// Checks that no client names the user where no plugin removes what it says: neither on the front page, nor
/// on this public one.
pub(crate) fn no_client_names_the_user(site: &Site, public: &str) -> Result<()> {
    let client = Client::new()?;
    client.sign_in(&site.url("wiki", "/")?, &ALICE)?;
    for path in ["/", public] {
        let said = headers_that_reach_the_app(site, &client, path, &NO_CLIENT_SAYS)?;
        assert!(said.is_empty(), "{path}: {said:?}");
    }
    Ok(())
}

/// Sends a request with these headers, each with a value of the client's own, and returns the names of those
/// that the app `wiki` got, in lower case and sorted.
pub(crate) fn headers_that_reach_the_app(
    site: &Site,
    client: &Client,
    path: &str,
    names: &[&str],
) -> Result<Vec<String>> {
    let request = client.fetch(Method::GET, &site.url("wiki", path)?);
    let request = names
        .iter()
        .fold(request, |request, name| request.header(*name, "mallory"));
    assert_eq!(request.send()?.status(), StatusCode::OK, "{path}");
    let seen = site.wiki();
    let seen = seen.last().context("the app was asked")?;
    let said = seen.headers.iter();
    let said = said.filter(|(_, values)| values.iter().any(|value| value == "mallory"));
    Ok(said.map(|(name, _)| name.clone()).collect())
}

/// What a client says that only a proxy may say.
const FORWARDED: [(&str, &str); 9] = [
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Uri", "/public/logo"),
    ("X-Forwarded-Method", "OPTIONS"),
    ("X-Original-URL", "http://evil.example/public/logo"),
    ("X-Original-URI", "/public/logo"),
    ("X-Original-Method", "OPTIONS"),
    ("X-Forwarded-Prefix", "https://evil.example"),
    ("X-Auth-Request-Redirect", "https://evil.example/"),
];

fn forwarded_headers_of_clients_decide_nothing(site: &Site) -> Result<()> {
    let page = site.url("wiki", "/private")?;
    let own = |url: &Url| url.host_str().is_some_and(|h| h.ends_with(".localhost"));
    for (name, value) in FORWARDED {
        let client = Client::new()?;
        let data = client.fetch(Method::GET, &page).header(name, value);
        let status = data.send()?.status();
        assert_eq!(status, site.turned_away(), "{name}");

        let request = client.page_load(Method::GET, &page).header(name, value);
        let answer = Answer::read(request.send()?)?;
        let start = answer.location().with_context(|| {
            format!(
                "{name}: {} {:.200} is no redirect",
                answer.status, answer.body
            )
        })?;
        assert!(own(&start), "{name}: {start}");
        assert!(!start.as_str().contains("evil"), "{name}: {start}");
        let request = client.page_load(Method::GET, &start).header(name, value);
        let answer = Answer::read(request.send()?)?;
        let provider = answer.location().with_context(|| {
            format!(
                "{name}: {} {:.200} is no redirect",
                answer.status, answer.body
            )
        })?;
        assert!(!provider.as_str().contains("evil"), "{name}: {provider}");
    }
    Ok(())
}

fn who_is_in_no_group_is_refused(site: &Site) -> Result<()> {
    let client = Client::new()?;
    let page = site.url("wiki", "/")?;
    let before = site.wiki().len();
    let journey = client.sign_in(&page, &CAROL)?;
    assert_eq!(journey.landed.status, StatusCode::FORBIDDEN, "{journey}");
    // A user whom the outpost's own rule refuses has no session.
    let status = client.fetch(Method::GET, &page).send()?.status();
    assert_eq!(status, site.turned_away(), "a script");
    assert_eq!(site.wiki().len(), before, "nothing reached the app");
    Ok(())
}

/// Row 61: what the outpost answers a proxy has cookies that no script may read. So no script can
/// ask it.
pub(crate) fn only_the_proxy_asks(site: &Site, hosts: &[&str]) -> Result<()> {
    const SECRET: &str = "of-http-only-cookies";
    let client = Client::new()?;
    let page = site.url("wiki", "/")?;
    client.sign_in(&page, &ALICE)?;
    let session = ["gatepost", "__Host-gatepost", "__Secure-gatepost"]
        .into_iter()
        .find_map(|name| Some(format!("{name}={}", client.cookie(&page, name)?)));
    let cookies = format!("{}; sid={SECRET}", session.context("a session")?);
    let authority = page.authority().to_owned();
    let original = format!("http://{authority}/x");
    // Whatever a script may write of itself.
    let asking = [
        ("X-Original-URL", &*original),
        ("X-Original-Method", "GET"),
        ("X-Forwarded-Host", &*authority),
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Proto", "http"),
        ("X-Forwarded-Uri", "/x"),
    ];
    for host in hosts {
        let own = site.url(host, "/")?.authority().to_owned();
        for prefix in ["/akprox", "/outpost.goauthentik.io"] {
            for path in [
                "/auth/traefik",
                "/auth/caddy",
                "/auth/nginx",
                "/auth?nginx",
                "/auth?traefik",
                "/auth/envoy",
                "/auth/envoy/x",
                "/auth/envoy/healthz?a=b",
                "/x/../auth/envoy/x",
                "//auth/envoy/x",
                "/%61uth/envoy/x",
                // nginx and Caddy choose by what the path means, and hand on what was sent.
                "/auth/envoy/public/../../../start",
                "/auth/envoy/%2e%2e/%2E./start",
                "/auth/envoy/..%2f..%2Fstart",
                "/auth/envoy/./../.././start?a=b",
            ] {
                for said in [
                    &asking[..0],
                    &asking[..1],
                    &asking[..2],
                    &asking[2..],
                    &asking,
                ] {
                    let mut connection = RawConnection::connect(site.ports().web)?;
                    let mut headers = vec![
                        ("Host", &*own),
                        ("Cookie", &*cookies),
                        ("Connection", "close"),
                        // Caddy adds no `Accept-Encoding` then, by which the outpost knows a client.
                        ("Range", "bytes=0-"),
                    ];
                    headers.extend(said);
                    connection.request(&format!("GET {prefix}{path}"), &headers)?;
                    let head = connection.head()?;
                    let told = head
                        .header("cookie")
                        .is_some_and(|line| line.contains(SECRET));
                    assert!(!told, "{host}{prefix}{path} with {said:?}: {head:?}");
                }
            }
        }
    }
    // Of several providers, each has a redirect URI of its own name, which may begin so.
    let outposts = hosts.last().context("a host")?;
    let url = site.url(outposts, "/akprox/callback/authentik?code=x&state=y")?;
    let answer = Answer::read(client.page_load(Method::GET, &url).send()?)?;
    assert!(
        answer.body.contains("<h1>Page not found</h1>"),
        "{outposts}: the outpost has no provider of this name: {}",
        answer.body
    );
    Ok(())
}

/// Checks that the controller of ingress-nginx redirects scripts too, and that the outpost then answers them with
/// 401.
pub(crate) fn scripts_get_no_further_than_the_outpost(site: &Site) -> Result<()> {
    let client = Client::new()?;
    let request = client.fetch(Method::GET, &site.url("wiki", "/api")?);
    let redirect = Answer::read(request.send()?)?;
    let start = redirect.location().context("a redirect")?;
    assert_eq!(start.path(), "/akprox/start");
    let answer = Answer::read(client.fetch(Method::GET, &start).send()?)?;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    answer.json()?;
    Ok(())
}

/// Whatever a user opens at the outpost's own host, signed in or not, the outpost answers; and to none does
/// it answer as to a proxy.
pub(crate) fn the_outposts_own_host_answers(site: &Site) -> Result<()> {
    own_host_answers(site, "wiki", "auth")
}

/// The same at this host, for a user who signs in at this application's.
pub(crate) fn own_host_answers(site: &Site, application: &str, own: &str) -> Result<()> {
    let (stranger, alice) = (Client::new()?, Client::new()?);
    alice.sign_in(&site.url(application, "/")?, &ALICE)?;
    let reached = || site.wiki().len() + site.files().len();
    let before = reached();
    for (who, client) in [("a stranger", &stranger), ("alice", &alice)] {
        let home = client.open(&site.url(own, "/")?)?;
        assert!(home.passed("/akprox/session"), "{who}: {home}");
        let signed_in = home.landed.body.contains("alice");
        assert_eq!(signed_in, who == "alice", "{who}: {home}");
        for path in [
            "/favicon.ico",
            "/reports/2026?quarter=3",
            "/akprox",
            "/akprox/nothing",
            "/akprox/auth/traefik",
            "/akprox/auth?traefik",
            "/outpost.goauthentik.io/auth/traefik",
            "/sso/auth/traefik",
        ] {
            let request = client.page_load(Method::GET, &site.url(own, path)?);
            let answer = Answer::read(request.send()?)?;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{who}: {path}");
            let says = "<h1>Page not found</h1>";
            assert!(answer.body.contains(says), "{who}: {path}: {}", answer.body);
            assert!(answer.header("x-auth-username").is_none(), "{who}: {path}");
        }
    }
    assert_eq!(reached(), before, "an application was reached");
    Ok(())
}

fn signing_out_ends_the_session(site: &Site, outpost_host: &str) -> Result<()> {
    let client = Client::new()?;
    let page = site.url("wiki", "/")?;
    client.sign_in(&page, &ALICE)?;
    let before = sessions(site)?;
    client.open(&site.url(outpost_host, "/akprox/sign_out")?)?;
    let status = client.fetch(Method::GET, &page).send()?.status();
    assert_eq!(status, site.turned_away(), "after signing out");
    assert_eq!(sessions(site)?, before - 1, "no cookie leads back to it");
    Ok(())
}

/// Returns how many sessions the outpost has.
fn sessions(site: &Site) -> Result<usize> {
    let (listed, _) = site.gatepost(&["session", "list"])?;
    let count = listed.trim_end().strip_suffix(" sessions");
    let count = count.and_then(|text| text.rsplit('\n').next());
    Ok(count.with_context(|| listed.clone())?.parse()?)
}

/// Checks that a script's requests alone keep a session alive: the fresh cookie reaches the
/// browser.
pub(crate) fn scripts_renew_in_place(site: &Site, host: &str) -> Result<()> {
    let client = Client::new()?;
    let page = site.url(host, "/")?;
    client.sign_in(&page, &ALICE)?;
    let first = client.cookie(&page, "gatepost").context("a session")?;
    until("a fresh cookie", RENEWAL, || {
        let status = client.fetch(Method::GET, &page).send()?.status();
        assert_eq!(status, StatusCode::OK);
        let cookie = client.cookie(&page, "gatepost").context("a session")?;
        Ok((cookie != first).then_some(()))
    })?;
    let status = client.fetch(Method::GET, &page).send()?.status();
    assert_eq!(status, StatusCode::OK, "with the fresh cookie");
    Ok(())
}

/// Whether a proxy hands several cookies of the outpost's answer to the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cookies {
    /// It does.
    Several,
    /// It takes one.
    One,
}

/// Checks that a session in several cookies goes on too, whether or not the fresh ones reach the
/// browser: half of them would not be a session.
pub(crate) fn large_sessions_go_on(site: &Site, host: &str, cookies: Cookies) -> Result<()> {
    let client = Client::new()?;
    let page = site.url(host, "/")?;
    let journey = client.sign_in(&page, &ERIN)?;
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    // The times are in the first part.
    let part = || client.cookie(&page, "gatepost.0");
    let first = part();
    assert!(first.is_some(), "a session in parts");
    let begun = Instant::now();
    until("a renewal to be due", RENEWAL, || {
        let status = client.fetch(Method::GET, &page).send()?.status();
        assert_eq!(status, StatusCode::OK);
        Ok((begun.elapsed() > Duration::from_millis(2500)).then_some(()))
    })?;
    assert_eq!(part() != first, cookies == Cookies::Several);
    Ok(())
}
