//! In real Chromium: the scripts in `e2e/browser/` say what happens.

use anyhow::Result;
use gatepost_e2e::clients::chromium::{self, FrameCookies, Pages, ThirdParties};
use gatepost_e2e::tools::Browser;
use gatepost_e2e::{ApplicationSpec, Stack};
use serde_json::json;

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn first_visit() -> Result<()> {
    chromium::run("first_visit", &Stack::builder().start()?)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn over_tls() -> Result<()> {
    chromium::run("over_tls", &Stack::builder().tls().start()?)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn denied_by_group() -> Result<()> {
    let app = ApplicationSpec::new("app").set("require", &json!({ "groups": ["admins"] }));
    chromium::run(
        "denied_by_group",
        &Stack::builder().application(app).start()?,
    )
}

/// The provider is another site than the application: the browser posts without the flow's cookie.
#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn form_post() -> Result<()> {
    let in_a_form = json!({ "responseMode": "formPost" });
    chromium::run(
        "form_post",
        &Stack::builder().outposts_provider(&in_a_form).start()?,
    )
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn fetch_without_session() -> Result<()> {
    chromium::run("fetch_without_session", &Stack::builder().start()?)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn back_button() -> Result<()> {
    let app = ApplicationSpec::new("app").set("public", &json!(["/public/*"]));
    chromium::run("back_button", &Stack::builder().application(app).start()?)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn way_back() -> Result<()> {
    chromium::run("way_back", &Stack::builder().start()?)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn sign_out() -> Result<()> {
    chromium::run("sign_out", &Stack::builder().start()?)
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
    let (settings, provider) = match cookies {
        FrameCookies::Lax => (json!({}), json!({})),
        FrameCookies::None => (json!({ "sameSite": "none" }), json!({})),
        FrameCookies::Partitioned => (
            json!({ "sameSite": "none", "partitioned": true }),
            json!({ "inFrames": true }),
        ),
    };
    let stack = Stack::builder()
        .tls()
        .outpost(&json!({ "session": settings }))
        .provider(&provider)
        .start()?;
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
