//! What people do, and what attackers try, against the whole: real Traefik with the built plugin,
//! the outpost, a real OpenID provider, and for some a real browser.
//!
//! `cargo xtask test --only e2e` builds and installs what these need. Tests that change nothing share
//! a stack, in which those that look at an application's requests have applications of their own; the
//! other tests have stacks of their own. Logs stay in `target/e2e/<test>/`.

mod assertion;
mod browser;
mod cookies;
mod groups;
mod headers;
mod javascript;
mod key_rotation;
mod outages;
mod public;
mod settings;
mod sign_in;
mod sign_out;
mod streams;

use std::sync::Arc;

use anyhow::Result;
use gatepost_e2e::{ApplicationSpec, Shared, Stack};
use serde_json::json;

/// The applications of the shared stack that have no settings of their own, besides `app`.
const PLAIN: [&str; 15] = [
    "refused",
    "one",
    "other",
    "unseen",
    "two-sessions",
    "connection",
    "deep-link",
    "script",
    "form",
    "tabs",
    "targets",
    "stream",
    "socket",
    "no-socket",
    "signed-out",
];

/// Returns the stack of the tests that change nothing in it.
fn shared() -> Result<Arc<Stack>> {
    static SHARED: Shared<Stack> = Shared::new();
    SHARED.get(|| {
        let public = json!(["/public/*"]);
        let admins = json!({ "groups": ["admins"] });
        let foreign = json!({ "preset": "none", "keep": ["Remote-User"] });
        let own = |name: &str| ApplicationSpec::new(name);
        [
            own("app").set("public", &public),
            own("below").set("public", &public),
            own("spoofed").set("public", &public),
            own("identities").set("public", &public),
            own("kept").set("public", &public).set("headers", &foreign),
            own("open").set("public", &json!(["/healthz", "/public/*"])),
            own("admins").set("require", &admins),
            own("denied").set("require", &admins),
        ]
        .into_iter()
        .chain(PLAIN.map(own))
        .fold(Stack::builder().name("shared"), |builder, application| {
            builder.application(application)
        })
        .start()
    })
}
