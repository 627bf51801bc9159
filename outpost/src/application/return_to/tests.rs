use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use url::Url;

use super::*;
use crate::fixture::application;

fn parse(target: &str, name: &str) -> Option<String> {
    ReturnTo::parse(target, &application(name)).map(|url| url.as_str().to_owned())
}

#[test]
fn targets_of_the_application_itself_survive_unchanged() {
    let app = "https://app.example.com";
    for (target, expected) in [
        ("/", "/"),
        ("/a/b?x=1&y=%2F#f", "/a/b?x=1&y=%2F#f"),
        ("https://app.example.com/x", "/x"),
        ("https://APP.example.com:443/x", "/x"),
        ("/a/../b", "/b"),
        ("/%2f%2fevil.example", "/%2f%2fevil.example"),
        ("/%5cevil.example", "/%5cevil.example"),
        ("/%252fevil.example", "/%252fevil.example"),
        ("/\u{e9}", "/%C3%A9"),
        (
            "/a?next=https://evil.example/",
            "/a?next=https://evil.example/",
        ),
        ("/x@evil.example", "/x@evil.example"),
        ("/akproxy", "/akproxy"),
        ("/x/akprox/start", "/x/akprox/start"),
        // Browsers send a backslash in a query as it is.
        ("/a?b=c\\d#e\\f", "/a?b=c%5Cd#e%5Cf"),
        ("/a?\\\\evil.example", "/a?%5C%5Cevil.example"),
    ] {
        assert_eq!(
            parse(target, "wiki"),
            Some(format!("{app}{expected}")),
            "{target}"
        );
    }
}

/// Targets that must never lead away from the application, in the forms of past vulnerabilities.
/// Each is an example of a class, which `targets` varies.
const HOSTILE: &[&str] = &[
    // Other hosts, plain and by way of what browsers read as `//`.
    "//evil.example",
    "///evil.example",
    "////evil.example/%2e%2e",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "/\\/evil.example",
    "/./\\evil.example",
    "/./../../\\evil.example",
    "\\evil.example",
    "/\\\\evil.example",
    "/..//evil.example",
    "/a/..//evil.example",
    "/%2e%2e//evil.example",
    // Bytes that browsers drop or trim.
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r/evil.example",
    "/\u{b}\\evil.example",
    "/ /evil.example",
    "/\t\t\\\t/evil.example",
    "\t//evil.example",
    " //evil.example",
    "\0//evil.example",
    "/\u{7f}/evil.example",
    "ht\ntps://evil.example",
    // User information.
    "https://app.example.com@evil.example/",
    "https://app.example.com:443@evil.example",
    "https://evil.example\\@app.example.com",
    "https://user:pw@app.example.com/",
    "https://user@app.example.com/",
    "https://:@app.example.com:81/",
    "//app.example.com@evil.example",
    "https://app.example.com%40evil.example",
    "https://app.example.com&@evil.example#@app.example.com/",
    // The right name in the wrong place.
    "https://evil.example#@app.example.com",
    "https://evil.example?app.example.com",
    "https://evil.example;app.example.com",
    "https://evil.example/app.example.com",
    "https://app.example.com.evil.example/",
    "https://evilapp.example.com/",
    "https://app.example.comc/",
    "https://app.example.com./",
    "https://example.com/",
    // Another port or scheme.
    "https://app.example.com:8443/x",
    "http://app.example.com/",
    "ftp://app.example.com/",
    "ws://app.example.com/",
    "wss://app.example.com/",
    // Schemes that run or read something.
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "javascript://app.example.com/%0aalert(1)",
    "data:text/html,x",
    "vbscript:x",
    "blob:https://app.example.com/x",
    "file:///etc/passwd",
    "about:blank",
    "view-source:https://app.example.com/",
    // Scheme without slashes, or with odd ones.
    "https:evil.example",
    "https:/evil.example",
    "http:\\\\evil.example",
    "https:///evil.example",
    "https:////evil.example",
    "http:evil.example",
    "//",
    "///",
    "https://",
    // Neither a path nor a URL.
    ":evil.example",
    ".evil.example",
    "@evil.example",
    "evil.example",
    "?q",
    "#f",
    // Addresses in other notations, and names that normalise to others.
    "https://0xd83ad6ce/",
    "https://3627734734/",
    "https://[::ffff:216.58.214.206]/",
    "http://\u{2460}\u{2461}\u{2466}.\u{24ea}.\u{24ea}.\u{2460}/",
    "https://app\u{3002}example.com@evil.example",
    "//evil\u{3002}example",
    "https://ev\u{131}l.example",
    // Splitting headers.
    "/a\r\nSet-Cookie: x=1",
    "/a\0b",
    "/\0/evil",
    // The outpost's own paths: a loop, or a sign-out by a link.
    "/akprox",
    "/akprox/",
    "/akprox/start?rd=/akprox/start",
    "/akprox/sign_out",
    "/akprox/callback?code=x",
    "/%61kprox/sign_out",
    "/x/../akprox/sign_out",
    "/x/%2e%2e/akprox/sign_out",
    "/outpost.goauthentik.io/sign_out",
    "https://app.example.com/akprox/sign_out",
    "",
];

#[test]
fn hostile_targets_are_refused_as_they_stand_and_unescaped() {
    let escape = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    for hostile in HOSTILE {
        for name in ["wiki", "plain", "intranet"] {
            assert_eq!(parse(hostile, name), None, "{hostile:?} for {name}");
            // Escaped once or twice it is a path below the application's own origin, and is
            // never decoded again.
            for escaped in [escape(hostile), escape(&escape(hostile))] {
                if let Some(url) = parse(&escaped, name) {
                    assert_stays(&url, name, &escaped);
                }
            }
        }
    }
}

/// Asserts that a browser which reads `url` stays with the application.
fn assert_stays(url: &str, name: &str, target: &str) {
    let application = application(name);
    let parsed = Url::parse(url).unwrap_or_else(|error| panic!("{target:?}: {url}: {error}"));
    let host = parsed.host_str().expect("a host");
    match application.mode() {
        Mode::Single => assert_eq!(
            parsed.origin(),
            application.external().url().origin(),
            "{target:?}"
        ),
        Mode::Domain(domain) => assert!(domain.contains(host), "{target:?}: {url}"),
    }
    assert_eq!(
        parsed.scheme(),
        application.external().url().scheme(),
        "{target:?}"
    );
    assert!(
        parsed.username().is_empty() && parsed.password().is_none(),
        "{target:?}: {url}"
    );
    assert!(
        url.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'\\'),
        "{target:?}: {url}"
    );
    let path: Vec<u8> = percent_decode_str(parsed.path()).collect();
    assert!(!path.starts_with(b"/akprox/"), "{target:?}: {url}");
    // The outpost sends exactly the URL that it checked, and checking it again changes nothing.
    assert_eq!(parsed.as_str(), url, "{target:?}");
    let again = ReturnTo::parse(url, &application).expect("accepted again");
    assert_eq!(again.as_str(), url, "{target:?}");
}

#[test]
fn the_prefix_of_the_application_is_its_own_too() {
    assert_eq!(parse("/sso/sign_out", "plain"), None);
    assert_eq!(
        parse("/sso/sign_out", "wiki").as_deref(),
        Some("https://app.example.com/sso/sign_out")
    );
}

#[test]
fn a_domain_takes_its_hosts_at_a_label_boundary_on_its_scheme_and_port() {
    for (target, accepted) in [
        ("https://a.example.org/x?y#z", true),
        ("https://A.Example.ORG/x", true),
        ("https://a.b.example.org/", true),
        ("https://example.org/", true),
        ("https://auth.example.org/", true),
        ("/x", true),
        ("//a.example.org/x", false),
        ("https://evilexample.org/", false),
        ("https://example.org.evil.example/", false),
        ("https://app.example.orgc/", false),
        ("https://a.example.org./", false),
        ("https://a.example.org:8443/", false),
        ("https://a.example.org:9443/x", true),
        ("https://a.example.org:9444/", false),
        // A proxy behind a load balancer that ends TLS sees plain HTTP.
        ("http://a.example.org/", true),
        ("http://a.example.org:80/", true),
        ("http://a.example.org:443/", true),
        ("http://a.example.org:9443/", true),
        ("http://a.example.org:8080/", false),
        ("http://a.example.org\\@evil.example/", false),
        ("http://evil.example/", false),
        ("ftp://a.example.org/", false),
        ("https://a_b.example.org/", true),
        // What no host is called.
        ("https://evil.example;.example.org/", false),
        ("https://evil.example,.example.org/", false),
        ("https://evil.example'.example.org/", false),
        ("https://a..example.org/", false),
        ("https://a.example.org@evil.example/", false),
        ("https://a.example.com/", false),
        ("https://[::1]/", false),
    ] {
        let url = parse(target, "intranet");
        assert_eq!(url.is_some(), accepted, "{target}");
        let is_https = |url: String| url.starts_with("https://");
        assert!(url.is_none_or(is_https), "{target}");
    }
}

#[test]
fn a_target_of_more_than_nine_kibibytes_is_refused() {
    assert!(parse(&format!("/{}", "a".repeat(8_191)), "wiki").is_some());
    assert!(parse(&format!("/{}", "a".repeat(9_216)), "wiki").is_none());
    // The last is short, and its escapes are not.
    for long in [
        "a".repeat(64 * 1024),
        "\u{e9}".repeat(4_000),
        "\u{e9}".repeat(1_550),
    ] {
        assert_eq!(parse(&format!("/{long}"), "wiki"), None);
    }
}

proptest! {
    #[test]
    fn nothing_leads_away(target in "[/\\\\:@?#.%a-f\t\r\n \u{e9}\u{3002}]{0,24}") {
        for name in ["wiki", "plain", "intranet"] {
            if let Some(url) = parse(&target, name) {
                assert_stays(&url, name, &target);
            }
        }
    }

    #[test]
    fn nothing_leads_away_around_known_hosts(
        before in "(https?:|javascript:|)[/\\\\]{0,4}",
        user in "([a-z]{0,3}@)?",
        host in "(app\\.example\\.com|a\\.example\\.org|app\\.localhost:8080|evil\\.example)",
        after in "[:@./\\\\?#%a-z0-9]{0,8}",
    ) {
        let target = format!("{before}{user}{host}{after}");
        for name in ["wiki", "plain", "intranet"] {
            if let Some(url) = parse(&target, name) {
                assert_stays(&url, name, &target);
            }
        }
    }
}
