//! Plugin and outpost decide alike on every request that a proxy can put to both.

#![no_main]

// The double of the host that the built guest is compared with.
#[path = "../../plugin/tests/guest/exchange.rs"]
#[allow(dead_code)]
mod exchange;

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

use gatepost::dialect::Dialect;
use gatepost::web::{ForwardedRequest, Subrequest};
use gatepost_fuzz::{KEY, SETTINGS, Sent, now, snapshot};
use gatepost_plugin::Gate;
use gatepost_policy::{Decision, Unauthenticated};
use gatepost_session::{Audience, KeyRing};
use http::Request;
use libfuzzer_sys::fuzz_target;

use self::exchange::{Request as PluginRequest, native_gate, natively};

thread_local! {
    /// One gate for all requests: its memory of one must not change the next.
    static GATE: RefCell<Gate> = RefCell::new(native_gate(SETTINGS));
}

/// Returns the plugin's word for "allowed".
fn allowed() -> &'static String {
    static WORD: LazyLock<String> = LazyLock::new(|| {
        let ring = KeyRing::parse(KEY).expect("a ring");
        let words = ring.verdicts(&Audience::new("wiki").expect("an audience"));
        words.into_iter().next().expect("a word")
    });
    &WORD
}

fuzz_target!(|data: &[u8]| {
    let Some(mut sent) = Sent::parse(data) else {
        return;
    };
    // The proxy's own headers, for every decider.
    sent.headers
        .retain(|(name, _)| !name.as_str().starts_with("x-forwarded-") && name != "host");

    let mut parts = Request::new(()).into_parts().0;
    for (name, value) in &sent.headers {
        parts.headers.append(name, value.clone());
    }
    for (name, value) in [
        ("x-forwarded-method", sent.method.as_str()),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "wiki.example.com"),
        ("x-forwarded-uri", sent.target.as_str()),
    ] {
        let Ok(value) = value.parse() else {
            return;
        };
        parts.headers.insert(name, value);
    }
    let snapshot = snapshot();
    let peer = IpAddr::from(Ipv4Addr::LOCALHOST);
    let applications = &snapshot.applications;
    let asking = ForwardedRequest::direct(&parts, peer, &snapshot.trusted_proxies, applications);
    let subrequest = Subrequest {
        dialect: Dialect::Traefik,
        prefix: "/akprox",
        by_query: false,
        target: "",
    };
    // The outpost refuses requests that it cannot read; a proxy has refused them before.
    let Ok(forwarded) = subrequest.asked_about(&asking, &parts, applications) else {
        return;
    };
    let application = snapshot.applications.named("wiki").expect("wiki");
    let candidates = forwarded.session_candidates(&application.cookie().name);
    let authentic =
        application.authenticate(&candidates, |cookie| cookie.current(now(), 30).is_ok());
    let session = match &authentic {
        Ok(authentic) => authentic
            .current(now(), 30)
            .map_err(Unauthenticated::Window),
        Err(reason) => Err(*reason),
    };
    let decision = application.policy().decide(&forwarded, session);

    let request = PluginRequest::new(&sent.method, &sent.target).with("X-Forwarded-Proto", "https");
    let request = sent
        .headers
        .iter()
        .fold(request, |request, (name, value)| request.with(name, value));
    let outcome = GATE.with_borrow_mut(|gate| natively(gate, &request));

    if let Decision::MethodNotAllowed = decision {
        assert!(!outcome.next, "a tunnel");
        return;
    }
    assert!(outcome.next, "in route mode everything else goes on");
    let verdict = match &decision {
        Decision::Allow(_) => allowed().as_str(),
        other => other.verdict(),
    };
    assert_eq!(outcome.lines("x-gatepost-verdict"), [verdict]);
    let rendered: Vec<(String, String)> = match &decision {
        Decision::Allow(permit) => application
            .headers()
            .render(permit)
            .map(|(name, value)| (name.to_string(), value.into_owned()))
            .collect(),
        _ => Vec::new(),
    };
    for name in application.headers().names() {
        let expected: Vec<&str> = rendered
            .iter()
            .filter(|(own, _)| own == name.as_str())
            .map(|(_, value)| value.as_str())
            .collect();
        let lines = outcome.lines(&name.as_str().to_ascii_lowercase());
        assert_eq!(lines, expected, "{name}");
    }
    for name in outcome.fields.keys() {
        let own = application.headers().owns(name) && !name.starts_with(b"x-gatepost");
        let alias = name
            .iter()
            .any(|b| !b.is_ascii_alphanumeric() && *b != b'-');
        assert!(!(own && alias), "an alias is left");
    }
});
