//! Ways past the sign-in: whether a client's headers decide what only the proxy may, which is the
//! request that is judged, the application whose rule applies, and the verdict.
//!
//! Each is tried by a request without a session, which must be answered as it is without the header.
//! What a header could open is only the page of `--url`.

use std::fmt;

use http::StatusCode;
use http::header::HOST;
use url::{Position, Url};

use super::browser::{Browser, Fetch, Reply};
use crate::application::Application;
use crate::runtime::Snapshot;

/// The headers by which proxies say which request they ask about.
const FORWARDED_URI: &str = "X-Forwarded-Uri";
const FORWARDED_METHOD: &str = "X-Forwarded-Method";
const FORWARDED_HOST: &str = "X-Forwarded-Host";
const ORIGINAL_URL: &str = "X-Original-URL";
const ORIGINAL_URI: &str = "X-Original-URI";
const ORIGINAL_METHOD: &str = "X-Original-Method";

/// A way past the sign-in that any client can take.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bypass {
    /// A verdict that any client may write is taken for the plugin's.
    Verdict,
    /// The plugin's word for "allowed" counts without the plugin.
    Word,
    /// The path that a client writes into this header is judged, and another is opened.
    Path {
        /// The header.
        header: &'static str,
    },
    /// What a client writes into this header chooses the application.
    Application {
        /// The header.
        header: &'static str,
        /// By whose rule the request was judged.
        judged_as: String,
    },
}

impl fmt::Display for Bypass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verdict => write!(
                f,
                "a client that sends `X-Gatepost-Verdict` opens the application without a session: \
                 a router takes it for the plugin's verdict. The routers that match the verdict \
                 need `parentRefs` to the router that has the plugin; an old CRD of Traefik's \
                 drops that field without a word"
            ),
            Self::Word => write!(
                f,
                "a client that knows the plugin's word for \"allowed\" opens the application by \
                 `X-Gatepost-Verdict` without a session, since requests reach the routers that \
                 match it without passing the plugin. They need `parentRefs` to the router that \
                 has the plugin; an old CRD of Traefik's drops that field without a word"
            ),
            Self::Path { header } => write!(
                f,
                "a client that names a public path in `{header}` opens this one without a session. \
                 {}",
                remedy(header)
            ),
            Self::Application { header, judged_as } => write!(
                f,
                "a client that names another host in `{header}` has the rule of `{judged_as}` \
                 applied here. {}",
                remedy(header)
            ),
        }
    }
}

/// Returns advice to the operator on a client's header that is trusted.
fn remedy(header: &str) -> &'static str {
    match header {
        FORWARDED_URI | FORWARDED_HOST => {
            "Write `trustForwardHeader: false` for Traefik's `forwardAuth`, and have the proxy set \
             or remove the header wherever it asks the outpost"
        }
        ORIGINAL_URL | ORIGINAL_URI => {
            "Have the proxy set or remove both `X-Original-URL` and `X-Original-URI` wherever it \
             asks the outpost, as its integration's page shows"
        }
        _ => "Have the proxy pass `Host` on as it compares it, without a port of the client's",
    }
}

/// A request that must be answered as the one without a session.
struct Probe {
    headers: Vec<(&'static str, String)>,
    /// The bypass that it shows if it is let through.
    opened: Option<Bypass>,
    /// The header that chose the application if another one's name comes back.
    chooses: Option<&'static str>,
}

/// Looks for ways past the sign-in at `url`, which belongs to `application`.
pub(super) async fn find(
    browser: &Browser,
    snapshot: &Snapshot,
    application: &Application,
    words: &[String],
    url: &Url,
) -> Vec<Bypass> {
    let ask = async |headers: &[(&'static str, String)]| {
        browser.ask(url.as_str(), Fetch::Script, headers).await.ok()
    };
    let Some(usual) = ask(&[]).await.filter(|usual| !lets_through(usual, None)) else {
        // The steps of the path report the problem.
        return Vec::new();
    };
    let mut bypasses = Vec::new();
    for probe in probes(snapshot, application, words, url) {
        // A request that cannot be sent, or is not answered, opens nothing.
        let Some(reply) = ask(&probe.headers).await else {
            continue;
        };
        bypasses.extend(probe.bypass(application, &usual, &reply));
    }
    bypasses.dedup();
    bypasses
}

fn probes(
    snapshot: &Snapshot,
    application: &Application,
    words: &[String],
    url: &Url,
) -> Vec<Probe> {
    let verdict = |word: &str, opened| Probe {
        headers: vec![(gatepost_policy::VERDICT_HEADER, word.to_owned())],
        opened: Some(opened),
        chooses: None,
    };
    // The word that routers matched before it was derived from the keys.
    let mut probes = vec![verdict("allow", Bypass::Verdict)];
    probes.extend(words.iter().map(|word| verdict(word, Bypass::Word)));
    if let Some((method, path)) = application.policy().public.example() {
        let whole = format!("{}{path}", &url[..Position::BeforePath]);
        for (header, value, method_header) in [
            (FORWARDED_URI, &path, FORWARDED_METHOD),
            (ORIGINAL_URL, &whole, ORIGINAL_METHOD),
            (ORIGINAL_URI, &path, ORIGINAL_METHOD),
        ] {
            probes.push(Probe {
                headers: vec![(header, value.clone()), (method_header, method.to_owned())],
                opened: Some(Bypass::Path { header }),
                chooses: None,
            });
        }
    }
    let mut others = snapshot.applications.iter();
    let other = others.find(|other| other.audience() != application.audience());
    let chooses = |header, name, value| Probe {
        headers: vec![(name, value)],
        opened: None,
        chooses: Some(header),
    };
    if let Some(other) = other {
        let other = other.external().url();
        let authority = &other[Position::BeforeHost..Position::AfterPort];
        let page = format!("{}{}", &other[..Position::BeforePath], url.path());
        probes.push(chooses(
            FORWARDED_HOST,
            FORWARDED_HOST,
            authority.to_owned(),
        ));
        probes.push(chooses(ORIGINAL_URL, ORIGINAL_URL, page));
        // The same name, to a proxy.
        let port = format!("{}:1", url.host_str().unwrap_or_default());
        probes.push(chooses("Host", HOST.as_str(), port));
    }
    probes
}

impl Probe {
    /// Returns the bypass that the response shows, compared with the usual one.
    fn bypass(self, application: &Application, usual: &Reply, reply: &Reply) -> Option<Bypass> {
        if let Some(bypass) = self.opened {
            return lets_through(reply, Some(usual)).then_some(bypass);
        }
        let own = application.audience().as_str();
        let judged_as = reply.realm().filter(|_| usual.realm() == Some(own))?;
        let header = self.chooses.filter(|_| judged_as != own)?;
        Some(Bypass::Application {
            header,
            judged_as: judged_as.to_owned(),
        })
    }
}

/// Returns whether a response is the application's, and not a refusal like the usual one. An
/// application may respond with a redirect of its own, to its first page or its own sign-in.
fn lets_through(reply: &Reply, usual: Option<&Reply>) -> bool {
    if reply.status.is_success() {
        return true;
    }
    let target = |reply: &Reply| {
        let location = reply.location.as_deref()?;
        Some(location.split('?').next().unwrap_or_default().to_owned())
    };
    let to_sign_in = target(reply).is_none_or(|target| target.ends_with("/start"));
    let as_usual = usual.is_some_and(|usual| target(usual) == target(reply));
    reply.status.is_redirection()
        && reply.status != StatusCode::NOT_MODIFIED
        && !to_sign_in
        && usual.is_some()
        && !as_usual
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{KEYS, snapshot};

    fn reply(status: u16, location: Option<&str>, realm: Option<&str>) -> Reply {
        Reply {
            status: StatusCode::from_u16(status).expect("a status"),
            location: location.map(str::to_owned),
            challenge: realm.map(|realm| format!("Gatepost realm=\"{realm}\"")),
            date: None,
            cookies: Vec::new(),
            body: String::new(),
        }
    }

    #[test]
    fn responses_of_the_application_differ_from_refusals() {
        let usual = reply(401, None, Some("wiki"));
        for (status, location, expected) in [
            (200, None, true),
            (204, None, true),
            (302, Some("/login"), true),
            (
                302,
                Some("https://app.example.com/akprox/start?rd=x"),
                false,
            ),
            (401, None, false),
            (403, None, false),
            (404, None, false),
            (400, None, false),
            (500, None, false),
        ] {
            let answer = reply(status, location, None);
            assert_eq!(lets_through(&answer, Some(&usual)), expected, "{status}");
        }
        let led_away = reply(302, Some("https://id.example.com/authorize?state=1"), None);
        let again = reply(302, Some("https://id.example.com/authorize?state=2"), None);
        assert!(!lets_through(&again, Some(&led_away)));
    }

    #[test]
    fn each_bypass_has_advice_and_a_refusal_is_not_a_bypass() {
        let snapshot = snapshot(&KEYS);
        let wiki = snapshot.applications.named("wiki").expect("there");
        let url = Url::parse("https://app.example.com/admin").expect("a URL");
        let usual = reply(401, None, Some("wiki"));
        let bypasses = |answer: &Reply| -> Vec<Bypass> {
            let words = ["word".to_owned()];
            let probes = probes(&snapshot, wiki, &words, &url).into_iter();
            probes
                .filter_map(|probe| probe.bypass(wiki, &usual, answer))
                .collect()
        };
        assert_eq!(bypasses(&usual), []);
        assert_eq!(bypasses(&reply(404, None, None)), []);
        let opened = bypasses(&reply(200, None, None));
        assert_eq!(opened, [Bypass::Verdict, Bypass::Word]);
        let judged = bypasses(&reply(401, None, Some("intranet")));
        let headers: Vec<&str> = judged
            .iter()
            .map(|bypass| match bypass {
                Bypass::Application { header, judged_as } if judged_as == "intranet" => *header,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(headers, [FORWARDED_HOST, ORIGINAL_URL, "Host"]);
        for bypass in opened.iter().chain(&judged) {
            let said = bypass.to_string();
            assert!(said.starts_with("a client that "), "{said}");
        }
    }
}
