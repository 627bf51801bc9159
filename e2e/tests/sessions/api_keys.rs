//! API keys in Redis, which several outposts share.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::{ApplicationSpec, built, pass, until};
use reqwest::StatusCode;
use serde_json::json;

use crate::PATIENCE;
use crate::replicas::{self, Replicas};

/// How soon every replica has to refuse a revoked key.
const SOON: Duration = Duration::from_secs(3);

/// What creates a key that lets its client in.
const CREATE: &str = "create --subject ci --groups staff --application app --expires 1h";

#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn a_revoked_key_is_refused_by_every_replica_and_none_is_accepted_without_redis() -> Result<()> {
    let session = json!({ "window": "8s", "renewAfter": "2s", "refreshAfter": "1s" });
    let application = ApplicationSpec::new("app").set("machines", &json!(["apiKey"]));
    let mut replicas = replicas::start_with(&session, application)?;
    let key = gatepost(&replicas, CREATE)?;
    let key = key.trim();
    let id = key.get(3..15).context("a key")?;
    every_call(&replicas, key, StatusCode::OK)?;

    replicas.redis.stop();
    every_call(&replicas, key, StatusCode::SERVICE_UNAVAILABLE)?;
    replicas.redis.start_again()?;
    until("both outposts to reach Redis again", PATIENCE, || {
        Ok(every_call(&replicas, key, StatusCode::OK).ok())
    })?;

    // Nothing of the key is in Redis in the clear.
    let stored = replicas
        .redis
        .ask(&format!("HGETALL gatepost:apikey:{id}"))?;
    ensure!(!stored.is_empty(), "the key is stored elsewhere");
    let secret = key.get(15..47).context("a key")?;
    ensure!(
        !stored.contains(secret) && !stored.contains("ci"),
        "{stored}"
    );

    // The command names a key that it could not print, so that it can be revoked.
    let full = std::fs::File::options().write(true).open("/dev/full")?;
    let lost = command(&replicas, CREATE)?.stdout(full).output()?;
    let said = String::from_utf8_lossy(&lost.stderr).into_owned();
    ensure!(!lost.status.success(), "{said}");
    let (_, lost) = said.split_once("key revoke --id ").context("an id")?;
    let said = gatepost(&replicas, &format!("revoke --id {}", lost.trim()))?;
    ensure!(said.contains("1 keys revoked"), "{said}");

    let own = format!("gatepost:apikey:{id}");
    replicas.redis.ask(&format!("COPY {own} before"))?;
    let said = gatepost(&replicas, "revoke --subject ci")?;
    ensure!(said.contains("1 keys revoked"), "{said}");
    let revoked = Instant::now();
    until("every replica to refuse the key", SOON, || {
        Ok(every_call(&replicas, key, StatusCode::UNAUTHORIZED).ok())
    })?;
    ensure!(revoked.elapsed() < SOON, "{:?}", revoked.elapsed());

    // As after a failover that lost the last writes, also those to the list of revocations.
    for command in [
        format!("RENAME before {own}"),
        format!("ZADD gatepost:apikeys 4000000000 {id}"),
        "DEL gatepost:revoked".to_owned(),
    ] {
        replicas.redis.ask(&command)?;
    }
    let again = replicas.redis.ask(&format!("EXISTS {own}"))?;
    ensure!(again.contains('1'), "{again}");
    // For longer than a refused key is refused without asking.
    pass(Duration::from_secs(11));
    every_call(&replicas, key, StatusCode::UNAUTHORIZED)?;
    let listed = gatepost(&replicas, "list")?;
    ensure!(listed.contains("0 keys"), "{listed}");
    until("an outpost to write the revocation again", SOON, || {
        let list = replicas.redis.ask("ZRANGE gatepost:revoked 0 -1")?;
        Ok(list.contains(id).then_some(()))
    })?;
    Ok(())
}

/// What an operator does against a leak must not wait for memory.
#[test]
#[ignore = "needs Traefik and an OpenID provider: cargo xtask test"]
fn keys_are_revoked_in_a_full_redis() -> Result<()> {
    let session = json!({ "window": "8s", "renewAfter": "2s", "refreshAfter": "1s" });
    let application = ApplicationSpec::new("app").set("machines", &json!(["apiKey"]));
    let replicas = replicas::start_with(&session, application)?;
    let key = gatepost(&replicas, CREATE)?;
    let other = gatepost(&replicas, CREATE)?;
    let (key, other) = (key.trim(), other.trim());
    every_call(&replicas, key, StatusCode::OK)?;
    replicas.redis.ask("CONFIG SET maxmemory 1")?;

    // A full Redis checks keys, and creates none: the command fails, and says why.
    every_call(&replicas, key, StatusCode::OK)?;
    let created = command(&replicas, CREATE)?.output()?;
    let said = String::from_utf8_lossy(&created.stderr).into_owned();
    ensure!(!created.status.success(), "{said}");
    ensure!(created.stdout.is_empty(), "it prints a key");
    ensure!(said.contains("OOM"), "{said}");

    let id = key.get(3..15).context("a key")?;
    let said = gatepost(&replicas, &format!("revoke --id {id}"))?;
    ensure!(said.contains("1 keys revoked"), "{said}");
    until("every replica to refuse the key", SOON, || {
        Ok(every_call(&replicas, key, StatusCode::UNAUTHORIZED).ok())
    })?;
    every_call(&replicas, other, StatusCode::OK)?;
    let said = gatepost(&replicas, "revoke --all")?;
    ensure!(said.contains("1 keys revoked"), "{said}");
    until("every replica to refuse the other", SOON, || {
        Ok(every_call(&replicas, other, StatusCode::UNAUTHORIZED).ok())
    })?;
    ensure!(gatepost(&replicas, "list")?.contains("0 keys"));
    Ok(())
}

/// Checks that both outposts answer so about a call with a key.
fn every_call(replicas: &Replicas, key: &str, expected: StatusCode) -> Result<()> {
    for outpost in [replicas.stack.outpost_url(), &replicas.second_url] {
        let answer = replicas.ask(outpost, "Authorization", &format!("Bearer {key}"))?;
        ensure!(
            answer.status == expected,
            "{outpost}: {} {}",
            answer.status,
            answer.body
        );
    }
    Ok(())
}

/// Runs `gatepost key` at the first outpost, and returns its standard output.
fn gatepost(replicas: &Replicas, arguments: &str) -> Result<String> {
    let output = command(replicas, arguments)?.output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{said}");
    Ok(String::from_utf8(output.stdout)?)
}

fn command(replicas: &Replicas, arguments: &str) -> Result<Command> {
    let mut command = built::gatepost()?;
    command.arg("key").args(arguments.split(' '));
    let config = replicas.stack.folder().join("gatepost.yaml");
    command.arg("--config").arg(config);
    Ok(command)
}
