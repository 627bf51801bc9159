//! Listeners of a Gateway: a host with TLS is at the one for https alone.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::{Client, ports, until, write_certificates};
use reqwest::{Method, Url};
use serde_json::json;

use super::printed;
use crate::ingresses::{applications, ingress, list_of};
use crate::served::{PLUGIN, gateway, objects_of, serve_with};
use crate::{Test, checks};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "imported::listeners::a_host_with_tls_is_at_its_listener_alone",
    run: at_its_listener,
}];

const SECURE: &str = "secure.example.localhost";
const PLAIN: &str = "plain.example.localhost";

fn at_its_listener(cluster: &Cluster) -> Result<()> {
    let auth = [("auth-url", "http://oauth2-proxy.auth.svc:4180/oauth2/auth")];
    let mut secure = ingress("secure", SECURE, ("/", "Prefix"), &auth);
    secure["spec"]["tls"] = json!([{ "hosts": [SECURE], "secretName": "secure" }]);
    let before = [secure, ingress("plain", PLAIN, ("/", "Prefix"), &auth)];
    let to = ["--to", "gateway", "--gateway", "traefik/web/websecure"];
    let text = printed(&to, &list_of(&before))?;
    let site = checks::site("deploy/outpost/single.yaml")
        .further_applications(applications(&text)?)
        .start()?;
    let port = ports::free()?;
    let mut objects = objects_of(&text)?;
    objects.extend(gateway()?);
    for object in objects.iter_mut().filter(|it| it["kind"] == "Gateway") {
        let mut listener = object["spec"]["listeners"][0].clone();
        listener["name"] = json!("websecure");
        listener["port"] = json!(port);
        listener["protocol"] = json!("HTTPS");
        listener["tls"] = json!({ "certificateRefs": [{ "name": "secure" }] });
        let listeners = object["spec"]["listeners"].as_array_mut();
        listeners.expect("listeners").push(listener);
    }
    write_certificates(site.folder(), &[("secure", &[SECURE])])?;
    let read = |file: &str| fs::read_to_string(site.folder().join(file));
    objects.push(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": { "name": "secure", "namespace": "traefik" },
        "stringData": { "tls.crt": read("secure.pem")?, "tls.key": read("secure.key")? },
    }));
    let entry =
        json!({ "entryPoints": { "websecure": { "address": format!("127.0.0.1:{port}") } } });
    let further = ["kubernetesGateway"];
    let _running = serve_with(cluster, &site, (PLUGIN, &entry), &further, objects, &[])?;

    let client = Client::new()?;
    let status = |scheme: &str, host: &str| -> Result<u16> {
        let port = if scheme == "https" {
            port
        } else {
            site.ports().web
        };
        let url: Url = format!("{scheme}://{host}:{port}/").parse()?;
        Ok(client.fetch(Method::GET, &url).send()?.status().as_u16())
    };
    for (scheme, host) in [("https", SECURE), ("http", PLAIN)] {
        until(host, Duration::from_secs(60), || {
            let status = status(scheme, host);
            Ok(status.is_ok_and(|it| it == 401).then_some(()))
        })?;
    }
    assert_eq!(status("http", SECURE)?, 404, "nginx redirects there");
    ensure!(site.wiki().is_empty(), "the application was asked");
    Ok(())
}
