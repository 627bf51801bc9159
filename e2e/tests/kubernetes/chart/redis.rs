//! The chart's store: a Redis whose certificate is of a private authority.

use std::fs;

use anyhow::{Context as _, Result};
use gatepost_e2e::cluster::Cluster;
use gatepost_e2e::tools::{Packaged, Tool as _};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Redis, Stack, write_certificates};
use serde_json::{Value, json};

use super::{configuration, example, rendered};
use crate::Test;
use crate::suite::LeftOut;

pub(crate) const TESTS: &[Test] = &[Test {
    name: "chart::redis::with_a_certificate_of_a_private_authority",
    run: with_tls,
}];

/// The outpost finds URL and certificate where the chart mounts the Secrets.
fn with_tls(cluster: &Cluster) -> Result<()> {
    Packaged::Redis
        .locate()
        .map_err(|error| LeftOut(format!("{error:#}")))?;
    let settings = [
        "store.redis.url=",
        "store.redis.existingSecret=gatepost-redis",
        "store.redis.caSecret=redis-ca",
    ];
    let objects = rendered(cluster, &example("plugin"), &settings)?;
    let folder = tempfile::tempdir()?;
    write_certificates(folder.path(), &[("redis", &["127.0.0.1"])])?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (redis, url) = Redis::start_with_tls(folder.path(), false)?;
    let deployment = objects.iter().find(|it| it["kind"] == "Deployment");
    let pod = &deployment.context("a Deployment")?["spec"]["template"]["spec"];
    // Lays out each Secret as the kubelet does, under another root.
    for (secret, key, content) in [
        ("gatepost-redis", "url", url),
        (
            "redis-ca",
            "ca.crt",
            fs::read_to_string(file("authority.pem"))?,
        ),
    ] {
        let of = |list: &Value, pointer: &str, value: &str| -> Option<Value> {
            let mut all = list.as_array()?.iter();
            let found = all.find(|it| it.pointer(pointer) == Some(&json!(value)));
            found.cloned()
        };
        let volume = of(&pod["volumes"], "/secret/secretName", secret);
        let volume = volume.with_context(|| format!("no volume of {secret}"))?;
        let name = volume["name"].as_str().context("a name")?;
        let mount = of(&pod["containers"][0]["volumeMounts"], "/name", name);
        let mount = mount.with_context(|| format!("{name} is not mounted"))?;
        let at = mount["mountPath"].as_str().context("a path")?;
        let at = folder.path().join(at.trim_start_matches('/'));
        fs::create_dir_all(&at)?;
        fs::write(at.join(key), content)?;
    }
    let mut store = configuration(&objects)?["store"].take();
    for key in ["urlFile", "caFile"] {
        let path = store[key].as_str().context(key)?;
        store[key] = json!(file(path.trim_start_matches('/')));
    }
    store["path"] = Value::Null;
    let stack = Stack::builder()
        .outpost(&json!({ "store": store }))
        .start()?;
    Client::new()?.sign_in(&stack.app().url("/"), &ALICE)?;
    let keys = redis.ask("KEYS *")?;
    assert!(keys.contains("session:"), "{keys}");
    Ok(())
}
