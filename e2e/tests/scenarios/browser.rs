//! In real Chromium: the scripts in `e2e/browser/` say what happens.

use anyhow::Result;
use gatepost_e2e::clients::chromium::{self, FrameCookies, Pages, ThirdParties};
use gatepost_e2e::tools::Browser;
use gatepost_e2e::{ApplicationSpec, Shared, Stack};
use serde_json::json;

use crate::shared;

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn first_visit() -> Result<()> {
    chromium::run("first_visit", shared()?.app())
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn over_tls() -> Result<()> {
    chromium::run("over_tls", Stack::builder().tls().start()?.app())
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn denied_by_group() -> Result<()> {
    chromium::run("denied_by_group", shared()?.application("denied")?)
}

/// The provider is another site than the application: the browser posts without the flow's cookie.
#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn form_post() -> Result<()> {
    let in_a_form = json!({ "responseMode": "formPost" });
    let stack = Stack::builder().outposts_provider(&in_a_form).start()?;
    chromium::run("form_post", stack.app())
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn fetch_without_session() -> Result<()> {
    chromium::run("fetch_without_session", shared()?.app())
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn back_button() -> Result<()> {
    chromium::run("back_button", shared()?.app())
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn way_back() -> Result<()> {
    chromium::run("way_back", shared()?.app())
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn sign_out() -> Result<()> {
    chromium::run("sign_out", shared()?.app())
}

/// Every page, looked at by axe-core.
#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn pages() -> Result<()> {
    // A user whom the outpost's rule refused too would see the outpost's page, and not the
    // plugin's.
    let rule = json!({ "groups": ["admins"] });
    let app = ApplicationSpec::new("app").set_in_plugin("require", &rule);
    let stack = Stack::builder().application(app).start()?;
    chromium::look_at_pages(Pages::OfThePlugin, &stack.app().url("/"))
}

fn renewal_beside(browser: Browser) -> Result<()> {
    let settings = chromium::renewal_settings();
    let stack = Stack::builder().outpost(&settings).start()?;
    chromium::renew_beside(browser, "single", &stack.app().url("/"), stack.outpost())
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn renewal_beside_a_page_in_chromium() -> Result<()> {
    renewal_beside(Browser::Chromium)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Firefox: cargo xtask test"]
fn renewal_beside_a_page_in_firefox() -> Result<()> {
    renewal_beside(Browser::Firefox)
}

/// The application's own `Content-Security-Policy` has the browser leave the renewal out.
fn renewal_by_redirect(browser: Browser) -> Result<()> {
    let settings = chromium::renewal_settings();
    let stack = Stack::builder().outpost(&settings).start()?;
    chromium::renew_by_redirect(browser, &stack.app().url("/"), stack.outpost())
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn a_page_that_may_not_connect_is_redirected_late_in_chromium() -> Result<()> {
    renewal_by_redirect(Browser::Chromium)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Firefox: cargo xtask test"]
fn a_page_that_may_not_connect_is_redirected_late_in_firefox() -> Result<()> {
    renewal_by_redirect(Browser::Firefox)
}

/// Shows an application over TLS in a frame of another site.
fn frames(cookies: FrameCookies, third_parties: ThirdParties) -> Result<()> {
    static LAX: Shared<Stack> = Shared::new();
    static NONE: Shared<Stack> = Shared::new();
    static PARTITIONED: Shared<Stack> = Shared::new();
    let (shared, settings, provider) = match cookies {
        FrameCookies::Lax => (&LAX, json!({}), json!({})),
        FrameCookies::None => (&NONE, json!({ "sameSite": "none" }), json!({})),
        FrameCookies::Partitioned => (
            &PARTITIONED,
            json!({ "sameSite": "none", "partitioned": true }),
            json!({ "inFrames": true }),
        ),
    };
    let stack = shared.get(|| {
        Stack::builder()
            .tls()
            .outpost(&json!({ "session": settings }))
            .provider(&provider)
            .start()
    })?;
    chromium::show_in_frames(cookies, third_parties, &stack.app().url("/"))
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn a_frame_of_another_site_has_no_session_by_default() -> Result<()> {
    frames(FrameCookies::Lax, ThirdParties::Allowed)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn a_frame_of_another_site_has_the_session_of_a_tab() -> Result<()> {
    frames(FrameCookies::None, ThirdParties::Allowed)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn a_frame_has_no_session_where_the_browser_blocks_third_parties() -> Result<()> {
    frames(FrameCookies::None, ThirdParties::Blocked)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn a_frame_of_another_site_has_a_session_of_its_own() -> Result<()> {
    frames(FrameCookies::Partitioned, ThirdParties::Allowed)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn a_frame_has_a_session_of_its_own_where_the_browser_blocks_third_parties() -> Result<()> {
    frames(FrameCookies::Partitioned, ThirdParties::Blocked)
}
