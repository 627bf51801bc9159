//! Where answers lead: never away from the application, however a link is written.
//!
//! The payloads are made of what past failures were made of: every way to open a reference, before
//! every way to write a host that is not ours, some with more behind. What a browser makes of an
//! answer is the oracle: `Location` is resolved as the URL standard says, against the page that
//! the answer is for.

use axum::body::Body;
use axum::http::{HeaderValue, Request, Uri};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

use crate::browser::{Browser, Reply};
use crate::world::World;

/// How a reference may begin: schemes, slashes of all kinds, what browsers drop between them.
const OPENINGS: &[&str] = &[
    "",
    "/",
    "//",
    "///",
    "////",
    "/\\",
    "\\/",
    "\\\\",
    "\\",
    "/\\/",
    "/\\\\",
    "//\\",
    "/./",
    "/../",
    "/.//",
    "/..//",
    "/./\\",
    "/../\\",
    "/././/",
    "/x/..//",
    "/x/../..//",
    "/;/",
    "/;@",
    "/?//",
    "/#//",
    "/%2f",
    "/%2f%2f",
    "/%5c",
    "/%5c%5c",
    "/%252f",
    "/%09/",
    "/%0a/",
    "/%0d/",
    "/%00/",
    "/%20/",
    "/%2e%2e//",
    "%2f%2f",
    "%5c%5c",
    "/\t/",
    "/\n/",
    "/\r/",
    "/\r\n/",
    "/\u{b}/",
    "/\u{c}/",
    "/\0/",
    "/ /",
    "/\t\\",
    "/\t\t\\\t/",
    "/\u{b}\\",
    "\t//",
    "\n//",
    "\r//",
    " //",
    "\0//",
    "\u{1}//",
    "\u{1f}//",
    "\u{7f}//",
    "\u{85}//",
    "\u{a0}//",
    "\u{200b}//",
    "\u{2028}//",
    "\u{feff}//",
    "/\u{a0}/",
    "/\u{200b}/",
    "/\u{ff0f}",
    "\u{ff0f}\u{ff0f}",
    "\u{2044}\u{2044}",
    "/\u{2215}",
    "/\u{ff3c}",
    "/\u{ad}/",
    "http:",
    "https:",
    "http:/",
    "https:/",
    "http://",
    "https://",
    "https:///",
    "https:////",
    "https:\\\\",
    "https:\\",
    "https:\\/",
    "https:/\\",
    "hTTpS://",
    "ht\ttps://",
    "h\nttps://",
    "https\t://",
    "https:\t//",
    "https:/\t/",
    "https:\n//",
    " https://",
    "\0https://",
    "\u{1}https://",
    "\thttps://",
    "https%3a//",
    "https:%2f%2f",
    "x://",
    "://",
    ":",
    "@",
    ".",
    "..",
    "?",
    "#",
    "&",
    ";",
    "javascript:",
    "javascript://",
    "JaVaScRiPt:",
    "java\tscript:",
    "java\nscript:",
    "\u{1}javascript:",
    "javascript:alert(1)//",
    "vbscript:",
    "data:text/html,",
    "data:;base64,",
    "blob:",
    "blob:https://",
    "view-source:https://",
    "ftp://",
    "file://",
    "file:///",
    "ws://",
    "wss://",
    "mailto:",
    "intent://",
    "feed:https://",
    "jar:https://",
];

/// Hosts that are not ours, or ours with something else about them.
const HOSTS: &[&str] = &[
    "evil.example",
    "evil.example:80",
    "evil.example:443",
    "evil.example.",
    "EVIL.example",
    "app.example.com@evil.example",
    "app.example.com:443@evil.example",
    "app.example.com:x@evil.example",
    "app.example.com%40evil.example",
    "app.example.com%2f@evil.example",
    "app.example.com%00@evil.example",
    "app.example.com\\@evil.example",
    "app.example.com\t@evil.example",
    "app.example.com#@evil.example",
    "app.example.com?@evil.example",
    "app.example.com&@evil.example# @app.example.com/",
    "user@app.example.com",
    "user:pw@app.example.com",
    ":@app.example.com",
    "@app.example.com",
    "@@app.example.com",
    "evil.example@app.example.com",
    "evil.example\\@app.example.com",
    "evil.example%5c@app.example.com",
    "evil.example/@app.example.com",
    "evil.example#@app.example.com",
    "evil.example?app.example.com",
    "evil.example?@app.example.com",
    "evil.example;app.example.com",
    "evil.example;@app.example.com",
    "evil.example:@app.example.com",
    "evil.example%2f.app.example.com",
    "evil.example%23.app.example.com",
    "evil.example%3f.app.example.com",
    "evil.example%5c.app.example.com",
    "evil.example%00.app.example.com",
    "evil.example%0d%0a.app.example.com",
    "evil.example\0.app.example.com",
    "app.example.com.evil.example",
    "app.example.com-evil.example",
    "app.example.com.",
    "app.example.comc",
    "app.example.com:8443",
    "app.example.com:80",
    "app.example.com:0443",
    "app.example.com:443x",
    "app.example.com:99999",
    "app.example.com%2eevil.example",
    "evilapp.example.com",
    "app2.example.com",
    "admin.example.com",
    "example.com",
    "127.0.0.1",
    "localhost",
    "3627734734",
    "0xd83ad6ce",
    "0330.072.0326.0316",
    "216.3856078",
    "[::1]",
    "[::ffff:216.58.214.206]",
    "[::ffff:d83a:d6ce%25eth0]",
    "\u{2460}\u{2461}\u{2466}.\u{24ea}.\u{24ea}.\u{2460}",
    "evil\u{3002}example",
    "evil%E3%80%82example",
    "app\u{3002}example.com@evil.example",
    "app\u{ff0e}example\u{ff0e}com\u{ff20}evil.example",
    "\u{24d4}vil.example",
    "evil\u{ad}.example",
    "evil.ex\u{e4}mple",
    "xn--evl-rma.example",
    "evil.example\u{ff0f}app.example.com",
    "evil.example\u{2100}app.example.com",
];

/// Texts that may follow.
const TAILS: &[&str] = &[
    "",
    "/",
    "/%2e%2e",
    "/..;/",
    "/app.example.com",
    "?x=https://app.example.com/",
    "#//app.example.com",
    "\\..\\",
    "%0d%0aSet-Cookie:%20x=1",
    "\r\nLocation: https://evil.example/",
    "/akprox/sign_out",
];

/// Those that are no product of the lists.
const OTHERS: &[&str] = &[
    "/akprox/sign_out",
    "/akprox/start?rd=/akprox/start",
    "/akprox/callback?code=x&state=y",
    "/%61kprox/sign_out",
    "/x/../akprox/sign_out",
    "/akprox/./sign_out",
    "/outpost.goauthentik.io/sign_out",
    "https://app.example.com/akprox/sign_out",
    "/a\r\nSet-Cookie: x=1",
    "/a%0d%0aSet-Cookie:%20x=1",
    "/a\u{10d}\u{10a}X: 1",
    "/a\0b",
    "/\u{0}/evil.example",
    "<script>alert(1)</script>",
    "\"><a href=//evil.example>",
];

/// Returns every opening before every host, each with another tail.
fn payloads() -> Vec<String> {
    let mut made: Vec<String> = OTHERS.iter().map(|one| (*one).to_owned()).collect();
    let pairs = OPENINGS
        .iter()
        .flat_map(|opening| HOSTS.iter().map(move |host| (opening, host)));
    for ((opening, host), tail) in pairs.zip(TAILS.iter().cycle()) {
        made.push(format!("{opening}{host}{tail}"));
    }
    made
}

/// Characters that a request line cannot contain unescaped, or that end a parameter.
const UNSENDABLE: &AsciiSet = &CONTROLS.add(b' ').add(b'#').add(b'"').add(b'<').add(b'>');

fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Returns a payload unescaped (as far as a request can contain it), escaped once and escaped
/// twice.
fn spellings(payload: &str) -> [String; 3] {
    let once = escaped(payload);
    let twice = escaped(&once);
    [
        utf8_percent_encode(payload, UNSENDABLE).to_string(),
        once,
        twice,
    ]
}

/// Returns the URL that a browser opens after this response for this page.
fn leads_to(reply: &Reply, page: &str) -> Option<Url> {
    let location = reply.header("location")?;
    assert!(
        location.bytes().all(|b| b.is_ascii_graphic()),
        "{location:?}"
    );
    assert!(
        reply.headers.get_all("location").iter().count() == 1,
        "{reply:#?}"
    );
    let page = Url::parse(page).expect("a URL");
    Some(page.join(location).expect("a URL to a browser"))
}

/// Returns whether this is a page of the application, and not an endpoint that acts when it is
/// loaded.
fn is_at_home(url: &Url) -> bool {
    let path: Vec<u8> = percent_encoding::percent_decode_str(url.path()).collect();
    url.scheme() == "https"
        && url.host_str() == Some("app.example.com")
        && url.port().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        && !path.starts_with(b"/akprox/")
        && !path.starts_with(b"/outpost.goauthentik.io/")
}

/// Starts an outpost without a rate limit, which tests with many requests would exceed.
pub(crate) async fn world() -> World {
    World::with("rateLimit: {perSecond: 0}").await
}

async fn signed_in<'w>(world: &'w World, start: &str) -> Browser<'w> {
    let mut browser = world.browser();
    browser.sign_in(start).await.expect(302);
    browser
}

#[tokio::test]
async fn a_signed_in_user_is_led_back_to_the_application() {
    let world = world().await;
    let signed_in = signed_in(&world, "https://app.example.com/akprox/start").await;
    let mut asked = 0;
    let all = payloads();
    let written = all.iter().map(|payload| ("rd", payload));
    let unescaped = all.iter().step_by(5).map(|payload| ("target", payload));
    for (name, payload) in written.chain(unescaped) {
        for rd in spellings(payload) {
            let page = format!("https://app.example.com/akprox/start?{name}={rd}");
            if page.parse::<Uri>().is_err() {
                continue;
            }
            asked += 1;
            let reply = signed_in.clone().load(&page).await.expect(302);
            let to = leads_to(&reply, &page).expect("a redirect");
            assert!(is_at_home(&to), "{payload:?} as {name}={rd}: {to}");
            assert!(reply.headers.get("x").is_none(), "{payload:?}");
        }
    }
    assert!(asked > 25_000, "{asked}");
}

#[tokio::test]
async fn a_sign_in_ends_at_the_application() {
    let world = world().await;
    // Each way to begin and each host, but not all of their pairs.
    for payload in payloads().into_iter().step_by(59) {
        for rd in spellings(&payload) {
            let page = format!("https://app.example.com/akprox/start?rd={rd}");
            let reply = world.browser().sign_in(&page).await.expect(302);
            let to = leads_to(&reply, &page).expect("a redirect");
            assert!(is_at_home(&to), "{payload:?} as {rd}: {to}");
            assert!(reply.sets_session(), "{payload:?}");
        }
    }
}

#[tokio::test]
async fn in_domain_mode_everyone_stays_in_the_domain() {
    let world = world().await;
    let start = "https://auth.example.org/akprox/start";
    let signed_in = signed_in(&world, start).await;
    for payload in payloads().into_iter().step_by(3) {
        let ours = payload.replace("example.com", "example.org");
        let names = ["rd", "target"].into_iter();
        let written = names.flat_map(|name| spellings(&ours).map(|rd| format!("{name}={rd}")));
        for rd in written {
            let page = format!("{start}?{rd}");
            if page.parse::<Uri>().is_err() {
                continue;
            }
            let reply = signed_in.clone().load(&page).await.expect(302);
            let to = leads_to(&reply, &page).expect("a redirect");
            let host = to.host_str().unwrap_or_default();
            let in_domain = host == "example.org" || host.ends_with(".example.org");
            let plain = to.username().is_empty() && to.password().is_none();
            assert!(
                in_domain && plain && to.scheme() == "https" && to.port().is_none(),
                "{ours:?} as {rd}: {to}"
            );
        }
    }
}

#[tokio::test]
async fn no_other_parameter_leads_anywhere() {
    let world = world().await;
    let start = "https://app.example.com/akprox/start";
    let (leaving, staying) = (
        signed_in(&world, start).await,
        signed_in(&world, start).await,
    );
    for payload in payloads().into_iter().step_by(29) {
        for value in spellings(&payload) {
            for name in [
                "rd",
                "url",
                "redirect",
                "redirect_url",
                "post_logout_redirect_uri",
                "next",
            ] {
                let link = |path| format!("https://app.example.com/akprox/{path}?{name}={value}");
                if link("callback").parse::<Uri>().is_err() {
                    continue;
                }
                let reply = world.browser().load(&link("callback")).await.expect(400);
                assert!(reply.header("location").is_none(), "{payload:?}");
                assert!(!reply.body.contains("evil"), "{payload:?}: {}", reply.body);
                let reply = leaving.clone().load(&link("sign_out")).await.expect(302);
                let to = leads_to(&reply, &link("sign_out")).expect("a redirect");
                let home = to
                    .query_pairs()
                    .find(|(name, _)| name == "post_logout_redirect_uri");
                assert!(
                    to.as_str().starts_with(&world.provider.issuer),
                    "{payload:?}: {to}"
                );
                let home = home.expect("where to return").1;
                assert_eq!(home, "https://app.example.com/", "{payload:?}");
                if name != "rd" {
                    let reply = staying.clone().load(&link("start")).await.expect(302);
                    assert_eq!(reply.location(), "https://app.example.com/", "{payload:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_a_proxy_says_of_a_request_leads_nowhere_else_either() {
    let world = world().await;
    let signed_in = signed_in(&world, "https://app.example.com/akprox/start").await;
    for payload in payloads().into_iter().step_by(3) {
        let Ok(value) = HeaderValue::from_bytes(payload.as_bytes()) else {
            continue;
        };
        // A proxy may pass these headers on although it should not: the outpost does not read them.
        for name in [
            "x-auth-request-redirect",
            "x-forwarded-prefix",
            "x-original-uri",
            "referer",
        ] {
            let request = Request::get("/akprox/start")
                .header("Host", "app.example.com")
                .header(name, value.clone())
                .body(Body::empty())
                .expect("a request");
            let reply = world.send_from("127.0.0.1:4000", request).await.expect(302);
            let to = leads_to(&reply, "https://app.example.com/").expect("a redirect");
            assert!(
                to.as_str().starts_with(&world.provider.issuer),
                "{name} {payload:?}: {to}"
            );
        }
        // As the target of a request that a proxy asks about: a user who is sent to sign in returns
        // to the application.
        let request = Request::get("/akprox/auth/traefik")
            .header("X-Forwarded-Method", "GET")
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Host", "app.example.com")
            .header("X-Forwarded-Uri", value)
            .header("Sec-Fetch-Mode", "navigate")
            .header("Accept", "text/html")
            .body(Body::empty())
            .expect("a request");
        let reply = world.send_from("127.0.0.1:4000", request).await;
        if reply.status.is_client_error() {
            assert!(reply.header("location").is_none(), "{payload:?}");
            continue;
        }
        let to = leads_to(&reply, "https://app.example.com/").expect("a redirect");
        let at_provider = to.as_str().starts_with(&world.provider.issuer);
        let start = to
            .as_str()
            .starts_with("https://app.example.com/akprox/start?rd=");
        assert!(at_provider || start, "{payload:?}: {to}");
        if start {
            let reply = signed_in.clone().load(to.as_str()).await.expect(302);
            let to = leads_to(&reply, to.as_str()).expect("a redirect");
            assert!(is_at_home(&to), "{payload:?}: {to}");
        }
    }
}

/// Nothing of a target is decoded, and nothing of it is a parameter of `start`.
#[tokio::test]
async fn an_unescaped_target_comes_back_as_it_was() {
    let world = world().await;
    let start = "https://app.example.com/akprox/start";
    let signed_in = signed_in(&world, start).await;
    for (query, expected) in [
        ("target=/a%20b", "/a%20b"),
        ("target=/a&b", "/a&b"),
        ("target=/a&provider=main&rd=/b", "/a&provider=main&rd=/b"),
        ("target=/R%26D/x", "/R%26D/x"),
        ("target=/%25done", "/%25done"),
        ("target=/a+b?c=1+2&d=%2B", "/a+b?c=1+2&d=%2B"),
        ("target=/a?b=c\\d", "/a?b=c%5Cd"),
        ("target=https://app.example.com/a&b", "/a&b"),
        // Only where it comes first: no part of another target is one.
        ("rd=%2Fa&target=/b", "/a"),
        ("target=%2Fa", "/"),
        ("target=", "/"),
        // As configurations of nginx have it that stay as they are.
        ("rd=/a%20b", "/a%20b"),
        ("rd=/a+b", "/a+b"),
        ("rd=/%25done", "/%25done"),
        ("rd=/a%20b?c=%20&d", "/a%20b?c=%20&d"),
        // As programs write it that leave slashes as they are.
        ("rd=/a%3Fb%3D1%26c", "/a?b=1&c"),
        ("rd=%2Fa%2520b", "/a%20b"),
        ("rd=%2Fa&provider=main", "/a"),
    ] {
        let reply = signed_in.clone().load(&format!("{start}?{query}")).await;
        let location = reply.expect(302).location().to_owned();
        assert_eq!(
            location,
            format!("https://app.example.com{expected}"),
            "{query}"
        );
    }
}
