//! What a request without credentials is asked for.

use super::{API, world};
use crate::forward_auth::{Asked, DIALECTS};

/// git, and clients of WebDAV and CalDAV, send no password before they are asked for one.
#[tokio::test]
async fn a_program_is_asked_for_a_password_and_no_browser_is() {
    const SIGN_IN: &str = "Gatepost realm=\"api\"";
    const PASSWORD: &str = "Basic realm=\"api\", charset=\"UTF-8\"";
    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0";
    let git = |host| Asked::program(host, "/v1").with("User-Agent", "git/2.39.5");
    for (case, machines, asked, challenge) in [
        ("git", "machines: basic", git(API), PASSWORD),
        ("both", "machines: [bearer, basic]", git(API), PASSWORD),
        ("tokens only", "machines: bearer", git(API), SIGN_IN),
        ("nothing", "allowPreflight: false", git(API), SIGN_IN),
        (
            "an unnamed program",
            "machines: basic",
            Asked::program(API, "/v1"),
            SIGN_IN,
        ),
        (
            "a browser's script",
            "machines: basic",
            Asked::fetch(API, "/v1").with("User-Agent", FIREFOX),
            SIGN_IN,
        ),
        (
            "a browser over plain http",
            "machines: basic",
            Asked::program(API, "/v1").with("User-Agent", FIREFOX),
            SIGN_IN,
        ),
        (
            "a script with a name of its own",
            "machines: basic",
            git(API).with("Sec-Fetch-Mode", "cors"),
            SIGN_IN,
        ),
        (
            "a script over plain http",
            "machines: basic",
            git(API).with("X-Requested-With", "XMLHttpRequest"),
            SIGN_IN,
        ),
    ] {
        let world = world(machines).await;
        for dialect in DIALECTS {
            let reply = asked.ask(&world, dialect).await.expect(401);
            assert_eq!(
                reply.header("www-authenticate"),
                Some(challenge),
                "{case}, {dialect}"
            );
        }
        let page = Asked::load(API, "/v1").with("User-Agent", "git/2.39.5");
        for dialect in DIALECTS {
            let reply = page.ask(&world, dialect).await;
            let asked_for = reply.header("www-authenticate").unwrap_or(SIGN_IN);
            assert_eq!(asked_for, SIGN_IN, "{case}, {dialect}, page");
        }
    }
}
