//! The compose files of `deploy/compose/`, whose labels Traefik reads from the engine's API.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use gatepost_e2e::containers::{Composition, Engine};
use gatepost_e2e::{Client, layout};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use url::Url;

use crate::{Test, visit};

pub(crate) const TESTS: &[Test] = &[
    Test {
        name: "labels::forward_auth_single",
        run: forward_auth_single,
    },
    Test {
        name: "labels::forward_auth_domain",
        run: forward_auth_domain,
    },
    Test {
        name: "labels::plugin_domain",
        run: plugin_domain,
    },
    Test {
        name: "labels::plugin_domain_without_the_outpost",
        run: plugin_domain_without_the_outpost,
    },
    Test {
        name: "labels::containers_come_and_go",
        run: containers_come_and_go,
    },
];

/// The network, whose proxies the outpost trusts.
const SUBNET: &str = "172.31.91.0/24";

/// Our image of the outpost.
const OUTPOST: &str = "localhost/gatepost/outpost";

/// The host of the provider, which the files leave to their users.
const PROVIDER: &str = "id.example.localhost";

fn forward_auth_single(engine: &Engine) -> Result<()> {
    let _running = up(engine, "forward-auth-single", "single")?;
    visit::sign_in(&page("wiki")?).map(drop)
}

fn forward_auth_domain(engine: &Engine) -> Result<()> {
    let _running = up(engine, "forward-auth-domain", "domain")?;
    one_sign_in_is_for_both()
}

fn plugin_domain(engine: &Engine) -> Result<()> {
    let _running = up(engine, "plugin-domain", "domain")?;
    one_sign_in_is_for_both()
}

fn one_sign_in_is_for_both() -> Result<()> {
    visit::until_status(&page("files")?, StatusCode::UNAUTHORIZED)?;
    let alice = visit::sign_in(&page("wiki")?)?;
    visit::sees_alice(&alice, &page("files")?)?;
    alice.open(&page("auth")?.join("/akprox/sign_out")?)?;
    for host in ["wiki", "files"] {
        let status = alice.fetch(Method::GET, &page(host)?).send()?.status();
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{host}");
    }
    Ok(())
}

/// Labels go with their container. The middleware is not the outpost's: who is signed in goes on, and
/// who is not gets a page that says why, at the outpost's own host.
fn plugin_domain_without_the_outpost(engine: &Engine) -> Result<()> {
    let running = up(engine, "plugin-domain", "domain")?;
    let alice = visit::sign_in(&page("wiki")?)?;
    let outpost = running.container("outpost");
    engine.podman(&["stop", &outpost])?;
    let start = page("auth")?.join("/akprox/start?rd=http://wiki.example.localhost/page")?;
    visit::until_status(&start, StatusCode::SERVICE_UNAVAILABLE)?;
    for host in ["wiki", "files"] {
        visit::sees_alice(&alice, &page(host)?)?;
        assert_eq!(visit::status(&page(host)?)?, StatusCode::UNAUTHORIZED);
    }
    let anonymous = Client::new()?;
    let journey = anonymous.open(&page("wiki")?)?;
    let landed = &journey.landed;
    assert_eq!(landed.url.path(), "/akprox/start", "{journey}");
    assert_eq!(landed.status, StatusCode::SERVICE_UNAVAILABLE, "{journey}");
    assert!(landed.body.contains("no outpost is running"), "{journey}");
    assert!(landed.header("retry-after").is_some(), "{journey}");
    let for_proxies = page("auth")?.join("/akprox/auth/traefik")?;
    assert_eq!(visit::status(&for_proxies)?, StatusCode::NOT_FOUND);

    engine.podman(&["start", &outpost])?;
    engine.until_healthy(&outpost)?;
    let session = page("auth")?.join("/akprox/session")?;
    visit::until_status(&session, StatusCode::UNAUTHORIZED)?;
    assert_eq!(visit::status(&for_proxies)?, StatusCode::NOT_FOUND);
    visit::sign_in(&page("files")?).map(drop)
}

/// An application has a route while its container runs and is healthy, and is protected from the
/// first request on. Without the outpost, which decides here, no route is left open.
fn containers_come_and_go(engine: &Engine) -> Result<()> {
    let running = up(engine, "forward-auth-domain", "domain")?;
    let late = page("late")?;
    assert_eq!(visit::status(&late)?, StatusCode::NOT_FOUND);
    let network = format!("--network={}", running.network());
    let labels = [
        "--label=traefik.enable=true",
        "--label=traefik.http.routers.late.rule=Host(`late.example.localhost`)",
        "--label=traefik.http.routers.late.middlewares=gatepost@docker",
        "--label=traefik.http.services.late.loadbalancer.server.port=80",
    ];
    let image = "traefik/whoami:v1.11";
    let run = ["run", "--detach", "--name=late", &network];
    engine.podman(&[&run[..], &labels, &[image]].concat())?;
    visit::until_status(&late, StatusCode::UNAUTHORIZED)?;
    let alice = visit::sign_in(&late)?;
    engine.podman(&["rm", "--force", "--time=1", "late"])?;
    visit::until_status(&late, StatusCode::NOT_FOUND)?;

    // Healthy is what the container says of itself: here, whether a program can be run.
    let check = [
        "--health-cmd=[\"CMD\", \"/whoami\", \"--nonsense\"]",
        "--health-retries=1",
    ];
    engine.podman(&[&run[..], &check, &labels, &[image]].concat())?;
    assert!(engine.ask_health("late").is_err());
    visit::until_status(&page("wiki")?, StatusCode::UNAUTHORIZED)?;
    assert_eq!(visit::status(&late)?, StatusCode::NOT_FOUND, "unhealthy");
    engine.podman(&["rm", "--force", "--time=1", "late"])?;

    let outpost = running.container("outpost");
    engine.podman(&["stop", &outpost])?;
    for host in ["wiki", "files", "auth"] {
        let own = page(host)?.join("/akprox/start")?;
        visit::until_status(&own, StatusCode::INTERNAL_SERVER_ERROR)?;
        let signed_in = alice.fetch(Method::GET, &own).send()?;
        assert_eq!(signed_in.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
    engine.podman(&["start", &outpost])?;
    engine.until_healthy(&outpost)?;
    visit::until_status(&page("wiki")?, StatusCode::UNAUTHORIZED)
}

pub(crate) fn page(host: &str) -> Result<Url> {
    let url = format!("http://{host}.example.localhost/page");
    Url::parse(&url).context(url)
}

/// Puts the images of this source in the place of the published ones.
fn local_images(compose: String) -> String {
    compose
        .replace("ghcr.io/gatepost/", "localhost/")
        .replace(concat!(":", env!("CARGO_PKG_VERSION")), "")
}

/// Starts a file of `deploy/compose/` with our image.
fn up<'e>(engine: &'e Engine, file: &str, outpost: &str) -> Result<Composition<'e>> {
    up_with(engine, OUTPOST, file, outpost)
}

/// Starts a file of `deploy/compose/` with this image of the outpost, with names that lead to this machine,
/// and with what it leaves to its reader: the outpost's folder, here of `deploy/outpost/`, and a provider.
pub(crate) fn up_with<'e>(
    engine: &'e Engine,
    image: &str,
    file: &str,
    outpost: &str,
) -> Result<Composition<'e>> {
    let folder = engine.folder(&format!("compose-{file}"))?;
    let compose = folder.join("compose.yaml");
    let text = local_images(read(&format!("deploy/compose/{file}.yaml"))?);
    fs::write(&compose, text.replace(OUTPOST, image))?;
    let keys = folder.join("gatepost/keys");
    fs::create_dir_all(&keys)?;
    let config = folder.join("gatepost/gatepost.yaml");
    let config_text = read(&format!("deploy/outpost/{outpost}.yaml"))?;
    fs::write(&config, outpost_configuration(&config_text)?.to_string())?;
    let provider = folder.join("provider.json");
    fs::write(&provider, provider_configuration()?.to_string())?;
    let further = folder.join("provider.yaml");
    fs::write(&further, provider_service(&provider).to_string())?;
    // The steps of the page: the key, and who may read it.
    let owner = format!("{}:/keys", keys.display());
    engine.podman(&[
        "run",
        "--rm",
        "--network=none",
        "--user=0",
        &format!("--volume={owner}"),
        image,
        "keygen",
        "--file=/keys/gatepost.keys",
    ])?;
    own(&folder.join("gatepost"))?;
    let running = Composition::up(engine, file, &[&compose, &further])?;
    engine.until_healthy(&running.container("outpost"))?;
    let discovery = format!("http://{PROVIDER}/.well-known/openid-configuration");
    visit::until_status(&Url::parse(&discovery)?, StatusCode::OK)?;
    visit::until_status(&page("wiki")?, StatusCode::UNAUTHORIZED)?;
    let own_host = if outpost == "single" { "wiki" } else { "auth" };
    let session = page(own_host)?.join("/akprox/session")?;
    visit::until_status(&session, StatusCode::UNAUTHORIZED)?;
    engine.until_ready(&running.container("outpost"))?;
    Ok(running)
}

/// Hands the outpost's files to the user of its image.
fn own(folder: &PathBuf) -> Result<()> {
    let status = std::process::Command::new("chown")
        .args(["--recursive", "65532:65532"])
        .arg(folder)
        .status()?;
    assert!(status.success());
    Ok(())
}

fn read(path: &str) -> Result<String> {
    let text = fs::read_to_string(layout::root().join(path)).context(path.to_owned())?;
    Ok(text.replace("example.com", "example.localhost"))
}

fn outpost_configuration(text: &str) -> Result<Value> {
    let mut config: Value = serde_saphyr::from_str(text)?;
    *config.pointer_mut("/listen/http").context("a listener")? = "0.0.0.0:9000".into();
    *config.pointer_mut("/trustedProxies").context("proxies")? = json!([SUBNET]);
    let provider = config.pointer_mut("/providers/0").context("a provider")?;
    for (key, value) in [
        ("issuer", format!("http://{PROVIDER}")),
        ("clientSecret", "demo-client-secret".to_owned()),
    ] {
        *provider.get_mut(key).context("a key")? = value.into();
    }
    // What the comment there says: this provider has a scope for groups.
    let scopes = provider.get_mut("scopes").and_then(Value::as_array_mut);
    scopes.context("scopes")?.push("groups".into());
    Ok(config)
}

fn provider_configuration() -> Result<Value> {
    let file = "testdata/provider/docker-compose.json";
    let mut config: Value = serde_json::from_str(&read(file)?)?;
    let callbacks =
        ["wiki", "auth"].map(|host| format!("http://{host}.example.localhost/akprox/callback"));
    *config.pointer_mut("/issuer").context("an issuer")? = format!("http://{PROVIDER}").into();
    let client = config.pointer_mut("/clients/0").context("a client")?;
    *client.get_mut("redirect_uris").context("addresses")? = json!(callbacks);
    *client
        .get_mut("post_logout_redirect_uris")
        .context("addresses")? = json!(["http://wiki.example.localhost/"]);
    // `read` has fitted their addresses too.
    let email = config.pointer_mut("/users/alice/email");
    *email.context("alice")? = "alice@example.com".into();
    Ok(config)
}

/// The provider as `docker-compose.yml` has it, at a host of its own behind the same Traefik.
fn provider_service(config: &std::path::Path) -> Value {
    let server = layout::root().join("testdata/provider/server.mjs");
    json!({
        "services": {
            "traefik": { "networks": { "default": { "aliases": [PROVIDER] } } },
            "provider": {
                "image": "node:22-bookworm-slim",
                "working_dir": "/provider",
                "command": ["node", "server.mjs"],
                "environment": { "PROVIDER_CONFIG": "/provider.json" },
                "volumes": [
                    format!("{}:/provider/server.mjs:ro", server.display()),
                    format!("{}:/provider.json:ro", config.display()),
                ],
                "labels": {
                    "traefik.enable": "true",
                    "traefik.http.routers.provider.rule": format!("Host(`{PROVIDER}`)"),
                    "traefik.http.services.provider.loadbalancer.server.port": "9100",
                },
            },
        },
        "networks": { "default": { "ipam": { "config": [{ "subnet": SUBNET }] } } },
    })
}
