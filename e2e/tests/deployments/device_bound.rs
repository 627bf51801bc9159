//! Sessions that are bound to devices, in real Chromium, whatever proxy is in front.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use gatepost_e2e::clients::TrustedFront;
use gatepost_e2e::clients::chromium::{self, BoundApplication, DecidedBy};
use gatepost_e2e::proxies::{Caddy, Envoy, Haproxy, Nginx, Traefik};
use gatepost_e2e::{Client, FakeClock, Service, Site, SiteBuilder, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::plugin::middlewares;

/// Six minutes: the shortest window in which sessions are bound.
const WINDOW: u64 = 360;

/// The domain of the cookie, in domain mode.
const DOMAIN: Option<&str> = Some("example.localhost");

/// Whether sessions have to be bound, and so which scenario a browser goes through.
#[derive(Clone, Copy)]
enum How {
    Preferred,
    Required,
    /// By the rule of a proxy, or of the application where the outpost decides.
    AskedByRule,
}

/// TLS in front of a proxy, and a clock for the outpost.
struct Setting {
    how: How,
    front: TrustedFront,
    clock: FakeClock,
    _folder: tempfile::TempDir,
}

impl Setting {
    fn new(how: How) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let clock = FakeClock::create(folder.path())?.at_once();
        // An outpost with a new store signs no cookie of a time before its start, and the clock
        // will be put back.
        clock.jump(-3_600)?;
        Ok(Self {
            how,
            front: TrustedFront::new()?,
            clock,
            _folder: folder,
        })
    }

    /// Returns a site whose applications are reached at this host, over TLS, and bind sessions.
    fn site(&self, outpost_file: &str, host: &str) -> SiteBuilder {
        Site::builder(outpost_file)
            .outpost_clock(&self.clock)
            // The provider has the system's clock, by which the outpost's is wrong.
            .outpost(&json!({ "session": {
                "deviceBound": match self.how {
                    How::Preferred | How::AskedByRule => "prefer",
                    How::Required => "require",
                },
                "window": format!("{WINDOW}s"),
                "refreshAfter": "12h",
            } }))
            .applications(&json!({ "externalUrl": self.front.origin(host) }))
    }

    fn run(
        &self,
        site: &Site,
        label: &str,
        decided_by: DecidedBy,
        cookie_domain: Option<&str>,
    ) -> Result<()> {
        self.clock.jump(0)?;
        // The outpost knows its application by the port of the front alone.
        let ping = site.url(cookie_domain.map_or("wiki", |_| "auth"), "/akprox/ping")?;
        until(
            "the proxy to lead to the outpost",
            Duration::from_secs(60),
            || {
                let answer = Client::new()?.fetch(Method::GET, &ping).send();
                Ok(answer
                    .is_ok_and(|answer| answer.status() == StatusCode::NO_CONTENT)
                    .then_some(()))
            },
        )?;
        let application = BoundApplication {
            label,
            host: "wiki",
            proxy: site.ports().web,
            clock: &self.clock,
            keys: site.keys().path(),
            window: WINDOW,
            decided_by,
            cookie_domain,
        };
        match self.how {
            How::Preferred => chromium::stay_bound(&self.front, &application),
            How::Required => chromium::must_be_bound(&self.front, &application),
            How::AskedByRule => chromium::be_admitted_by_device(&self.front, &application),
        }
    }
}

/// Returns the rule that only bound sessions fulfil, where it is asked.
fn rule(how: How) -> Value {
    match how {
        How::AskedByRule => json!({ "require": { "deviceBound": true } }),
        How::Preferred | How::Required => json!({}),
    }
}

/// Returns these changes of middlewares, and the router that leads a site's own host to the outpost,
/// where browsers ask whether it may bind sessions of the whole site.
fn with_well_known(middlewares: &Value) -> Value {
    json!({ "http": {
        "middlewares": middlewares,
        "routers": { "well-known": {
            "rule": "Host(`example.localhost`) && Path(`/.well-known/device-bound-sessions`)",
            "entryPoints": ["web"],
            "service": "outpost",
        } },
    } })
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn plugin() -> Result<()> {
    behind_plugin(How::Preferred)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn plugin_required() -> Result<()> {
    behind_plugin(How::Required)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn plugin_by_rule() -> Result<()> {
    behind_plugin(How::AskedByRule)
}

fn behind_plugin(how: How) -> Result<()> {
    let setting = Setting::new(how)?;
    let site = setting.site("deploy/outpost/single.yaml", "wiki").start()?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .route_with(
            "deploy/traefik/dynamic/plugin-single.yaml",
            &middlewares(&["wiki-gatepost"], &rule(how)),
        )?
        .start(&["wiki"])?;
    setting.run(&site, "plugin", DecidedBy::Proxy, None)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn plugin_of_a_domain() -> Result<()> {
    behind_plugin_of_a_domain(How::Preferred)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn plugin_of_a_domain_required() -> Result<()> {
    behind_plugin_of_a_domain(How::Required)
}

fn behind_plugin_of_a_domain(how: How) -> Result<()> {
    let setting = Setting::new(how)?;
    let site = setting.site("deploy/outpost/domain.yaml", "auth").start()?;
    let outpost =
        json!({ "plugin": { "gatepost": { "outpostUrl": setting.front.origin("auth") } } });
    let middlewares = json!({ "gatepost": outpost, "gatepost-admins": outpost });
    let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .route_with(
            "deploy/traefik/dynamic/plugin-domain.yaml",
            &with_well_known(&middlewares),
        )?
        .start(&["wiki", "files"])?;
    setting.run(&site, "plugin-domain", DecidedBy::Proxy, DOMAIN)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn multi_layer_routing() -> Result<()> {
    behind_multi_layer_routing(How::Preferred)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn multi_layer_routing_required() -> Result<()> {
    behind_multi_layer_routing(How::Required)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn multi_layer_routing_by_rule() -> Result<()> {
    behind_multi_layer_routing(How::AskedByRule)
}

fn behind_multi_layer_routing(how: How) -> Result<()> {
    let setting = Setting::new(how)?;
    let site = setting.site("deploy/outpost/single.yaml", "wiki");
    let site = site.behind_another_port().start()?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .route_with(
            "deploy/traefik/dynamic/route-single.yaml",
            &middlewares(&["gatepost"], &rule(how)),
        )?
        .start(&["wiki"])?;
    setting.run(&site, "route", DecidedBy::Proxy, None)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn forward_auth() -> Result<()> {
    behind_forward_auth(How::Preferred)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn forward_auth_required() -> Result<()> {
    behind_forward_auth(How::Required)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn forward_auth_by_rule() -> Result<()> {
    behind_forward_auth(How::AskedByRule)
}

fn behind_forward_auth(how: How) -> Result<()> {
    let setting = Setting::new(how)?;
    let site = setting.site("deploy/outpost/single.yaml", "wiki");
    let site = site
        .behind_another_port()
        .applications(&rule(how))
        .start()?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route("deploy/traefik/dynamic/forward-auth-single.yaml")?
        .route("deploy/traefik/dynamic/outpost-single.yaml")?
        .start(&["wiki"])?;
    setting.run(&site, "forward-auth", DecidedBy::Outpost, None)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn forward_auth_of_a_domain() -> Result<()> {
    behind_forward_auth_of_a_domain(How::Preferred)
}

#[test]
#[ignore = "needs Traefik, an OpenID provider and Chromium: cargo xtask test"]
fn forward_auth_of_a_domain_required() -> Result<()> {
    behind_forward_auth_of_a_domain(How::Required)
}

fn behind_forward_auth_of_a_domain(how: How) -> Result<()> {
    let setting = Setting::new(how)?;
    let site = setting.site("deploy/outpost/domain.yaml", "auth");
    let site = site.behind_another_port().start()?;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .route_with(
            "deploy/traefik/dynamic/forward-auth-domain.yaml",
            &with_well_known(&json!({})),
        )?
        .start(&["wiki", "files"])?;
    setting.run(&site, "forward-auth-domain", DecidedBy::Outpost, DOMAIN)
}

#[test]
#[ignore = "needs nginx, an OpenID provider and Chromium: cargo xtask test"]
fn nginx() -> Result<()> {
    behind_nginx(How::Preferred)
}

#[test]
#[ignore = "needs nginx, an OpenID provider and Chromium: cargo xtask test"]
fn nginx_required() -> Result<()> {
    behind_nginx(How::Required)
}

#[test]
#[ignore = "needs nginx, an OpenID provider and Chromium: cargo xtask test"]
fn nginx_by_rule() -> Result<()> {
    behind_nginx(How::AskedByRule)
}

fn behind_nginx(how: How) -> Result<()> {
    let setting = Setting::new(how)?;
    let site = setting.site("deploy/outpost/single.yaml", "wiki");
    let site = site.applications(&rule(how)).start()?;
    let _nginx = Nginx::start(&site, "deploy/nginx/single.conf", &[])?;
    setting.run(&site, "nginx", DecidedBy::Outpost, None)
}

#[test]
#[ignore = "needs nginx, an OpenID provider and Chromium: cargo xtask test"]
fn nginx_of_a_domain() -> Result<()> {
    behind_nginx_of_a_domain(How::Preferred)
}

#[test]
#[ignore = "needs nginx, an OpenID provider and Chromium: cargo xtask test"]
fn nginx_of_a_domain_required() -> Result<()> {
    behind_nginx_of_a_domain(How::Required)
}

fn behind_nginx_of_a_domain(how: How) -> Result<()> {
    let setting = Setting::new(how)?;
    let site = setting.site("deploy/outpost/domain.yaml", "auth").start()?;
    let listen = format!("listen {};", site.ports().web);
    let auth = setting.front.origin("auth");
    let start = format!("return 302 {auth}/akprox/start?target=https://");
    let shown = "return 302 http://auth.example.com/akprox/start?target=$scheme://";
    let changes = [("listen 80;", &*listen), (shown, &start)];
    let servers = site.fitted("deploy/nginx/domain.conf", &changes)?;
    // The site's own host has a file in the place of a route to the outpost.
    let file = site.folder().join("site/.well-known/device-bound-sessions");
    fs::create_dir_all(file.parent().context("a folder")?)?;
    fs::write(&file, json!({ "registering_origins": [auth] }).to_string())?;
    let root = site.folder().join("site");
    let own = format!(
        "server {{ {listen} server_name example.localhost; root {}; default_type application/json; }}",
        root.display()
    );
    let _nginx = Nginx::start_with(&site, &format!("{servers}\n{own}\n"), &[])?;
    setting.run(&site, "nginx-domain", DecidedBy::Outpost, DOMAIN)
}

#[test]
#[ignore = "needs Caddy, an OpenID provider and Chromium: cargo xtask test"]
fn caddy() -> Result<()> {
    let start = |site: &Site| Caddy::start(site, "deploy/caddy/single.Caddyfile", &[]);
    behind_shown("caddy", start)
}

#[test]
#[ignore = "needs HAProxy, an OpenID provider and Chromium: cargo xtask test"]
fn haproxy() -> Result<()> {
    let start = |site: &Site| Haproxy::start(site, "deploy/haproxy/single.cfg", &[]);
    behind_shown("haproxy", start)
}

#[test]
#[ignore = "needs Envoy, an OpenID provider and Chromium: cargo xtask test"]
fn envoy() -> Result<()> {
    let start = |site: &Site| Envoy::start(site, "deploy/envoy/single.yaml", &[]);
    behind_shown("envoy", start)
}

/// Runs the scenario behind a proxy as the docs show it, in front of one application.
fn behind_shown(label: &str, start: impl FnOnce(&Site) -> Result<Service>) -> Result<()> {
    let setting = Setting::new(How::Preferred)?;
    let site = setting.site("deploy/outpost/single.yaml", "wiki").start()?;
    let _proxy = start(&site)?;
    setting.run(&site, label, DecidedBy::Outpost, None)
}
