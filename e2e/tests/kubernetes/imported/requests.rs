//! What applications get of a request, and clients of an answer: by nginx, as the real controller
//! configures it, and by Traefik with what the import prints.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::proxies::IngressController;
use gatepost_e2e::{Client, Site, until};
use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::printed;
use crate::ingress_nginx;
use crate::ingresses::{AUTH, Annotation, applications, ingress, list_of};
use crate::served::{FORWARD_AUTH, PLUGIN, gateway, objects_of, serve};
use crate::{Test, checks};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "imported::requests::applications_and_clients_get_what_nginx_gave_them",
    run: same_as_nginx,
}];

const LIMIT: Duration = Duration::from_secs(90);

/// A header of the old service that Gatepost does not set.
const DEPARTMENT: Annotation = ("auth-response-headers", "X-Department");

/// A host with a protected Ingress for all paths, one for a path of its own, and a request.
struct Case {
    host: &'static str,
    of_all: &'static [Annotation],
    path: (&'static str, &'static str),
    of_path: &'static [Annotation],
    asked: &'static str,
    status: u16,
}

const CASE: Case = Case {
    host: "",
    of_all: &[AUTH, DEPARTMENT],
    path: ("/open", "Prefix"),
    of_path: &[],
    asked: "/open/x?y=1",
    status: 200,
};

const CASES: &[Case] = &[
    Case {
        host: "plain.example.localhost",
        ..CASE
    },
    Case {
        host: "vhost.example.localhost",
        of_path: &[("upstream-vhost", "inner.example.com")],
        ..CASE
    },
    Case {
        host: "prefix.example.localhost",
        path: ("/open(/|$)(.*)", "ImplementationSpecific"),
        of_path: &[("rewrite-target", "/$2"), ("x-forwarded-prefix", "/open")],
        ..CASE
    },
    Case {
        host: "permanent.example.localhost",
        of_path: &[("permanent-redirect", "https://elsewhere.example/there")],
        status: 301,
        ..CASE
    },
    Case {
        host: "temporal.example.localhost",
        of_path: &[("temporal-redirect", "https://elsewhere.example/then")],
        status: 302,
        ..CASE
    },
    Case {
        host: "root.example.localhost",
        of_all: &[AUTH, ("app-root", "/start")],
        asked: "/?x=1",
        status: 302,
        ..CASE
    },
    Case {
        host: "alias.example.localhost",
        of_all: &[
            AUTH,
            DEPARTMENT,
            ("server-alias", "other.example.localhost"),
        ],
        asked: "http://other.example.localhost/open/x",
        ..CASE
    },
];

impl Case {
    fn ingresses(&self) -> [Value; 2] {
        let name = self.host.split('.').next().unwrap_or_default();
        [
            ingress(name, self.host, ("/", "Prefix"), self.of_all),
            ingress(&format!("{name}-open"), self.host, self.path, self.of_path),
        ]
    }

    /// Returns where a client asks.
    fn url(&self, port: u16) -> Result<Url> {
        let mut url = match self.asked.starts_with('/') {
            true => format!("http://{}{}", self.host, self.asked).parse::<Url>()?,
            false => self.asked.parse()?,
        };
        ensure!(url.set_port(Some(port)).is_ok());
        Ok(url)
    }
}

/// What a client got, and the application.
#[derive(Debug, PartialEq)]
struct Said {
    status: u16,
    location: Option<String>,
    /// Its path, `Host` and `X-Forwarded-Prefix`.
    app: Option<(String, Option<String>, Option<String>)>,
}

fn ask(site: &Site, case: &Case) -> Result<Said> {
    let port = site.ports().web;
    let without_port = |text: &str| text.replace(&format!(":{port}"), "");
    let seen = site.wiki().len();
    let answer = Client::new()?.fetch(Method::GET, &case.url(port)?).send()?;
    let location = answer.headers().get("location");
    let location = location.and_then(|it| it.to_str().ok()).map(without_port);
    let app = site.wiki();
    let app = app.get(seen).map(|seen| {
        let header = |name| seen.header(name).map(without_port);
        (
            seen.uri.clone(),
            header("host"),
            header("x-forwarded-prefix"),
        )
    });
    Ok(Said {
        status: answer.status().as_u16(),
        location,
        app,
    })
}

fn ask_all(site: &Site) -> Result<Vec<Said>> {
    let ask = |case: &Case| {
        until(case.host, LIMIT, || {
            let said = ask(site, case);
            Ok(said.ok().filter(|said| said.status == case.status))
        })
    };
    CASES.iter().map(ask).collect()
}

fn same_as_nginx(cluster: &Cluster) -> Result<()> {
    ingress_nginx::needs_the_controller()?;
    let before: Vec<Value> = CASES.iter().flat_map(Case::ingresses).collect();
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let mut objects = before.clone();
    objects.push(IngressController::config_map(&json!({})));
    let nginx = ingress_nginx::serve(cluster, &site, objects, site.ports().web, &[])?;
    let by_nginx = ask_all(&site)?;
    drop(nginx);
    for (arguments, config, further) in [
        (&["--to", "crds"][..], PLUGIN, &[][..]),
        (&["--to", "crds", "--forward-auth"], FORWARD_AUTH, &[]),
        (&["--to", "gateway"], PLUGIN, &["kubernetesGateway"]),
    ] {
        by_traefik(cluster, &before, arguments, (config, further), &by_nginx)
            .with_context(|| format!("{arguments:?}"))?;
    }
    Ok(())
}

fn by_traefik(
    cluster: &Cluster,
    before: &[Value],
    arguments: &[&str],
    (config, further): (&str, &[&str]),
    by_nginx: &[Said],
) -> Result<()> {
    let text = printed(arguments, &list_of(before))?;
    let site = checks::site("deploy/outpost/single.yaml")
        .further_applications(applications(&text)?)
        .start()?;
    let mut objects = objects_of(&text)?;
    if !further.is_empty() {
        objects.extend(gateway()?);
    }
    let _running = serve(cluster, &site, config, further, objects, &[])?;
    let by_traefik = ask_all(&site)?;
    for ((case, nginx), traefik) in CASES.iter().zip(by_nginx).zip(&by_traefik) {
        assert_eq!(traefik, nginx, "{}", case.host);
    }
    no_client_says_what_proxies_say(&site)
}

/// Headers in which applications trust a proxy or the sign-in, the old service's own among them.
const TRUSTED: [&str; 10] = [
    "X-Scheme",
    "X-Forwarded-Scheme",
    "X-Original-Forwarded-For",
    "X-Original-Forwarded-Host",
    "X-Original-URI",
    "X-Forwarded-Prefix",
    "Proxy",
    "X-Auth-Username",
    "X-Forwarded-User",
    "X-Department",
];

fn no_client_says_what_proxies_say(site: &Site) -> Result<()> {
    for case in CASES.iter().filter(|case| case.status == 200) {
        let mut request = Client::new()?.fetch(Method::GET, &case.url(site.ports().web)?);
        for name in TRUSTED {
            request = request.header(name, "mallory");
        }
        assert_eq!(request.send()?.status(), 200, "{}", case.host);
        let seen = site.wiki();
        let seen = seen.last().context("the application was asked")?;
        let said: Vec<_> = seen.headers.iter().collect();
        ensure!(
            !format!("{said:?}").contains("mallory"),
            "{}: {said:?}",
            case.host
        );
    }
    Ok(())
}
