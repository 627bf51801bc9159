//! Every header of the one list that no client may say, through every configuration that the docs show:
//! none reaches an application as the client wrote it.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::Site;
use gatepost_e2e::clients::raw_http1::RawConnection;
use gatepost_e2e::doubles::upstream::Seen;
use gatepost_e2e::proxies::{IngressNginx, Nginx, Traefik};
use gatepost_policy::{HeaderRules, HeaderSettings, Policy, Preset};
use serde_json::json;

use crate::shown;
use crate::spellings::session;

/// The public paths, with a rule for a method, by which the plugin and exports guard methods.
const PUBLIC: &[&str] = &["/public/*", "GET=/hook"];

/// HAProxy takes at most some hundred headers.
const AT_ONCE: usize = 40;

/// Names that a client says and only a proxy may: those that the proxies set themselves, and those that
/// frameworks believe without being told.
const SET: [&str; 14] = [
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Protocol",
    "X-Url-Scheme",
    "X-Scheme",
    "Front-End-Https",
    "Client-Ip",
    "X-Client-Ip",
    "X-Cluster-Client-Ip",
    "X-Original-Host",
    "X-Rewrite-Url",
    "X-Http-Method-Override",
    "Proxy",
];

fn names() -> Vec<String> {
    let rules = HeaderRules::new(HeaderSettings::of(Preset::Gatepost, "wiki"));
    let rules = rules.guarding(&Policy::default(), true);
    let own = rules.names().map(ToString::to_string);
    let all = own.chain(rules.removed_by_name());
    // A client's `X-Gatepost-Require` asks for more: such a request is refused where it arrives at the
    // outpost.
    let all = all.filter(|name| name != "X-Gatepost-Require");
    let all = all.chain(SET.map(String::from));
    // Some are in both lists.
    let all: BTreeSet<String> = all.map(|name| name.to_ascii_lowercase()).collect();
    all.into_iter().collect()
}

/// Asks the application with these headers, and returns what it got.
fn asked(site: &Site, path: &str, headers: &[(&str, &str)]) -> Result<Arc<Seen>> {
    let host = site.url("wiki", "/")?.authority().to_owned();
    let before = site.wiki().len();
    let mut connection = RawConnection::connect(site.ports().web)?;
    let headers = [&[("Host", &*host)], headers].concat();
    connection.request(&format!("GET {path}"), &headers)?;
    let status = connection.head()?.status;
    ensure!(status == 200, "{status}: {headers:?}");
    let seen = site.wiki().split_off(before).into_iter().next();
    seen.context("the application was asked")
}

/// Returns the names of which the client's value reached the application, from a client with and without a
/// session.
pub(crate) fn arrived(site: &Site, path: &str, cookie: &str) -> Result<BTreeSet<String>> {
    let names = names();
    let mut arrived = BTreeSet::new();
    for some in names.chunks(AT_ONCE) {
        for session in ["", cookie] {
            let mut headers = vec![("Cookie", session)];
            headers.extend(some.iter().map(|name| (name.as_str(), "mallory")));
            let seen = asked(site, path, &headers)?;
            let said = seen.headers.iter();
            let said = said.filter(|(_, values)| values.iter().any(|own| own.contains("mallory")));
            arrived.extend(said.map(|(name, _)| name.to_ascii_lowercase()));
        }
    }
    Ok(arrived)
}

/// Row 27: fails where an application gets a client's `Connection` that names an identity header, which
/// a further proxy would then take away.
fn connection_names_no_identity(site: &Site, path: &str, cookie: &str) -> Result<()> {
    let named = "close, X-Auth-Username, X-Auth-Groups";
    let seen = asked(site, path, &[("Cookie", cookie), ("Connection", named)])?;
    let said = seen.headers.get("connection").into_iter().flatten();
    let mut said = said.map(|value| value.to_ascii_lowercase());
    ensure!(!said.any(|value| value.contains("x-auth")), "{seen:?}");
    Ok(())
}

/// Returns what has arrived, as a line for a message, if anything has.
pub(crate) fn arrivals(site: &Site, path: &str, name: &str) -> Result<Option<String>> {
    let cookie = session(site, "wiki").context(name.to_owned())?;
    let arrived = arrived(site, path, &cookie).context(name.to_owned())?;
    let any = !arrived.is_empty();
    Ok(any.then(|| format!("{name}: {arrived:?}")))
}

fn nothing_arrives_with(outpost: &str) -> Result<()> {
    let site = Site::builder(outpost)
        .state_folder()
        .applications(&json!({ "public": PUBLIC }))
        .start()?;
    let mut all = Vec::new();
    for shown in shown::with_outpost(outpost) {
        let _running = shown.start(&site, PUBLIC).context(shown.name)?;
        all.extend(arrivals(&site, "/public/x", shown.name)?);
        let cookie = session(&site, "wiki").context(shown.name)?;
        connection_names_no_identity(&site, "/x", &cookie).context(shown.name)?;
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
    Ok(())
}

/// Row A9: in front of one application.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_client_says_what_only_proxies_say_at_one_application() -> Result<()> {
    nothing_arrives_with(shown::SINGLE)
}

/// Row A9: in front of a domain.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn no_client_says_what_only_proxies_say_at_a_domain() -> Result<()> {
    nothing_arrives_with(shown::DOMAIN)
}

/// Row A9: behind what `gatepost export nginx` prints.
#[test]
#[ignore = "needs nginx and an OpenID provider: cargo xtask test"]
fn no_client_says_what_only_proxies_say_behind_an_exported_nginx() -> Result<()> {
    let site = Site::builder("deploy/outpost/control-plane.yaml")
        .applications(&json!({ "public": ["/healthz", "POST=/hook"] }))
        .start()?;
    let text = site.printed(&["export", "nginx"])?.0;
    let _nginx = Nginx::start_with(&site, &text, &["wiki"])?;
    assert_eq!(arrivals(&site, "/healthz", "export")?, None);
    Ok(())
}

/// Row A9: behind ingress-nginx, by the annotations that the docs show.
#[test]
#[ignore = "needs nginx and an OpenID provider: cargo xtask test"]
fn no_client_says_what_only_proxies_say_behind_ingress_nginx() -> Result<()> {
    for (outpost, file) in [
        (shown::SINGLE, "deploy/kubernetes/ingress-nginx/single.yaml"),
        (shown::DOMAIN, "deploy/kubernetes/ingress-nginx/domain.yaml"),
    ] {
        let site = Site::builder(outpost)
            .applications(&json!({ "public": PUBLIC }))
            .redirects_everyone()
            .start()?;
        let _nginx = IngressNginx::start(&site, file, &["wiki"])?;
        assert_eq!(arrivals(&site, "/public/x", file)?, None);
    }
    Ok(())
}

/// Row A9: behind Traefik's provider for the same annotations.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn no_client_says_what_only_proxies_say_behind_traefiks_ingress_nginx() -> Result<()> {
    for (outpost, file) in [
        (
            shown::SINGLE,
            "deploy/kubernetes/traefik/ingress-nginx-single.yaml",
        ),
        (
            shown::DOMAIN,
            "deploy/kubernetes/traefik/ingress-nginx-domain.yaml",
        ),
    ] {
        let site = Site::builder(outpost)
            .applications(&json!({ "public": PUBLIC }))
            .start()?;
        let _running = Traefik::of_ingress_nginx(&site, file, &["wiki"])?;
        assert_eq!(arrivals(&site, "/public/x", file)?, None);
    }
    Ok(())
}
