//! Hosts that nginx reads otherwise than they look: what `gatepost import ingress-nginx` prints of
//! them, on the real API server and real Traefik, opens nothing that nginx protected.
//!
//! What nginx does is written in each case, as ingress-nginx 1.15.1 writes its configuration; what it
//! keeps from an application, the real controller shows.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::proxies::IngressController;
use gatepost_e2e::{Client, Site, until};
use reqwest::{Method, StatusCode, Url};
use serde_json::{Value, json};

use crate::ingress_nginx;
use crate::ingresses::{Annotation, applications, import, ingress, list_of};
use crate::served::{INGRESS_NGINX, PLUGIN, gateway, objects_of, serve};
use crate::{Test, checks};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "imported_hosts::by_nginx",
        run: by_nginx,
    },
    Test {
        name: "imported_hosts::by_annotations",
        run: |cluster| protected(cluster, INGRESS_NGINX, &[], "traefik-annotations"),
    },
    Test {
        name: "imported_hosts::by_crds",
        run: |cluster| protected(cluster, PLUGIN, &[], "crds"),
    },
    Test {
        name: "imported_hosts::by_gateway",
        run: |cluster| protected(cluster, PLUGIN, &["kubernetesGateway"], "gateway"),
    },
];

/// An Ingress of a host.
struct Part {
    path: &'static str,
    kind: &'static str,
    annotations: &'static [Annotation],
    /// `nginx` where there is no other.
    class: Option<&'static str>,
}

/// A host: its name, under `localhost`, and what nginx made of it.
struct Host {
    name: &'static str,
    parts: &'static [Part],
    protected: &'static [&'static str],
    /// Forms that print it, in which these paths are open.
    printed: &'static [(&'static str, &'static [&'static str])],
}

const AUTH: Annotation = (
    "auth-url",
    "http://oauth2-proxy.auth.svc.cluster.local:4180/oauth2/auth",
);

const fn part(path: &'static str, kind: &'static str, annotations: &'static [Annotation]) -> Part {
    Part {
        path,
        kind,
        annotations,
        class: Some("nginx"),
    }
}

const fn of_class(class: Option<&'static str>, part: Part) -> Part {
    Part { class, ..part }
}

const HOSTS: &[Host] = &[
    // A canary has no locations of its own.
    Host {
        name: "canary-1",
        parts: &[
            part("/", "Prefix", &[AUTH]),
            part(
                "/beta",
                "Prefix",
                &[("canary", "1"), ("canary-weight", "10")],
            ),
        ],
        protected: &["/", "/beta"],
        printed: &[],
    },
    Host {
        name: "canary",
        parts: &[
            part("/", "Prefix", &[AUTH]),
            part(
                "/",
                "Prefix",
                &[("canary", "TRUE"), ("canary-weight", "100")],
            ),
            part(
                "/beta",
                "Prefix",
                &[("canary", "true"), ("canary-weight", "100")],
            ),
        ],
        protected: &["/", "/beta", "/other"],
        printed: &[("traefik-annotations", &[])],
    },
    // The controller serves every class that names it.
    Host {
        name: "class",
        parts: &[
            part("/x", "Prefix", &[AUTH]),
            part("/", "Prefix", &[]),
            of_class(Some("nginx-internal"), part("/admin", "Prefix", &[AUTH])),
        ],
        protected: &["/x", "/admin", "/admin/x"],
        printed: &[],
    },
    Host {
        name: "no-class",
        parts: &[
            part("/x", "Prefix", &[AUTH]),
            part("/", "Prefix", &[]),
            of_class(None, part("/admin", "Prefix", &[AUTH])),
        ],
        protected: &["/x", "/admin"],
        printed: &[],
    },
    // `location ~* "^/(.+)"` is not for `/`.
    Host {
        name: "more",
        parts: &[
            part("/(.+)", "ImplementationSpecific", &[("use-regex", "true")]),
            part("/", "Prefix", &[AUTH]),
        ],
        protected: &["/"],
        printed: &[],
    },
    // Go's `ParseBool` takes neither for true.
    Host {
        name: "flag",
        parts: &[
            part("/", "Prefix", &[AUTH]),
            part("/pub", "Prefix", &[("use-regex", "true\n")]),
        ],
        protected: &["/", "/publish"],
        printed: &[],
    },
    // The template compares `/public/` with `/public`, and so `location ~* "^/admin"`.
    Host {
        name: "target",
        parts: &[
            part("/admin", "Exact", &[AUTH]),
            part("/public", "Prefix", &[("rewrite-target", "/public")]),
            part("/", "Prefix", &[]),
        ],
        protected: &["/admin", "/admin/x"],
        printed: &[],
    },
    // nginx redirects `/api` to `/api/`, which to Gatepost is a meaning of the same path.
    Host {
        name: "slash",
        parts: &[part("/api/", "Prefix", &[AUTH]), part("/", "Prefix", &[])],
        protected: &["/api/", "/api/x", "/api"],
        printed: &[
            ("traefik-annotations", &["/", "/apix"]),
            ("crds", &["/", "/apix"]),
            ("gateway", &["/", "/apix"]),
        ],
    },
    // A name that ends as that of an object of the host before it.
    Host {
        name: "names",
        parts: &[part(
            "/a/(.*)",
            "ImplementationSpecific",
            &[AUTH, ("rewrite-target", "/$1")],
        )],
        protected: &["/a/x"],
        printed: &[("crds", &[]), ("gateway", &[])],
    },
    Host {
        name: "names.localhost-rewrite-1",
        parts: &[part("/", "Prefix", &[AUTH, ("rewrite-target", "/")])],
        protected: &["/secret"],
        printed: &[("crds", &[]), ("gateway", &[])],
    },
];

impl Host {
    /// Its full name. The test's own client finds names under `localhost` and `test` alone.
    fn full(&self) -> String {
        match self.name.contains("localhost") {
            true => self.name.to_owned(),
            false => format!("{}.localhost", self.name),
        }
    }

    fn ingresses(&self) -> Vec<Value> {
        let object = |(at, part): (usize, &Part)| {
            let name = format!("{}-{at}", self.name);
            let mut object = ingress(
                &name,
                &self.full(),
                (part.path, part.kind),
                part.annotations,
            );
            object["spec"]["ingressClassName"] = json!(part.class);
            if part.annotations.iter().any(|(key, _)| *key == "canary") {
                let path = &mut object["spec"]["rules"][0]["http"]["paths"][0];
                path["backend"]["service"]["name"] = json!("files");
            }
            object
        };
        self.parts.iter().enumerate().map(object).collect()
    }

    /// The paths that are open in what this form prints; `None` where it prints nothing.
    fn open_in(&self, form: &str) -> Option<&'static [&'static str]> {
        let printed = self.printed.iter().find(|(own, _)| *own == form);
        printed.map(|(_, open)| *open)
    }
}

/// What the import prints, also where it refuses some hosts.
fn printed(to: &str, objects: &[Value]) -> Result<String> {
    let imported = import(&["--no-configmap", "--to", to], &list_of(objects))?;
    let (text, complained) = (imported.text, imported.complained);
    ensure!(text.contains("applications:"), "{text}{complained}");
    Ok(text.replace("CHANGE-ME", "staff"))
}

/// The service that decides is not there, so nginx answers 500 in its place.
fn by_nginx(cluster: &Cluster) -> Result<()> {
    ingress_nginx::needs_the_controller()?;
    // Without an option, the controller serves no Ingress without a class.
    let hosts = || HOSTS.iter().filter(|host| host.name != "no-class");
    let mut objects: Vec<Value> = hosts().flat_map(Host::ingresses).collect();
    objects.push(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": { "name": "nginx-internal" },
        "spec": { "controller": "k8s.io/ingress-nginx" },
    }));
    objects.push(IngressController::config_map(&json!({})));
    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let _running = ingress_nginx::serve(cluster, &site, objects, site.ports().web, &[])?;
    let client = Client::new()?;
    for host in hosts() {
        let asked = Asked {
            site: &site,
            host: host.full(),
            client: &client,
        };
        asked.until_status(host.protected[0], StatusCode::INTERNAL_SERVER_ERROR)?;
        for path in host.protected {
            let seen = (site.wiki().len(), site.files().len());
            let status = asked.status(path)?;
            ensure!(status != StatusCode::OK, "{}{path}: {status}", host.name);
            let now = (site.wiki().len(), site.files().len());
            assert_eq!(now, seen, "an application got {}{path}", host.name);
        }
        for path in host.printed.iter().flat_map(|(_, open)| *open) {
            let status = asked.status(path)?;
            ensure!(status == StatusCode::OK, "{}{path}: {status}", host.name);
        }
    }
    Ok(())
}

fn protected(cluster: &Cluster, config: &str, further: &[&str], to: &str) -> Result<()> {
    let all: Vec<Value> = HOSTS.iter().flat_map(Host::ingresses).collect();
    let text = printed(to, &all)?;
    let applications = applications(&text)?;
    let names: Vec<&str> = applications
        .iter()
        .filter_map(|it| it["name"].as_str())
        .collect();
    let site = checks::site("deploy/outpost/single.yaml")
        .further_applications(applications.clone())
        .start()?;
    // What a cluster has besides: the provider for the annotations reads what is not printed too.
    let _before = match to {
        "traefik-annotations" => Some(cluster.apply(all)?),
        _ => None,
    };
    let mut objects = objects_of(&text)?;
    if !further.is_empty() {
        objects.extend(gateway()?);
    }
    let _running = serve(cluster, &site, config, further, objects, &[])?;
    let client = Client::new()?;
    let asked = |host: &Host| Asked {
        site: &site,
        host: host.full(),
        client: &client,
    };
    for host in HOSTS.iter().filter(|it| it.open_in(to).is_some()) {
        asked(host).until_status(host.protected[0], StatusCode::UNAUTHORIZED)?;
    }
    for host in HOSTS {
        let asked = asked(host);
        let is_printed = names.contains(&&*asked.host);
        // What is not printed is not Gatepost's: the annotations are served as they were.
        // Other forms have no route for it.
        let expected = match (is_printed, to) {
            (true, _) => Some(StatusCode::UNAUTHORIZED),
            (false, "traefik-annotations") => None,
            (false, _) => Some(StatusCode::NOT_FOUND),
        };
        for path in host.protected {
            if let Some(expected) = expected {
                asked.is_protected(path, expected)?;
            }
        }
        assert_eq!(
            is_printed,
            host.open_in(to).is_some(),
            "{to}: {}",
            host.name
        );
        for path in host.open_in(to).unwrap_or_default() {
            let status = asked.status(path)?;
            ensure!(
                status == StatusCode::OK,
                "{}{path} was open: {status}",
                host.name
            );
        }
    }
    Ok(())
}

/// A host of a site, asked without a session.
struct Asked<'s> {
    site: &'s Site,
    host: String,
    client: &'s Client,
}

impl Asked<'_> {
    fn status(&self, path: &str) -> Result<StatusCode> {
        let port = self.site.ports().web;
        let host = &self.host;
        // A name that no resolver has is said in the request alone.
        let url = Url::parse(&format!("http://127.0.0.1:{port}{path}"))?;
        let request = self.client.fetch(Method::GET, &url);
        let request = request.header("Host", format!("{host}:{port}"));
        Ok(request.send()?.status())
    }

    fn until_status(&self, path: &str, expected: StatusCode) -> Result<()> {
        let limit = Duration::from_secs(60);
        until("the proxy to have the route", limit, || {
            let status = self.status(path);
            let is_ready = status.is_ok_and(|it| it == expected);
            Ok(is_ready.then_some(()))
        })
        .with_context(|| format!("{}{path}", self.host))
    }

    fn is_protected(&self, path: &str, expected: StatusCode) -> Result<()> {
        let seen = self.site.wiki().len();
        let status = self.status(path)?;
        let host = &self.host;
        ensure!(status == expected, "{host}{path} was protected: {status}");
        let now = self.site.wiki().len();
        assert_eq!(now, seen, "the application got {host}{path}");
        Ok(())
    }
}
