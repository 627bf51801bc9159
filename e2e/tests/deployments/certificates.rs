//! Access tokens that are bound to a client certificate (RFC 8705): issued by a real provider and sent by
//! curl, both through a real proxy that ends the TLS connection and hands the certificate on.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use gatepost_e2e::proxies::{Nginx, Traefik};
use gatepost_e2e::{Service, Site, write_certificates};
use serde_json::{Value, json};

use crate::forward_auth::hands_on;
use crate::{checks, haproxy, plugin};

/// What tokens are for.
const WIKI: &str = "https://wiki.example.com";

const ROBOT: (&str, &str) = ("robot", "secret-of-the-robot");

/// Where Traefik hands the certificate on.
const HEADER: &str = "X-Forwarded-Tls-Client-Cert";

fn site(header: &str) -> Result<Site> {
    checks::site("deploy/outpost/single.yaml")
        .outpost(&json!({ "clientCertificateHeader": header }))
        .applications(&json!({
            "machines": ["bearer"],
            "machineTokens": { "audience": [WIKI] },
        }))
        .provider(&json!({
            "resources": [WIKI],
            "programs": { ROBOT.0: {
                "secret": ROBOT.1, "groups": ["staff"], "certificateBound": true,
            } },
        }))
        .start()
}

/// Returns the application's host.
fn host(site: &Site) -> Result<String> {
    let url = site.url("wiki", "/")?;
    Ok(url.host_str().context("a host")?.to_owned())
}

/// Settings of an entry point with TLS besides `web`, at which clients may show a certificate. The
/// provider is behind it too.
fn tls(site: &Site, folder: &Path, middlewares: &[&str]) -> Result<Value> {
    let file = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let router = |host: &str, service: &str, middlewares: &[&str]| {
        json!({
            "rule": format!("Host(`{host}`)"),
            "entryPoints": ["tls"],
            "middlewares": middlewares,
            "service": service,
            "tls": { "options": "certified" },
        })
    };
    let provider = format!("http://127.0.0.1:{}", site.ports().provider);
    Ok(json!({
        "http": {
            "routers": {
                "certified": router(&host(site)?, "wiki", middlewares),
                "id": router("id.localhost", "id", &["certificate"]),
            },
            "middlewares": { "certificate": { "passTLSClientCert": { "pem": true } } },
            "services": { "id": { "loadBalancer": { "servers": [{ "url": provider }] } } },
        },
        "tls": {
            "certificates": [{ "certFile": file("proxy.pem"), "keyFile": file("proxy.key") }],
            "options": { "certified": { "clientAuth": {
                "caFiles": [file("authority.pem")],
                "clientAuthType": "VerifyClientCertIfGiven",
            } } },
        },
    }))
}

fn entry_point(site: &Site) -> Value {
    let at = format!("127.0.0.1:{}", site.ports().extra);
    json!({ "entryPoints": { "tls": { "address": at } } })
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn forward_auth() -> Result<()> {
    let site = site(HEADER)?;
    let clients = Clients::new(&site)?;
    let mut changes = tls(&site, &clients.folder, &["certificate", "gatepost"])?;
    changes["http"]["middlewares"]["gatepost"] = hands_on(&["Authorization"]);
    // With `false`, the question lacks the certificate. The entry point trusts no client's headers.
    changes["http"]["middlewares"]["gatepost"]["forwardAuth"]["trustForwardHeader"] = true.into();
    let _traefik = Traefik::new(&site, "deploy/traefik/static/forward-auth.yaml")?
        .configure(&entry_point(&site))
        .route_with("deploy/traefik/dynamic/forward-auth-single.yaml", &changes)?
        .start(&["wiki"])?;
    a_token_needs_its_certificate(&clients, HEADER)
}

/// The plugin leaves the request to the outpost, where its answer is not the last.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn plugin_that_answers_itself() -> Result<()> {
    let site = site(HEADER)?;
    let clients = Clients::new(&site)?;
    let mut changes = tls(&site, &clients.folder, &["certificate", "wiki-gatepost"])?;
    let settings = json!({ "public": checks::PUBLIC, "machines": "bearer" });
    let mut plugin = plugin::middlewares(&["wiki-gatepost"], &settings);
    let gatepost = plugin["http"]["middlewares"]["wiki-gatepost"].take();
    changes["http"]["middlewares"]["wiki-gatepost"] = gatepost;
    let _traefik = Traefik::new(&site, "deploy/traefik/static/plugin.yaml")?
        .configure(&entry_point(&site))
        .route_with("deploy/traefik/dynamic/plugin-single.yaml", &changes)?
        .start(&["wiki"])?;
    let token = clients.token()?;
    assert_eq!(clients.ask(Some("robot"), &token, &[])?, "401");
    assert_eq!(site.wiki(), []);
    Ok(())
}

#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn nginx() -> Result<()> {
    let site = site("Client-Cert")?;
    let clients = Clients::new(&site)?;
    let _nginx = nginx_with_certificates(&site, &clients.folder)?;
    a_token_needs_its_certificate(&clients, "Client-Cert")
}

/// HAProxy ends the connections to the application. The provider learns of the certificate from the test.
#[test]
#[ignore = "needs proxies and an OpenID provider: cargo xtask test"]
fn haproxy() -> Result<()> {
    let site = site("Client-Cert")?;
    let clients = Clients::new(&site)?;
    let folder = &clients.folder;
    let read = |name: &str| std::fs::read_to_string(folder.join(name));
    let both = folder.join("proxy-and-key.pem");
    std::fs::write(&both, read("proxy.pem")? + &read("proxy.key")?)?;
    let tls = format!(
        "bind :80
    bind 127.0.0.1:{} ssl crt {} ca-file {} verify optional",
        site.ports().extra,
        both.display(),
        folder.join("authority.pem").display()
    );
    let question = "http-request lua.gatepost";
    let certified = format!(
        "http-request set-header Client-Cert %[ssl_c_der,base64]
    {question}"
    );
    let changes = [("bind :80", &*tls), (question, &certified)];
    let _haproxy = haproxy::with_changes(&site, &changes, &["client-cert"])?;
    let escaped = clients.digits()?.replace('+', "%2B");
    let token = clients.token_of_provider(&format!("{HEADER}: {escaped}"))?;
    needs_its_certificate(&clients, &token, "Client-Cert")
}

/// Starts nginx, which hands the certificate on, in front of one application and the provider.
fn nginx_with_certificates(site: &Site, folder: &Path) -> Result<Service> {
    let ports = site.ports();
    let folder = folder.display();
    let tls = format!(
        "listen 127.0.0.1:{} ssl;
        ssl_certificate {folder}/proxy.pem;
        ssl_certificate_key {folder}/proxy.key;
        ssl_client_certificate {folder}/authority.pem;
        ssl_verify_client optional;",
        ports.extra
    );
    let listen = format!("listen {};\n    {tls}", ports.web);
    let question = "proxy_set_header X-Original-URI \"\";";
    let certificate = "proxy_set_header Client-Cert $ssl_client_escaped_cert;";
    let question_with = format!("{question}\n        {certificate}");
    let cookie = "proxy_set_header Cookie $app_cookie;";
    let both = format!(
        "{cookie}
        auth_request_set $app_authorization $upstream_http_authorization;
        proxy_set_header Authorization $app_authorization;"
    );
    let changes = [
        ("listen 80;", &*listen),
        (question, &question_with),
        (cookie, &both),
    ];
    let servers = site.fitted("deploy/nginx/single.conf", &changes)?;
    let provider = format!(
        "server {{
        {tls}
        server_name id.localhost;
        location / {{
            proxy_set_header {HEADER} $ssl_client_escaped_cert;
            proxy_pass http://127.0.0.1:{};
        }}
        }}",
        ports.provider
    );
    Nginx::start_with(site, &format!("{servers}\n{provider}"), &["wiki"])
}

/// Two clients, each with a certificate.
struct Clients<'s> {
    site: &'s Site,
    /// Their certificates, and that of the proxy.
    folder: PathBuf,
}

impl<'s> Clients<'s> {
    fn new(site: &'s Site) -> Result<Self> {
        let folder = site.folder().join("certificates");
        std::fs::create_dir_all(&folder)?;
        let wiki = host(site)?;
        let hosts: &[&str] = &[&wiki, "id.localhost"];
        let all = [
            ("proxy", hosts),
            ("robot", &["robot"]),
            ("thief", &["thief"]),
        ];
        write_certificates(&folder, &all)?;
        Ok(Self { site, folder })
    }

    /// Returns the certificate of the client `robot`, as the digits that a PEM has.
    fn digits(&self) -> Result<String> {
        let pem = std::fs::read_to_string(self.folder.join("robot.pem"))?;
        let lines = pem.lines().filter(|line| !line.starts_with("---"));
        Ok(lines.collect())
    }

    /// Runs curl with this certificate, as if the host's port were that of the application, by which the
    /// outpost knows it.
    fn curl(&self, certificate: Option<&str>, host: &str, arguments: &[&str]) -> Result<String> {
        let ports = self.site.ports();
        let (web, tls) = (ports.web, ports.extra);
        let mut command = Command::new("curl");
        command.args(["--disable", "--silent", "--show-error"]);
        command
            .arg("--connect-to")
            .arg(format!("{host}:{web}:127.0.0.1:{tls}"));
        command
            .arg("--cacert")
            .arg(self.folder.join("authority.pem"));
        if let Some(name) = certificate {
            command
                .arg("--cert")
                .arg(self.folder.join(format!("{name}.pem")));
            command
                .arg("--key")
                .arg(self.folder.join(format!("{name}.key")));
        }
        let output = command.args(arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{said}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Returns a token that the provider has bound to the certificate of the client `robot`.
    fn token(&self) -> Result<String> {
        let url = format!("https://id.localhost:{}/token", self.site.ports().web);
        self.token_at(&url, &[])
    }

    /// Returns the same from the provider itself, which gets the certificate in this header.
    fn token_of_provider(&self, header: &str) -> Result<String> {
        let url = format!("http://127.0.0.1:{}/token", self.site.ports().provider);
        self.token_at(&url, &["--header", header])
    }

    fn token_at(&self, url: &str, further: &[&str]) -> Result<String> {
        let user = format!("{}:{}", ROBOT.0, ROBOT.1);
        let resource = format!("resource={WIKI}");
        let mut arguments = vec!["--user", &user, "--data", "grant_type=client_credentials"];
        arguments.extend(["--data-urlencode", &resource]);
        arguments.extend_from_slice(further);
        arguments.push(url);
        let answer = self.curl(Some("robot"), "id.localhost", &arguments)?;
        let answer: Value = serde_json::from_str(&answer)?;
        let token = answer.pointer("/access_token").and_then(Value::as_str);
        Ok(token.with_context(|| answer.to_string())?.to_owned())
    }

    /// Asks for a page with a token, and returns the status.
    fn ask(&self, certificate: Option<&str>, token: &str, headers: &[&str]) -> Result<String> {
        let host = host(self.site)?;
        let url = format!("https://{host}:{}/api", self.site.ports().web);
        let authorization = format!("Authorization: Bearer {token}");
        let mut arguments = vec!["--output", "/dev/null", "--write-out", "%{response_code}"];
        arguments.extend(["--header", &authorization]);
        arguments.extend(headers.iter().flat_map(|header| ["--header", *header]));
        arguments.push(&url);
        self.curl(certificate, &host, &arguments)
    }
}

fn a_token_needs_its_certificate(clients: &Clients<'_>, header: &str) -> Result<()> {
    needs_its_certificate(clients, &clients.token()?, header)
}

/// Checks that a token is accepted with the certificate of the client `robot` alone.
fn needs_its_certificate(clients: &Clients<'_>, token: &str, header: &str) -> Result<()> {
    let site = clients.site;
    let forged = format!("{header}: {}", clients.digits()?);
    for round in 0..2 {
        assert_eq!(
            clients.ask(Some("robot"), token, &[])?,
            "200",
            "{round}: {}",
            site.outpost().output()
        );
        for (who, headers) in [
            (None, &[][..]),
            (Some("thief"), &[]),
            (None, &[&*forged]),
            (Some("thief"), &[&*forged]),
            (None, &["X-Forwarded-Uri: /public/x"]),
            (None, &["X-Forwarded-For: 127.0.0.1", &*forged]),
        ] {
            let status = clients.ask(who, token, headers)?;
            assert_eq!(status, "401", "{round}: {who:?} {headers:?}");
        }
    }
    let seen = site.wiki();
    assert_eq!(seen.len(), 2, "no other request reached the app");
    for request in &seen {
        assert_eq!(request.header("x-forwarded-user"), Some(ROBOT.0));
        assert_eq!(request.header("authorization"), None);
    }
    // Where no connection ends in TLS, a client's own header shows no certificate.
    let plain = Command::new("curl")
        .args(["--disable", "--silent", "--output", "/dev/null"])
        .args(["--write-out", "%{response_code}", "--header", &forged])
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .arg(site.url("wiki", "/api")?.as_str())
        .output()?;
    assert_eq!(plain.stdout, b"401");
    Ok(())
}
