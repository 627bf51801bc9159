//! The program itself on real sockets: its listeners, its reloads, how it ends.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use axum::http::header;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Certificate, StatusCode, Version};

use crate::program::{Folder, Running, checked, client, write_config};
use crate::provider::Provider;
use crate::world::KEY_A;

/// Writes a fresh certificate for `app.example.com` and gives it.
pub(crate) fn certify(folder: &Folder) -> Certificate {
    let made = rcgen::generate_simple_self_signed(["app.example.com".to_owned()]).expect("made");
    let pem = |label: &str, der: &[u8]| {
        let text = STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    };
    let chain = pem("CERTIFICATE", made.cert.der());
    // Renamed into place, so that the program never reads half of a file.
    for (name, text) in [
        (
            "key.pem",
            pem("PRIVATE KEY", &made.signing_key.serialize_der()),
        ),
        ("chain.pem", chain.clone()),
    ] {
        fs::write(folder.path("new"), text).expect("written");
        fs::rename(folder.path("new"), folder.path(name)).expect("renamed");
    }
    Certificate::from_pem(chain.as_bytes()).expect("a certificate")
}

#[tokio::test]
async fn the_https_listener_is_the_same_service_with_a_certificate_of_its_own() {
    let folder = Folder::new("self-signed");
    let provider = Provider::start().await;
    let running = Running::start(&write_config(&folder, &provider, ""));
    let https = running.https.expect("an https listener");
    for (case, builder, version) in [
        ("HTTP/2", client(), Version::HTTP_2),
        ("HTTP/1.1", client().http1_only(), Version::HTTP_11),
    ] {
        let client = builder
            .tls_danger_accept_invalid_certs(true)
            .build()
            .expect("a client");
        let ping = client
            .get(format!("https://{https}/akprox/ping"))
            .send()
            .await;
        let ping = ping.expect("an answer");
        assert_eq!(
            (ping.status(), ping.version()),
            (StatusCode::NO_CONTENT, version),
            "{case}"
        );
        // Whose forwarded headers are believed hangs on the peer's address.
        let asked = client
            .get(format!("https://{https}/akprox/auth/traefik"))
            .header("X-Forwarded-Method", "GET")
            .header("X-Forwarded-Proto", "https")
            .header("X-Forwarded-Host", "app.example.com")
            .header("X-Forwarded-Uri", "/")
            .header("Accept", "application/json")
            .send()
            .await
            .expect("an answer");
        assert_eq!(asked.status(), StatusCode::UNAUTHORIZED, "{case}");
        let body = asked.text().await.expect("text");
        assert!(body.contains("\"unauthenticated\""), "{case}: {body}");
    }
    let strict = client().build().expect("a client");
    let refused = strict
        .get(format!("https://{https}/akprox/ping"))
        .send()
        .await;
    assert!(refused.is_err(), "the certificate is not trusted");
}

#[tokio::test]
async fn a_given_certificate_is_shown_and_replaced_when_its_files_change() {
    let folder = Folder::new("certificate");
    let provider = Provider::start().await;
    let first = certify(&folder);
    let tls = format!(
        "tls: {{certificate: {0}/chain.pem, key: {0}/key.pem}}\n",
        folder.0.display()
    );
    let running = Running::start(&write_config(&folder, &provider, &tls));
    let https = running.https.expect("an https listener");
    let reaches = async |trusted: &Certificate| {
        let client = client()
            .tls_certs_only([trusted.clone()])
            .resolve("app.example.com", https)
            .build()
            .expect("a client");
        let url = format!("https://app.example.com:{}/akprox/ping", https.port());
        client.get(url).send().await.is_ok()
    };
    assert!(reaches(&first).await);
    says_which_key_an_unknown_authority_takes(&folder, https).await;
    let second = certify(&folder);
    assert!(
        !reaches(&second).await,
        "not before the files are looked at"
    );
    running
        .until("the new certificate", async || reaches(&second).await)
        .await;
    assert!(!reaches(&first).await);
}

/// Asserts what `gatepost check` says of a provider, here this address, with a certificate that no known
/// authority has signed.
async fn says_which_key_an_unknown_authority_takes(folder: &Folder, https: SocketAddr) {
    let yaml = format!(
        "keys: ['{KEY_A}']\n\
         store: {{kind: memory}}\n\
         providers: [{{name: main, issuer: 'https://{https}', clientId: g}}]\n\
         applications: [{{name: a, externalUrl: 'https://a.example.com'}}]\n"
    );
    let file = folder.path("untrusting.yaml");
    fs::write(&file, yaml).expect("written");
    let said = checked(file).await;
    let expected = "UnknownIssuer: no authority that this system knows has signed the server's \
                    certificate: name the file with the authority's certificate in `caFile`";
    assert!(said.contains(expected), "{said}");
}

/// Row C: a reload is all or nothing. The certificate waits for the rest of the configuration, and
/// for its own key.
#[tokio::test]
async fn a_reload_that_fails_in_any_part_leaves_every_part_as_it_was() {
    let folder = Folder::new("reload");
    let provider = Provider::start().await;
    let first = certify(&folder);
    let path = |name: &str| folder.path(name).display().to_string();
    let tls = format!(
        "tls: {{certificate: {}, key: {}}}\n",
        path("chain.pem"),
        path("key.pem")
    );
    let config = write_config(&folder, &provider, &tls);
    let running = Running::start(&config);
    let https = running.https.expect("an https listener");
    let reaches = async |trusted: &Certificate| {
        let client = client()
            .tls_certs_only([trusted.clone()])
            .resolve("app.example.com", https)
            .build()
            .expect("a client");
        let url = format!("https://app.example.com:{}/akprox/ping", https.port());
        client.get(url).send().await.is_ok()
    };
    let stays = |problem: &'static str| {
        running.lines.await_line(|line| {
            let said = line["message"] == "the configuration before stays";
            said && line.to_string().contains(problem)
        })
    };
    let shows = async |trusted: &Certificate| {
        running
            .until("the new certificate", async || reaches(trusted).await)
            .await;
    };

    // A good certificate comes with a provider whose certificate authority turns out to be invalid
    // only when the client is made.
    let right = fs::read_to_string(&config).expect("written");
    let authority = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    fs::write(folder.path("authority.pem"), authority).expect("written");
    let wrong = right.replace(
        "{name: main,",
        &format!("{{name: main, caFile: '{}',", path("authority.pem")),
    );
    assert_ne!(wrong, right);
    let second = certify(&folder);
    fs::write(&config, wrong).expect("written");
    stays("cannot set up TLS");
    assert!(reaches(&first).await, "{}", running.lines.all());
    assert!(!reaches(&second).await, "{}", running.lines.all());
    fs::write(&config, &right).expect("written");
    shows(&second).await;

    // A certificate that came without its key.
    let key = fs::read(folder.path("key.pem")).expect("a key");
    let third = certify(&folder);
    let keys = fs::read(folder.path("key.pem")).expect("a key");
    fs::write(folder.path("key.pem"), key).expect("written");
    stays("cannot be used with the certificate");
    assert!(reaches(&second).await, "{}", running.lines.all());
    fs::write(folder.path("key.pem"), keys).expect("written");
    shows(&third).await;
}

/// A duration that no clock can hold ended the process, with the sessions of all users.
#[tokio::test]
async fn a_reload_with_an_endless_duration_leaves_the_configuration_in_force() {
    let folder = Folder::new("endless");
    let provider = Provider::start().await;
    let config = write_config(&folder, &provider, "");
    let mut running = Running::start(&config);
    running.ready().await;
    let right = fs::read_to_string(&config).expect("written");
    let machines = "  - {name: endless, externalUrl: 'https://endless.example.com', \
                    machines: [bearer], machineTokens: {audience: x, cache: 400000d}}\nlisten:";
    let wrong = right.replace("listen:", machines);
    assert_ne!(wrong, right);
    fs::write(&config, wrong).expect("written");
    running.lines.await_line(|line| {
        line["message"] == "the configuration before stays"
            && line
                .to_string()
                .contains("machineTokens.cache: expected 0s to 24h")
    });
    let (status, _) = running.operations("/readyz").await;
    assert_eq!(status, StatusCode::OK);
    running.terminate();
    assert!(running.end().await.success());
}

/// Row C, of the same kind: the first half of a file that is being written may be a configuration.
#[tokio::test]
async fn a_file_that_is_being_written_is_not_read() {
    let folder = Folder::new("half");
    let provider = Provider::start().await;
    let config = write_config(&folder, &provider, "");
    let running = Running::start(&config);
    running.ready().await;
    let client = client().build().expect("a client");
    let url = format!("http://{}/akprox/start", running.http);
    let start = async |host: &str| {
        let asked = client.get(&url).header("Host", host).send().await;
        asked.expect("an answer").status()
    };
    let whole = fs::read_to_string(&config).expect("written");
    let at = whole.find("  - {name: app2").expect("there");
    let (half, rest) = whole.split_at(at);
    let listen = rest.find("listen:").expect("there");
    let (applications, listen) = rest.split_at(listen);
    let half = format!("{half}{listen}");
    for written in 0..60 {
        fs::write(&config, format!("{half}{}", "#".repeat(written))).expect("written");
        assert_eq!(start("app2.example.com").await, StatusCode::FOUND);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let more = "  - {name: late, externalUrl: 'https://late.example.com'}\n";
    let whole = whole.replace(applications, &format!("{applications}{more}"));
    fs::write(&config, whole).expect("written");
    running
        .until("the application that was added", async || {
            start("late.example.com").await == StatusCode::FOUND
        })
        .await;
}

#[tokio::test]
async fn a_sign_in_under_way_is_finished_before_the_process_ends() {
    let folder = Folder::new("shutdown");
    let provider = Provider::start().await;
    let mut running = Running::start(&write_config(&folder, &provider, ""));
    running.ready().await;
    let client = client().build().expect("a client");
    let base = format!("http://{}/akprox", running.http);
    let begun = client
        .get(format!("{base}/start"))
        .header("Host", "app.example.com");
    let begun = begun.send().await.expect("an answer");
    let back = provider.authorize(begun.headers()["location"].to_str().expect("text"));
    let flow: Vec<&str> = begun
        .headers()
        .get_all(header::SET_COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok()?.split(';').next())
        .collect();
    let gate = provider.hold_exchanges();
    let callback = client
        .get(format!(
            "{base}/callback?{}",
            back.query().expect("a query")
        ))
        .header("Host", "app.example.com")
        .header("Cookie", flow.join("; "))
        .send();
    let callback = tokio::spawn(callback);
    gate.reached().await;
    running.terminate();
    running.lines.await_line(|line| {
        line["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("stopping"))
    });
    gate.open();
    let finished = callback.await.expect("no panic").expect("an answer");
    assert_eq!(
        finished.status(),
        StatusCode::FOUND,
        "{}",
        running.lines.all()
    );
    assert!(running.end().await.success());
}

/// An outpost goes on with the configuration that it has. A container engine that heard otherwise would take
/// it out of service, and Traefik the routes and the protection with it.
#[tokio::test]
async fn a_mistake_in_the_file_does_not_make_a_running_outpost_unhealthy() {
    let folder = Folder::new("healthcheck");
    let provider = Provider::start().await;
    let path = write_config(&folder, &provider, "");
    let mut running = Running::start(&path);
    running.ready().await;
    let right = fs::read_to_string(&path).expect("read");
    let address = format!("metrics: '{}'", running.metrics);
    let right = right.replace("metrics: '127.0.0.1:0'", &address);
    assert!(right.contains(&address), "{right}");
    let healthy = |variables: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_gatepost"))
            .args(["healthcheck", "--config"])
            .arg(&path)
            .env_clear()
            .envs(variables.iter().copied())
            .output()
            .expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(said)
    };
    for (case, text) in [
        ("none", right.clone()),
        ("an unknown key", format!("{right}\nnonsense: 1\n")),
        ("no YAML", format!("{right}\nnonsense: [\n")),
        (
            "a file that is gone",
            format!("{right}\nkeysFile: /nowhere\n"),
        ),
    ] {
        fs::write(&path, text).expect("written");
        assert_eq!(healthy(&[]), Ok(()), "{case}");
    }
    let address = running.metrics.to_string();
    let variables = [("GATEPOST_LISTEN_METRICS", &*address)];
    fs::remove_file(&path).expect("removed");
    assert_eq!(healthy(&variables), Ok(()), "no file");
    running.terminate();
    assert!(running.end().await.success());
    assert!(healthy(&variables).is_err(), "no outpost");
}
