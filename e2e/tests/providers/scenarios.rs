//! What must hold at every provider.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use gatepost_e2e::users::{ALICE, BOB, User};
use gatepost_e2e::{Answer, Client, Journey, built, pass, until};
use reqwest::StatusCode;
use serde_json::json;
use url::Url;

use crate::bench::{Bench, LAST_QUARTER, PATIENCE, Plan, Signed};
use crate::client;
use crate::further_issuer::{self, MachineClient};
use crate::machine_clients;
use crate::matrix::Cell;
use crate::mcp;
use crate::step_up;

/// How many tabs a browser restores at once.
const TABS: usize = 10;

/// Something that must hold, by the name that the report has.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// Whether other scenarios at the same provider would notice it.
    pub(crate) alone: bool,
    pub(crate) run: fn(&Bench<'_>) -> Result<Cell>,
}

impl Scenario {
    const fn new(name: &'static str, run: fn(&Bench<'_>) -> Result<Cell>) -> Self {
        Self {
            name,
            alone: false,
            run,
        }
    }

    const fn alone(mut self) -> Self {
        self.alone = true;
        self
    }
}

/// The scenarios of one provider.
pub(crate) fn of(provider: &str) -> Vec<Scenario> {
    let mut scenarios = vec![
        Scenario::new("sign_in", sign_in),
        Scenario::new("groups", groups),
        Scenario::new("refresh_tokens_in_ten_tabs", refresh_tokens_in_ten_tabs),
        Scenario::new("prompt_none", prompt_none),
        Scenario::new("sign_out", sign_out),
        Scenario::new("back_channel_logout", back_channel_logout),
        Scenario::new("check", check),
        Scenario::new("restart", restart).alone(),
        Scenario::new("signing_key_change", signing_key_change).alone(),
    ];
    if ["keycloak", "hydra"].contains(&provider) {
        scenarios.push(Scenario::new("form_post", form_post));
    }
    if provider == "glewlwyd" {
        scenarios.push(
            Scenario::new(
                "unexplained_refusal_of_a_refresh_token",
                unexplained_refusal,
            )
            .alone(),
        );
    }
    if provider == "keycloak" {
        scenarios.extend([
            Scenario::new("roles", roles),
            Scenario::new("further_audience", further_audience),
            Scenario::new("internal_address", internal_address),
            Scenario::new("further_issuer", further_issuer),
            Scenario::new("machine_clients", machine_clients::scenario),
            Scenario::new("mcp_client", mcp::scenario),
            Scenario::new("refresh_after", refresh_after),
            Scenario::new("code_flow_off", code_flow_off),
            Scenario::new("client_key_and_pushed_requests", client::key),
            Scenario::new("secret_jwt", client::secret_jwt),
            Scenario::new(
                "check_names_pushed_requests",
                client::check_names_pushed_requests,
            ),
            Scenario::new("interaction_required", interaction_required),
            Scenario::new("missing_groups", missing_groups),
            Scenario::new("step_up", step_up::scenario),
            Scenario::new("first_configuration", first_configuration),
            Scenario::new("check_names_an_invalid_scope", check_names_an_invalid_scope),
        ]);
    }
    scenarios
}

fn sign_in(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan::default())?;
    let alice = Client::new()?;
    let journey = signed.sign_in(&alice, &ALICE)?;
    assert!(signed.asked_provider(&journey), "{journey}");
    let requests = signed.stack.app().requests();
    let seen = requests.last().context("the app was asked")?;
    for (name, value) in [
        ("x-auth-username", "alice"),
        ("x-forwarded-preferred-username", "alice"),
        ("x-forwarded-email", "alice@example.com"),
    ] {
        assert_eq!(seen.header(name), Some(value), "{name}: {seen:?}");
    }
    if !bench.provider.remembers_users() {
        return Ok(Cell::Yes);
    }
    // The other application needs no password.
    let page = signed.stack.application("other")?.url("/");
    let journey = signed.provider.open(&alice, &page)?;
    signed.landed(&journey, &page)?;
    Ok(Cell::Yes)
}

fn groups(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan {
        require: json!({ "groups": ["admins"] }),
        ..Plan::default()
    })?;
    signed.sign_in(&Client::new()?, &ALICE)?;
    let requests = signed.stack.app().requests();
    let seen = requests.last().context("the app was asked")?;
    let groups = seen.header("x-auth-groups").unwrap_or_default();
    let mut groups: Vec<&str> = groups.split('|').collect();
    groups.sort_unstable();
    assert_eq!(groups, ["admins", "staff"]);

    refused(&signed)?;
    Ok(Cell::Yes)
}

/// Bob, who is no administrator, is signed in and refused.
fn refused(signed: &Signed) -> Result<()> {
    let page = signed.url("/admin");
    let journey = signed.provider.sign_in(&Client::new()?, &page, &BOB)?;
    assert_eq!(journey.landed.status, StatusCode::FORBIDDEN, "{journey}");
    Ok(())
}

fn refresh_tokens_in_ten_tabs(bench: &Bench<'_>) -> Result<Cell> {
    const ROUNDS: usize = 3;
    let signed = bench.stack(&Plan::short_windows())?;
    let alice = Client::new()?;
    signed.sign_in(&alice, &ALICE)?;
    let before = signed.confirmations()?;
    for _ in 0..ROUNDS {
        pass(Duration::from_secs(4));
        let pages: Vec<Url> = (0..TABS).map(|_| signed.another_page()).collect();
        for (page, journey) in pages.iter().zip(open_at_once(&alice, &pages)) {
            let journey = journey?;
            signed.landed(&journey, page)?;
            assert!(!signed.asked_provider(&journey), "{journey}");
        }
    }
    // Where refresh tokens rotate, a second and a third answer say that the new ones came to be
    // used, and few answers that no tab brought a used one.
    let asked = usize::try_from(signed.confirmations()? - before)?;
    assert!(asked >= ROUNDS, "{asked} answers to {ROUNDS} rounds");
    assert!(asked < ROUNDS * TABS / 2, "{asked} answers: one a tab");
    Ok(Cell::Yes)
}

fn open_at_once(browser: &Client, pages: &[Url]) -> Vec<Result<Journey>> {
    thread::scope(|scope| {
        let open = |page| scope.spawn(move || browser.open(page));
        let tabs: Vec<_> = pages.iter().map(open).collect();
        let join = |tab: thread::ScopedJoinHandle<'_, Result<Journey>>| tab.join();
        tabs.into_iter()
            .map(|tab| join(tab).expect("no panic"))
            .collect()
    })
}

fn prompt_none(bench: &Bench<'_>) -> Result<Cell> {
    if bench.provider.gives_every_client_refresh_tokens() {
        return Ok(Cell::Absent);
    }
    let signed = bench.stack(&Plan::renewed_by_browsers())?;
    let alice = Client::new()?;
    signed.sign_in(&alice, &ALICE)?;
    if !bench.provider.remembers_users() {
        return shows_its_page(&signed, &alice);
    }
    for _ in 0..2 {
        pass(LAST_QUARTER);
        let page = signed.another_page();
        let journey = alice.open(&page)?;
        signed.landed(&journey, &page)?;
        assert!(signed.asked_provider(&journey), "{journey}");
        assert!(journey.passed("/akprox/callback"), "{journey}");
        // The provider was told whose session it is.
        let asked = silent_request(&journey)?;
        assert_eq!(parameter(&asked, "login_hint").as_deref(), Some("alice"));
        assert!(parameter(&asked, "id_token_hint").is_some(), "{asked}");
    }
    Ok(Cell::Yes)
}

/// Returns the request by which the provider was asked without a page.
fn silent_request(journey: &Journey) -> Result<Url> {
    let mut hops = journey.hops();
    let silent = |hop: &&Answer| parameter(&hop.url, "prompt").as_deref() == Some("none");
    let hop = hops.find(silent);
    let hop = hop.with_context(|| format!("no request with `prompt=none`: {journey}"))?;
    Ok(hop.url.clone())
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    let found = pairs.find(|(own, _)| own == name);
    found.map(|(_, value)| value.into_owned())
}

/// A user of the scenario that has the provider ask for something.
const CAROL: User = User {
    login: "carol",
    password: "caterpillar",
};

/// The provider wants to see a user whom it knows, as where there are several accounts to choose from
/// (OpenID Connect Core 1.0 §3.1.2.6). It shows its page, and the session goes on.
fn interaction_required(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan::renewed_by_browsers())?;
    signed.provider.add_user(&CAROL)?;
    let carol = Client::new()?;
    signed.sign_in(&carol, &CAROL)?;
    signed.provider.asks_something_of(&CAROL, true)?;
    pass(LAST_QUARTER);
    let journey = carol.open(&signed.another_page())?;
    let refusal = |hop: &Answer| {
        hop.url.path() == "/akprox/callback"
            && parameter(&hop.url, "error").as_deref() == Some("interaction_required")
    };
    assert!(journey.hops().any(refusal), "{journey}");
    // A page of the provider's, by a request that allows one.
    assert_ne!(journey.landed.url.host_str(), signed.url("/").host_str());
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    assert!(journey.shows("input[type=password]")?, "{journey}");
    assert_eq!(signed.status(&carol, "app")?, StatusCode::OK);
    signed.provider.asks_something_of(&CAROL, false)?;
    let page = signed.another_page();
    signed.landed(&carol.open(&page)?, &page)?;
    Ok(Cell::Yes)
}

/// Users sign in without groups, since the configuration names another claim than the provider
/// sends: the log says which.
fn missing_groups(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan {
        require: json!({ "users": ["alice"] }),
        provider: json!({ "groupsClaim": ["teams", "realm_access.titles"] }),
        ..Plan::default()
    })?;
    signed.sign_in(&Client::new()?, &ALICE)?;
    let line = signed.line("a user signed in without groups")?;
    for words in [
        "teams, realm_access.titles",
        "`groups`",
        "`preferred_username`",
        "`realm_access`",
    ] {
        assert!(line.contains(words), "{words}: {line}");
    }
    assert!(!line.contains("alice@example.com"), "{line}");
    Ok(Cell::Yes)
}

/// Refresh tokens are refused without an `error`. The browser asks, and nothing else extends the
/// session.
fn unexplained_refusal(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan::short_windows())?;
    let alice = Client::new()?;
    signed.sign_in(&alice, &ALICE)?;
    signed.renew(&alice)?;
    signed.provider.revoke_refresh_tokens()?;
    pass(Duration::from_secs(4));
    // The provider still knows her: no page of its own comes between.
    let page = signed.another_page();
    let journey = alice.open(&page)?;
    signed.landed(&journey, &page)?;
    assert!(signed.asked_provider(&journey), "{journey}");
    assert!(journey.passed("/akprox/callback"), "{journey}");
    // The session has a refresh token again.
    signed.renew(&alice)?;

    signed.provider.end_session(&alice)?;
    signed.provider.revoke_refresh_tokens()?;
    pass(Duration::from_secs(4));
    let journey = alice.open(&signed.another_page())?;
    assert!(
        signed.provider.asks_to_sign_in(&alice, &journey)?,
        "{journey}"
    );
    let log = signed.stack.outpost().output();
    let said = "a refresh token is refused without a reason";
    assert!(log.contains(said), "{log}");
    Ok(Cell::Yes)
}

/// A provider that ignores `prompt=none` shows its page: the user signs in there, and is back at the
/// page that was to be opened. `check` says so beforehand, and the log names the provider.
fn shows_its_page(signed: &Signed, browser: &Client) -> Result<Cell> {
    let (report, well) = check_report(signed)?;
    assert!(well, "{report}");
    let warning = "shows a page to a request that forbids one (`prompt=none`)";
    assert!(report.contains(warning), "{report}");
    pass(LAST_QUARTER);
    let page = signed.another_page();
    let journey = browser.open(&page)?;
    silent_request(&journey)?;
    assert!(
        signed.provider.asks_to_sign_in(browser, &journey)?,
        "{journey}"
    );
    // So long that no request without a page takes it.
    pass(Duration::from_secs(11));
    let journey = signed.provider.fill_in(browser, journey, &ALICE)?;
    signed.landed(&journey, &page)?;
    signed.line("the provider seems to ignore `prompt=none`")?;
    Ok(Cell::Absent)
}

/// RP-initiated (OpenID Connect RP-Initiated Logout 1.0).
fn sign_out(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan::default())?;
    let at_provider = signed.metadata()?["end_session_endpoint"].is_string();
    let alice = Client::new()?;
    signed.sign_in(&alice, &ALICE)?;
    let journey = alice.open(&signed.url("/akprox/sign_out"))?;
    assert_eq!(signed.status(&alice, "app")?, StatusCode::UNAUTHORIZED);
    assert_eq!(signed.asked_provider(&journey), at_provider, "{journey}");
    if !at_provider {
        return Ok(Cell::Absent);
    }
    let journey = signed.provider.confirm_sign_out(&alice, journey)?;
    // The provider leads back to the application, which needs a session again, and the provider
    // no longer knows the user.
    let back = signed.url("/");
    assert!(
        journey.hops().any(|hop| hop.url == back),
        "not back at the application: {journey}\n{:.2000}",
        journey.landed.body
    );
    let asks = signed.provider.asks_to_sign_in(&alice, &journey)?;
    assert!(asks, "{journey}");
    Ok(Cell::Yes)
}

fn back_channel_logout(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan::default())?;
    if signed.metadata()?["backchannel_logout_supported"] != json!(true) {
        return Ok(Cell::Absent);
    }
    let (alice, elsewhere) = (Client::new()?, Client::new()?);
    for browser in [&alice, &elsewhere] {
        signed.sign_in(browser, &ALICE)?;
        let page = signed.stack.application("other")?.url("/");
        signed.landed(&signed.provider.open(browser, &page)?, &page)?;
    }
    signed.provider.end_session(&alice)?;
    for application in ["app", "other"] {
        let what = format!("the session at {application} to end");
        until(&what, PATIENCE, || {
            let status = signed.status(&alice, application)?;
            Ok((status == StatusCode::UNAUTHORIZED).then_some(()))
        })
        .with_context(|| signed.stack.outpost().output())?;
        // The same user's session in another browser is another one at the provider.
        let status = signed.status(&elsewhere, application)?;
        assert_eq!(status, StatusCode::OK, "{application}");
    }
    Ok(Cell::Yes)
}

fn check(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan::default())?;
    let (report, well) = check_report(&signed)?;
    assert!(well, "{report}");
    Ok(Cell::Yes)
}

/// Runs `gatepost check --url`: its report, and whether all is well.
pub(crate) fn check_report(signed: &Signed) -> Result<(String, bool)> {
    let mut command = built::gatepost()?;
    command.args(["check", "--config"]);
    command.arg(signed.stack.folder().join("gatepost.yaml"));
    let output = command.args(["--url", signed.url("/").as_str()]).output()?;
    let report = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
    Ok((report, output.status.success()))
}

fn restart(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan::short_windows())?;
    let alice = Client::new()?;
    signed.sign_in(&alice, &ALICE)?;
    signed.provider.service().stop();
    pass(Duration::from_secs(4));
    let page = signed.another_page();
    let without = alice.open(&page)?;
    signed.provider.service().start()?;
    signed.landed(&without, &page)?;
    signed.renew(&alice)?;
    signed.sign_in(&Client::new()?, &BOB)?;
    Ok(Cell::Yes)
}

fn signing_key_change(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan::short_windows())?;
    let alice = Client::new()?;
    signed.sign_in(&alice, &ALICE)?;
    signed.provider.change_signing_key()?;
    signed.sign_in(&Client::new()?, &BOB)?;
    signed.renew(&alice)?;
    Ok(Cell::Yes)
}

/// Roles in place of groups.
fn roles(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan {
        require: json!({ "groups": ["editor"] }),
        provider: json!({ "groupsClaim": "realm_access.roles" }),
        ..Plan::default()
    })?;
    signed.sign_in(&Client::new()?, &ALICE)?;
    refused(&signed)?;
    Ok(Cell::Yes)
}

/// ID tokens that are for another audience too (OpenID Connect Core 1.0 §2, `aud` and `azp`).
fn further_audience(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan {
        further_audience: Some("warehouse"),
        ..Plan::default()
    })?;
    signed.sign_in(&Client::new()?, &ALICE)?;
    Ok(Cell::Yes)
}

/// The provider's page posts its answer (OAuth 2.0 Form Post Response Mode).
fn form_post(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan {
        provider: json!({ "responseMode": "formPost" }),
        ..Plan::default()
    })?;
    let alice = Client::new()?;
    let page = signed.url("/signed-in?as=a%20user");
    let journey = signed.provider.sign_in(&alice, &page, &ALICE)?;
    // A script of that page would press this.
    let journey = alice.press(journey, "input[name=code]")?;
    signed.landed(&journey, &page)?;
    let shown = |hop: &Answer| hop.url.query_pairs().any(|(name, _)| name == "code");
    assert!(!journey.hops().any(shown), "{journey}");
    Ok(Cell::Yes)
}

/// Browsers and tokens know the provider by a name that the outpost cannot resolve.
fn internal_address(bench: &Bench<'_>) -> Result<Cell> {
    let internal = Url::parse(&bench.issuer())?;
    let mut public = internal.clone();
    public.set_host(Some("id.gatepost.test"))?;
    let signed = bench.stack(&Plan {
        provider: json!({
            "issuer": public.as_str(),
            "internalUrl": internal.origin().ascii_serialization(),
        }),
        ..Plan::short_windows()
    })?;
    let alice = Client::new()?;
    let journey = signed.sign_in(&alice, &ALICE)?;
    let at_public = |hop: &Answer| hop.url.host_str() == Some("id.gatepost.test");
    assert!(journey.hops().any(at_public), "{journey}");
    signed.renew(&alice)?;
    Ok(Cell::Yes)
}

/// Tokens of an issuer that is no provider of the application.
fn further_issuer(bench: &Bench<'_>) -> Result<Cell> {
    let audience = further_issuer::AUDIENCE;
    let Some(program) = bench.provider.program_of_another_issuer(audience)? else {
        return Ok(Cell::Absent);
    };
    further_issuer::comes_in(&MachineClient {
        token: program.token,
        issuer: json!({
            "issuer": program.issuer,
            "jwksUrl": program.keys.as_str(),
            "usernameClaim": "preferred_username",
            "groupsClaim": "realm_access.roles",
        }),
        name: "service-account-robot",
        // A role that every account of that realm has.
        group: "default-roles-plain",
    })?;
    Ok(Cell::Yes)
}

/// How long the provider's answer counts (`refreshAfter`), for this provider and in general.
fn refresh_after(bench: &Bench<'_>) -> Result<Cell> {
    for (in_general, own, asks) in [("8h", "2s", true), ("2s", "8h", false)] {
        let windows = json!({
            "session": { "window": "30s", "renewAfter": "3s", "refreshAfter": in_general },
        });
        let signed = bench.stack(&Plan {
            outpost: windows,
            provider: json!({ "refreshAfter": own }),
            ..Plan::default()
        })?;
        let alice = Client::new()?;
        signed.sign_in(&alice, &ALICE)?;
        if asks {
            signed.renew(&alice)?;
            continue;
        }
        for _ in 0..2 {
            pass(Duration::from_secs(4));
            let page = signed.another_page();
            let journey = alice.open(&page)?;
            signed.landed(&journey, &page)?;
            assert!(journey.passed("/akprox/start"), "{journey}");
        }
        assert_eq!(signed.confirmations()?, 0);
    }
    Ok(Cell::Yes)
}

/// The client exists, and may have no user sign in: `check` says so, and so do page and log.
fn code_flow_off(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan {
        code_flow: false,
        ..Plan::default()
    })?;
    let (report, well) = check_report(&signed)?;
    if well || !report.contains("unauthorized_client") {
        bail!("the report does not name the error:\n{report}");
    }
    let journey = Client::new()?.open(&signed.url("/"))?;
    let landed = &journey.landed;
    assert_eq!(landed.url.path(), "/akprox/callback", "{journey}");
    assert_eq!(landed.status, StatusCode::BAD_REQUEST, "{journey}");
    assert!(landed.body.contains("Sign in again"), "{}", landed.body);
    let log = signed.stack.outpost().output();
    assert!(log.contains("unauthorized_client"), "{log}");
    Ok(Cell::Yes)
}

/// A provider as it is when it is new, and the configuration that the documentation begins with.
fn first_configuration(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan {
        groups_scope: false,
        first_settings: true,
        ..Plan::default()
    })?;
    signed.sign_in(&Client::new()?, &ALICE)?;
    Ok(Cell::Yes)
}

/// A scope that the provider does not have.
fn check_names_an_invalid_scope(bench: &Bench<'_>) -> Result<Cell> {
    let signed = bench.stack(&Plan {
        provider: json!({ "scopes": ["openid", "no-such-scope"] }),
        ..Plan::default()
    })?;
    let (report, well) = check_report(&signed)?;
    if well || !report.contains("invalid_scope") {
        bail!("the report does not name the invalid scope:\n{report}");
    }
    Ok(Cell::Yes)
}
