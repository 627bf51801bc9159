//! The labels that `gatepost export compose` prints, for an application that speaks TLS with a certificate of
//! a private authority.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use gatepost_e2e::containers::Engine;
use gatepost_e2e::{built, write_certificates};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::labels::{Setting, page};
use crate::{Test, visit};

pub(crate) const TESTS: &[Test] = &[Test {
    name: "exported::an_https_upstream_is_reached_once_its_authority_is_named",
    run: an_https_upstream_is_reached_once_its_authority_is_named,
}];

const CONFIGURATION: &str = "
keys: ['k:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=']
providers: [{ name: main, issuer: 'http://id.example.localhost', clientId: gatepost }]
applications:
  - { name: wiki, externalUrl: 'http://wiki.example.localhost', upstream: 'https://wiki:8443' }
stateDir: /var/lib/gatepost-state
traefik: { outpostUrl: 'http://outpost:9000', plugin: gatepost, pluginStateDir: /gatepost }
";

/// An application as `whoami` is, and by TLS alone.
const APP: &str = "
const { readFileSync } = require('fs');
const cert = readFileSync('/tls/site.pem'), key = readFileSync('/tls/site.key');
require('https').createServer({ cert, key }, (request, answer) => {
    const headers = {};
    for (const [name, value] of Object.entries(request.headers)) headers[name] = [value];
    answer.end(JSON.stringify({ headers }));
}).listen(8443);
";

fn an_https_upstream_is_reached_once_its_authority_is_named(engine: &Engine) -> Result<()> {
    let folder = engine.folder("exported")?;
    write_certificates(&folder, &[("site", &["wiki"])])?;
    let (labels, advice) = export(&folder)?;
    let transports = advice
        .find("http:")
        .and_then(|at| advice.get(at..))
        .with_context(|| format!("no file for Traefik: {advice}"))?;
    let dynamic = folder.join("dynamic");
    fs::create_dir_all(&dynamic)?;
    let file = dynamic.join("transports.yaml");
    fs::write(&file, transports)?;

    let setting = Setting {
        edit: Some(without_labels),
        over: Some(labels),
        further: json!({ "services": {
            "traefik": { "volumes": [
                format!("{}:/dynamic:ro", dynamic.display()),
                format!("{}:/tls:ro", folder.display()),
            ] },
            "wiki": {
                "image": "node:22-bookworm-slim",
                "command": ["node", "-e", APP],
                "volumes": [format!("{}:/tls:ro", folder.display())],
            },
        } }),
        ..Setting::of("plugin-single", "single")
    };
    let _running = setting.up(engine)?;
    // As printed, Traefik asks for a certificate that it can verify.
    let client = gatepost_e2e::Client::new()?;
    let journey = client.sign_in(&page("wiki")?, &gatepost_e2e::users::ALICE)?;
    let status = journey.landed.status;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{journey}");

    // With the authority, as the advice says.
    let mut value: Value = serde_saphyr::from_str(transports)?;
    let own = value.pointer_mut("/http/serversTransports/gatepost-wiki");
    own.context("a transport")?["rootCAs"] = json!(["/tls/authority.pem"]);
    fs::write(&file, value.to_string())?;
    gatepost_e2e::until("the application to be reached", visit::LIMIT, || {
        let answer = client.fetch(Method::GET, &page("wiki")?).send()?;
        Ok((answer.status() == StatusCode::OK).then_some(()))
    })?;
    visit::sees_alice(&client, &page("wiki")?)?;
    assert_eq!(visit::status(&page("wiki")?)?, StatusCode::UNAUTHORIZED);
    Ok(())
}

/// Returns what the export prints, and what it says besides.
fn export(folder: &Path) -> Result<(String, String)> {
    let config = folder.join("export.yaml");
    fs::write(&config, CONFIGURATION)?;
    let output = Command::new(built::static_outpost()?)
        .args(["export", "compose", "--config"])
        .arg(&config)
        .output()?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (labels, advice) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "{advice}");
    Ok((labels, advice))
}

/// Leaves the labels of a compose file to the export, and has Traefik read files too.
fn without_labels(mut compose: Value) -> Value {
    for service in ["outpost", "wiki"] {
        if let Some(service) = compose["services"][service].as_object_mut() {
            service.remove("labels");
        }
    }
    if let Some(command) = compose["services"]["traefik"]["command"].as_array_mut() {
        command.push(json!("--providers.file.directory=/dynamic"));
    }
    compose
}
