//! Compose files as an engine would read them, without one. The suite `containers` runs them, and
//! [`labels`](crate::labels) their topology as processes.

use std::fs;

use anyhow::{Context as _, Result};
use gatepost_e2e::layout;
use serde_json::Value;

const FILES: [&str; 7] = [
    "docker-compose.yml",
    "deploy/compose/plugin-single.yaml",
    "deploy/compose/plugin-domain.yaml",
    "deploy/compose/forward-auth-single.yaml",
    "deploy/compose/forward-auth-domain.yaml",
    "deploy/compose/tls.yaml",
    "deploy/compose/traefik-user.yaml",
];

fn read(path: &str) -> Result<String> {
    fs::read_to_string(layout::root().join(path)).with_context(|| format!("read {path}"))
}

#[test]
fn files_follow_the_compose_specification() -> Result<()> {
    for path in FILES {
        let file: compose_spec::Compose =
            serde_saphyr::from_str(&read(path)?).with_context(|| format!("parse {path}"))?;
        file.validate_all().context(path)?;
    }
    Ok(())
}

/// What several files say must fit together: the demo's provider, outpost, images and networks.
#[test]
fn parts_of_the_demo_fit_together() -> Result<()> {
    let compose: Value = serde_saphyr::from_str(&read("docker-compose.yml")?)?;
    let outpost: Value = serde_saphyr::from_str(&read("deploy/compose/demo/gatepost.yaml")?)?;
    let provider: Value = serde_json::from_str(&read("testdata/provider/docker-compose.json")?)?;
    let at = |value: &Value, pointer: &str| -> Result<String> {
        let text = value.pointer(pointer).and_then(Value::as_str);
        text.map(str::to_owned).context(pointer.to_owned())
    };

    let url = at(&outpost, "/applications/0/externalUrl")?;
    let callback = at(&provider, "/clients/0/redirect_uris/0")?;
    assert_eq!(callback, format!("{url}/akprox/callback"));
    for (ours, theirs) in [
        ("/providers/0/issuer", "/issuer"),
        ("/providers/0/clientId", "/clients/0/client_id"),
        ("/providers/0/clientSecret", "/clients/0/client_secret"),
    ] {
        assert_eq!(at(&outpost, ours)?, at(&provider, theirs)?, "{ours}");
    }
    let subnet = at(&compose, "/networks/default/ipam/config/0/subnet")?;
    assert_eq!(at(&outpost, "/trustedProxies/0")?, subnet);

    let services = compose.get("services").and_then(Value::as_object);
    let services = services.context("services")?;
    let dockerfile = read("outpost/Dockerfile")?;
    let built = services.values().filter_map(|service| service.get("build"));
    for build in built {
        let stage = format!(" AS {}\n", at(build, "/target")?);
        assert!(dockerfile.contains(&stage), "{stage}");
    }
    let mounts = services
        .values()
        .filter_map(|service| service.get("volumes")?.as_array())
        .flatten()
        .filter_map(Value::as_str)
        .filter(|mount| mount.starts_with("./"));
    for mount in mounts {
        let source = mount.split(':').next().unwrap_or_default();
        assert!(layout::root().join(source).exists(), "{mount}");
    }
    Ok(())
}

#[test]
fn outpost_image_runs_unprivileged_and_has_a_health_check() -> Result<()> {
    let dockerfile = read("outpost/Dockerfile")?;
    let (_, stage) = dockerfile
        .rsplit_once("\nFROM ")
        .context("the last stage")?;
    assert!(stage.contains(" AS outpost\n"), "{stage}");
    assert!(stage.starts_with("scratch AS"), "{stage}");
    assert!(!stage.contains("\nVOLUME"), "{stage}");
    assert!(stage.contains("\nUSER 65532:65532\n"), "{stage}");
    assert!(
        stage.contains(r#"CMD ["gatepost", "healthcheck"]"#),
        "{stage}"
    );
    Ok(())
}
