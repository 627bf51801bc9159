//! Redis, and several outposts on it.

use std::fs;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::tools::{Packaged, Tool as _};
use gatepost_e2e::users::ALICE;
use gatepost_e2e::{Client, Process, Redis, Site, Stack, pass, ports, until, write_certificates};
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{PATIENCE, visited};

fn settings(url: &str) -> serde_json::Value {
    json!({
        "session": { "window": "8s", "renewAfter": "2s", "refreshAfter": "1s" },
        "store": { "kind": "redis", "path": null, "url": url },
    })
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn signed_in_users_do_not_notice_that_redis_restarts() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut redis = Redis::start(folder.path(), &[])?;
    let stack = Stack::builder().outpost(&settings(&redis.url())).start()?;
    let page = stack.app().url("/");
    let alice = Client::new()?;
    alice.sign_in(&page, &ALICE)?;
    redis.stop();
    let status = alice.fetch(Method::GET, &page).send()?.status();
    assert_eq!(status, StatusCode::OK, "the window is open");
    let answer = Client::new()?.open(&page)?;
    assert!(!answer.landed.body.contains("stack"), "{answer}");
    redis.start_again()?;
    pass(Duration::from_secs(9));
    let journey = until("the store to be back", PATIENCE, || {
        let journey = alice.open(&page)?;
        Ok((journey.landed.status == StatusCode::OK).then_some(journey))
    })?;
    assert!(!visited(&journey, &stack), "the session is kept: {journey}");
    Ok(())
}

/// A renewal is due with every page, the store is away, and the window is open for long.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_renewal_that_redis_hinders_is_put_off() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut redis = Redis::start(folder.path(), &[])?;
    let mut settings = settings(&redis.url());
    settings["session"] = json!({ "window": "10m", "renewAfter": "2s", "refreshAfter": "1s" });
    let stack = Stack::builder().outpost(&settings).start()?;
    let page = stack.app().url("/x");
    let alice = Client::new()?;
    alice.sign_in(&page, &ALICE)?;
    pass(Duration::from_secs(3));
    redis.stop();
    let journey = alice.open(&page)?;
    assert!(journey.passed("/akprox/start"), "{journey}");
    assert_eq!(journey.landed.url, page, "{journey}");
    assert_eq!(journey.landed.status, StatusCode::OK, "{journey}");
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn keys_expire_and_reveal_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let redis = Redis::start(
        folder.path(),
        &["--user", "gate", "on", ">open", "~gatepost:*", "+@all"],
    )?;
    let url = format!("redis://gate:open@127.0.0.1:{}", redis.port());
    let stack = Stack::builder().outpost(&settings(&url)).start()?;
    let page = stack.app().url("/");
    Client::new()?.sign_in(&page, &ALICE)?;
    let keys = redis.ask("KEYS *")?;
    assert!(keys.contains("gatepost:session:"), "{keys}");
    assert!(!keys.contains("alice"), "{keys}");
    for key in keys.lines().filter(|line| line.contains(":session:")) {
        let left = redis.ask(&format!("TTL {}", key.trim()))?;
        let left: i64 = left.trim().trim_start_matches(':').parse()?;
        assert!((1..=86_400).contains(&left), "{key}: {left} s");
    }
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn sessions_outlive_a_failover_by_sentinel() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut first = Redis::start(folder.path(), &[])?;
    let of_first = first.port().to_string();
    let second = Redis::start(folder.path(), &["--replicaof", "127.0.0.1", &of_first])?;
    until("the replica to follow", PATIENCE, || {
        Ok(first
            .ask("ROLE")?
            .contains(&second.port().to_string())
            .then_some(()))
    })?;
    let port = ports::free()?;
    let settings = folder.path().join("sentinel.conf");
    fs::write(
        &settings,
        format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {of_first} 1\n\
             sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n"
        ),
    )?;
    let mut command = Command::new(Packaged::Redis.locate()?);
    command.arg(&settings).arg("--sentinel");
    let mut sentinel = Process::spawn("sentinel", &command, &folder.path().join("log"))?;
    sentinel.ready(PATIENCE, || TcpStream::connect(("127.0.0.1", port)).is_ok())?;

    let url = format!("redis-sentinel://127.0.0.1:{port}/0?service=main");
    let stack = Stack::builder().outpost(&self::settings(&url)).start()?;
    let page = stack.app().url("/");
    let alice = Client::new()?;
    alice.sign_in(&page, &ALICE)?;
    first.stop();
    pass(Duration::from_secs(9));
    let journey = until("the failover", PATIENCE, || {
        let journey = alice.open(&page)?;
        Ok((journey.landed.status == StatusCode::OK).then_some(journey))
    })?;
    assert!(!visited(&journey, &stack), "the session is kept: {journey}");
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_cluster_keeps_finds_and_ends_sessions() -> Result<()> {
    let folder = tempfile::tempdir()?;
    // A node also takes the port 10,000 above its own, which any connection may have at the moment.
    let node = || Redis::start(folder.path(), &["--cluster-enabled", "yes"]);
    let nodes: Vec<Redis> = (0..3)
        .map(|_| node().or_else(|_| node()).or_else(|_| node()))
        .collect::<Result<_>>()?;
    let addresses: Vec<String> = nodes
        .iter()
        .map(|node| format!("127.0.0.1:{}", node.port()))
        .collect();
    let made = Command::new("redis-cli")
        .args(["--cluster", "create"])
        .args(&addresses)
        .arg("--cluster-yes")
        .output()?;
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stdout)
    );
    let url = format!("redis-cluster://{}", addresses.join(","));
    let stack = Stack::builder().outpost(&settings(&url)).start()?;
    let page = stack.app().url("/");
    let people: Vec<Client> = (0..4).map(|_| Client::new()).collect::<Result<_>>()?;
    for person in &people {
        person.sign_in(&page, &ALICE)?;
    }
    pass(Duration::from_secs(9));
    for person in &people {
        let journey = person.open(&page)?;
        assert!(!visited(&journey, &stack), "the session is kept: {journey}");
        person.open(&stack.app().url("/akprox/sign_out"))?;
        let status = person.fetch(Method::GET, &page).send()?.status();
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    Ok(())
}

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn redis_over_tls_knows_the_outpost_by_its_certificate() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let certificates: [(_, &[_]); 2] = [("redis", &["127.0.0.1"]), ("outpost", &["outpost"])];
    write_certificates(folder.path(), &certificates)?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (redis, url) = Redis::start_with_tls(folder.path(), true)?;
    // The address may contain a password, so it has a file.
    fs::write(file("url"), url + "\n")?;
    let stack = Stack::builder()
        .outpost(&json!({
            "store": {
                "kind": "redis", "path": null, "urlFile": file("url"), "caFile": file("authority.pem"),
                "clientCertificateFile": file("outpost.pem"), "clientKeyFile": file("outpost.key"),
            },
        }))
        .start()?;
    Client::new()?.sign_in(&stack.app().url("/"), &ALICE)?;
    let keys = redis.ask("KEYS *")?;
    assert!(keys.contains("gatepost:session:"), "{keys}");
    Ok(())
}

/// Part C: a Redis that drops keys when its memory is full drops sessions and revocations.
#[test]
#[ignore = "needs Redis and an OpenID provider: cargo xtask test"]
fn a_redis_that_may_drop_keys_is_pointed_out() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let site = Site::builder("deploy/outpost/single.yaml").start()?;
    for (policy, user, expected) in [
        ("allkeys-lru", "+@all", true),
        ("volatile-ttl", "+@all", true),
        ("noeviction", "+@all", false),
        // Without the right to ask, the outpost does not learn the policy, which is not an error.
        ("allkeys-lru", "-info", false),
    ] {
        let mut arguments = vec!["--maxmemory-policy", policy];
        arguments.extend([
            "--user",
            "gate",
            "on",
            ">open",
            "~gatepost:*",
            "+@all",
            user,
        ]);
        let redis = Redis::start(folder.path(), &arguments)?;
        let url = format!("redis://gate:open@127.0.0.1:{}", redis.port());
        site.outpost().stop();
        site.change_outpost(|config| {
            config["store"] = json!({ "kind": "redis", "url": url });
            Ok(())
        })?;
        site.outpost().start()?;
        let advice = format!("maxmemory-policy {policy}");
        let (checked, well) = site.gatepost(&["check"])?;
        assert_eq!(checked.contains(&advice), expected, "{policy}: {checked}");
        assert!(well, "{policy}: {checked}");
        let log = site.outpost().output();
        assert_eq!(log.contains(&advice), expected, "{policy}: {log}");
    }
    Ok(())
}

/// Part C: replicas do not come to Redis in the order of their clocks.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn no_renewal_puts_the_end_of_a_window_back() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let redis = Redis::start(folder.path(), &[])?;
    let stack = Stack::builder().outpost(&settings(&redis.url())).start()?;
    let alice = Client::new()?;
    alice.sign_in(&stack.app().url("/"), &ALICE)?;
    let keys = redis.ask("KEYS gatepost:session:*")?;
    let key = keys.lines().find(|line| line.contains(":session:"));
    let key = key.context("a session")?.trim().to_owned();
    // By a replica whose clock is ahead, or whose windows are longer.
    let later = "4000000000";
    redis.ask(&format!("HSET {key} open {later} seen {later}"))?;
    pass(Duration::from_secs(3));
    let journey = alice.open(&stack.app().url("/again"))?;
    assert!(journey.passed("/akprox/start"), "{journey}");
    for field in ["open", "seen"] {
        let kept = redis.ask(&format!("HGET {key} {field}"))?;
        assert!(kept.contains(later), "{field}: {kept}");
    }
    Ok(())
}
