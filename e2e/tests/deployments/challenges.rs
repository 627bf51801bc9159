//! Programs that send no password before they are asked for one: git and curl, through real proxies.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::doubles::folder::ServedFolder;
use gatepost_e2e::proxies::{Envoy, Haproxy, service};
use gatepost_e2e::{Answer, Client, Site};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{caddy, checks, forward_auth, nginx, route};

/// A client of the provider.
const ROBOT: (&str, &str) = ("robot", "r0b:t & co");

fn site() -> Result<Site> {
    checks::site("deploy/outpost/single.yaml")
        .applications(&json!({
            "machines": ["basic"],
            "machineTokens": {
                "audience": ["https://wiki.example.com"],
                "parameters": { "resource": "https://wiki.example.com" },
            },
        }))
        .provider(&json!({
            "resources": ["https://wiki.example.com"],
            "programs": { ROBOT.0: { "secret": ROBOT.1, "groups": ["staff"] } },
        }))
        .start()
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn route() -> Result<()> {
    let site = site()?;
    let repository = repository(site.folder())?;
    let settings = json!({ "public": checks::PUBLIC, "machines": "basic" });
    let _traefik = route::handing_on(&site, &settings, &["Authorization"], &served(&repository))?;
    git_clones(&site)?;
    programs_are_asked(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn forward_auth() -> Result<()> {
    let site = site()?;
    let repository = repository(site.folder())?;
    let _traefik = forward_auth::handing_on(&site, &["Authorization"], &served(&repository))?;
    git_clones(&site)?;
    programs_are_asked(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn nginx() -> Result<()> {
    let site = site()?;
    let _nginx = nginx::handing_on(&site, "Authorization")?;
    programs_are_asked(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn caddy() -> Result<()> {
    let site = site()?;
    let _caddy = caddy::for_machines(&site, "")?;
    programs_are_asked(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn envoy() -> Result<()> {
    let site = site()?;
    let _envoy = Envoy::start(&site, "deploy/envoy/single.yaml", &["wiki"])?;
    programs_are_asked(&site)
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn haproxy() -> Result<()> {
    let site = site()?;
    let _haproxy = Haproxy::start(&site, "deploy/haproxy/single.cfg", &["wiki"])?;
    programs_are_asked(&site)
}

/// Makes a repository that a server without any program of git's can serve.
fn repository(folder: &Path) -> Result<ServedFolder> {
    let (work, served) = (folder.join("work"), folder.join("served"));
    fs::create_dir_all(&work)?;
    fs::create_dir_all(&served)?;
    git(&work, &["init", "--quiet"])?;
    fs::write(work.join("page.md"), "from behind the proxy\n")?;
    git(&work, &["add", "page.md"])?;
    git(&work, &["commit", "--quiet", "--message", "Add a page"])?;
    git(
        &served,
        &["clone", "--quiet", "--bare", "../work", "pages.git"],
    )?;
    git(&served.join("pages.git"), &["update-server-info"])?;
    ServedFolder::start(&served)
}

fn served(repository: &ServedFolder) -> Value {
    service("wiki", &repository.url())
}

/// Runs git without the settings and the password store of the user who runs the tests.
fn run_git(folder: &Path, arguments: &[&str]) -> Result<Output> {
    Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_CURL_VERBOSE", "1")
        .envs([
            ("GIT_AUTHOR_NAME", "Tests"),
            ("GIT_AUTHOR_EMAIL", "tests@example.com"),
            ("GIT_COMMITTER_NAME", "Tests"),
            ("GIT_COMMITTER_EMAIL", "tests@example.com"),
        ])
        .output()
        .context("run git")
}

fn git(folder: &Path, arguments: &[&str]) -> Result<String> {
    let output = run_git(folder, arguments)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "git {arguments:?}: {said}");
    Ok(said)
}

/// Checks that git gets a repository with a password that it sends once it is asked.
fn git_clones(site: &Site) -> Result<()> {
    let url = site.url("wiki", "/pages.git")?;
    let clone = |into: &str, password: &str| {
        let helper = format!(
            "credential.helper=!f() {{ echo username={}; echo 'password={password}'; }}; f",
            ROBOT.0
        );
        run_git(site.folder(), &["-c", &helper, "clone", url.as_str(), into])
    };
    let cloned = clone("cloned", ROBOT.1)?;
    let said = String::from_utf8_lossy(&cloned.stderr);
    ensure!(cloned.status.success(), "{said}");
    let page = fs::read_to_string(site.folder().join("cloned/page.md"))?;
    assert_eq!(page, "from behind the proxy\n");
    // The first request had no password.
    assert!(said.contains("HTTP/1.1 401"), "{said}");

    let refused = clone("refused", "guess")?;
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("Authentication failed"), "{said}");
    Ok(())
}

/// Checks what curl and browsers without a session are asked for.
fn programs_are_asked(site: &Site) -> Result<()> {
    let url = site.url("wiki", "/missing")?;
    let curl = |options: &[&str]| -> Result<String> {
        let output = Command::new("curl")
            .args([
                "--disable",
                "--silent",
                "--show-error",
                "--output",
                "/dev/null",
            ])
            .args([
                "--write-out",
                "%{num_connects} %{response_code} %header{www-authenticate}",
            ])
            .args(options)
            .arg(url.as_str())
            .output()?;
        ensure!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8(output.stdout)?)
    };
    let password = format!("{}:{}", ROBOT.0, ROBOT.1);
    let answer = curl(&["--anyauth", "--user", &password])?;
    // The application has no such page, or is one that shows any.
    let code = answer.split(' ').nth(1);
    assert!(matches!(code, Some("404" | "200")), "{answer}");
    let answer = curl(&[])?;
    let challenge = "401 Basic realm=\"wiki\", charset=\"UTF-8\"";
    assert!(answer.contains(challenge), "{answer}");

    let browser = Client::new()?;
    let script = Answer::read(browser.fetch(Method::GET, &url).send()?)?;
    assert_eq!(script.status, StatusCode::UNAUTHORIZED);
    let challenge = script.header("www-authenticate");
    assert_eq!(challenge, Some("Gatepost realm=\"wiki\""));
    let page = browser.open(&url)?;
    assert!(
        page.landed.url.path().starts_with("/interaction/"),
        "{}",
        page.landed.url
    );
    Ok(())
}
