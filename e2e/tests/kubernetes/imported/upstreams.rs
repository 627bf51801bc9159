//! Services with TLS (`backend-protocol: HTTPS`, `proxy-ssl-…`): nginx and Traefik reach those whose
//! certificate is the right one, and no other.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::doubles::kube_api::app_service;
use gatepost_e2e::proxies::Nginx;
use gatepost_e2e::{Client, Site, until, write_certificates};
use reqwest::{Method, Url};
use serde_json::{Value, json};

use super::printed;
use crate::ingress_nginx;
use crate::ingresses::{AUTH, Annotation, applications, ingress, list_of};
use crate::served::{PLUGIN, objects_of, serve};
use crate::{Test, checks};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "imported::upstreams::only_the_right_certificate_is_trusted",
    run: certificates,
}];

const LIMIT: Duration = Duration::from_secs(90);

const HTTPS: Annotation = ("backend-protocol", "HTTPS");
const VERIFY: Annotation = ("proxy-ssl-verify", "on");
const NAME: Annotation = ("proxy-ssl-name", "upstream.example");

/// Hosts, what they say of the Service, and whether it is reached. First those that do not reach it: nginx
/// asks for no certificate where it has a connection of another host.
const HOSTS: [(&str, &[Annotation], bool); 5] = [
    (
        "other-authority.example.localhost",
        &[HTTPS, VERIFY, NAME, ("proxy-ssl-secret", "default/wrong")],
        false,
    ),
    (
        "other-name.example.localhost",
        &[
            HTTPS,
            VERIFY,
            ("proxy-ssl-name", "other.example"),
            ("proxy-ssl-secret", "default/right"),
        ],
        false,
    ),
    (
        "right.example.localhost",
        &[HTTPS, VERIFY, NAME, ("proxy-ssl-secret", "default/right")],
        true,
    ),
    // nginx verifies nothing without a Secret.
    ("no-secret.example.localhost", &[HTTPS, VERIFY, NAME], true),
    ("unverified.example.localhost", &[HTTPS], true),
];

fn certificates(cluster: &Cluster) -> Result<()> {
    ingress_nginx::needs_the_controller()?;
    let mut before: Vec<Value> = Vec::new();
    for (host, annotations, _) in HOSTS {
        let name = host.split('.').next().unwrap_or_default();
        let of_all = [&[AUTH], annotations].concat();
        before.push(ingress(name, host, ("/", "Prefix"), &of_all));
        let open = format!("{name}-open");
        before.push(ingress(&open, host, ("/open", "Prefix"), annotations));
    }
    for ingress in &mut before {
        let path = &mut ingress["spec"]["rules"][0]["http"]["paths"][0];
        path["backend"]["service"]["port"] = json!({ "number": 443 });
    }

    let site = checks::site("deploy/outpost/domain.yaml").start()?;
    let (secrets, _wiki) = upstream(&site)?;
    let objects = [&before[..], &secrets].concat();
    let nginx = ingress_nginx::serve(cluster, &site, objects, site.ports().web, &[])?;
    reached(&site)?;
    drop(nginx);

    let text = printed(&["--to", "crds"], &list_of(&before))?;
    let site = checks::site("deploy/outpost/single.yaml")
        .further_applications(applications(&text)?)
        .start()?;
    let (secrets, _wiki) = upstream(&site)?;
    let objects = [&objects_of(&text)?[..], &secrets].concat();
    let _running = serve(cluster, &site, PLUGIN, &[], objects, &[])?;
    reached(&site)
}

/// The application's Service with a certificate, and Secrets with its authority and another one.
fn upstream(site: &Site) -> Result<(Vec<Value>, gatepost_e2e::Service)> {
    let mut objects = Vec::new();
    for name in ["right", "wrong"] {
        let folder = site.folder().join(name);
        fs::create_dir(&folder)?;
        write_certificates(&folder, &[("upstream", &["upstream.example"])])?;
        let text = |file: &str| fs::read_to_string(folder.join(file));
        objects.push(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": name, "namespace": "default" },
            "stringData": {
                "ca.crt": text("authority.pem")?,
                "tls.crt": text("upstream.pem")?,
                "tls.key": text("upstream.key")?,
            },
        }));
    }
    let mut service = app_service("wiki");
    service["spec"]["ports"] = json!([{ "name": "https", "port": 443 }]);
    objects.push(service);
    let right = site.folder().join("right");
    let (certificate, key) = (right.join("upstream.pem"), right.join("upstream.key"));
    Ok((objects, Nginx::before_wiki(site, &certificate, &key)?))
}

fn reached(site: &Site) -> Result<()> {
    let ask = |host: &str, path: &str| -> Result<u16> {
        let url: Url = format!("http://{host}:{}{path}", site.ports().web).parse()?;
        let answer = Client::new()?.fetch(Method::GET, &url).send()?;
        Ok(answer.status().as_u16())
    };
    for (host, _, is_reached) in HOSTS {
        until(host, LIMIT, || {
            let status = ask(host, "/open");
            let expected = |status: u16| match is_reached {
                true => status == 200,
                false => [500, 502].contains(&status),
            };
            Ok(status.is_ok_and(expected).then_some(()))
        })?;
        let seen = site.wiki().len();
        let status = ask(host, "/private")?;
        ensure!(status != 200, "{host}: {status}");
        ask(host, "/open")?;
        let more = usize::from(is_reached);
        assert_eq!(site.wiki().len(), seen + more, "{host}");
    }
    Ok(())
}
