//! Sockets that systemd opens and hands over, by its own program for that, which starts the outpost at
//! the first connection.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use gatepost_e2e::{Answer, Client, Process, built, layout, left_out, pass, ports, until};
use reqwest::{Method, StatusCode};
use serde_json::json;
use url::Url;

mod restarts;

const PROGRAM: &str = "systemd-socket-activate";

const PATIENCE: Duration = Duration::from_secs(90);

/// A service manager that listens on a port, and an outpost that is to listen on two.
struct Activated {
    manager: Process,
    _folder: tempfile::TempDir,
}

impl Activated {
    /// Starts the manager with these arguments, or returns `None` where it is not
    /// installed.
    fn start(
        name: &str,
        arguments: &[&str],
        listen: u16,
        http: u16,
        metrics: u16,
    ) -> Result<Option<Self>> {
        if !is_there() {
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("gatepost.yaml");
        std::fs::write(&config, configuration(http, metrics).to_string())?;
        let mut command = Command::new(PROGRAM);
        command.args(arguments);
        command.args(["--listen", &at(listen).to_string()]);
        command.arg(built::outpost()?);
        command.args([Path::new("serve"), Path::new("--config"), &config]);
        let log = layout::artefacts_dir().join(format!("{name}.log"));
        Ok(Some(Self {
            manager: Process::spawn(PROGRAM, &command, &log)?,
            _folder: folder,
        }))
    }
}

/// Returns whether the program of systemd is installed, and says so where it is not.
fn is_there() -> bool {
    let is_there = Command::new(PROGRAM).arg("--version").output().is_ok();
    if !is_there {
        left_out(&format!("there is no {PROGRAM}"));
    }
    is_there
}

fn at(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Returns a configuration whose provider does not answer.
fn configuration(http: u16, metrics: u16) -> serde_json::Value {
    json!({
        "listen": { "http": at(http), "metrics": at(metrics) },
        "store": { "kind": "memory" },
        "keys": ["k:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE="],
        "providers": [{
            "name": "main",
            "issuer": "http://127.0.0.1:1",
            "clientId": "gatepost",
            "clientSecret": "x",
        }],
        "applications": [{ "name": "wiki", "externalUrl": "http://wiki.localhost" }],
    })
}

#[test]
#[ignore = "needs a program of systemd: cargo xtask test"]
fn a_socket_of_the_service_manager_is_served() -> Result<()> {
    let (http, metrics) = (ports::free()?, ports::free()?);
    let Some(mut activated) = Activated::start("activated", &[], http, http, metrics)? else {
        return Ok(());
    };
    let ask = |port: u16| -> Result<Answer> {
        let url = Url::parse(&format!("http://{}/metrics", at(port)))?;
        Answer::read(Client::new()?.bare(Method::GET, &url).send()?)
    };
    activated.manager.ready(PATIENCE, || ask(http).is_ok())?;
    // The other address, of which the manager knows nothing, is listened on as ever.
    assert_eq!(ask(metrics)?.status, StatusCode::OK);
    Ok(())
}

#[test]
#[ignore = "needs a program of systemd: cargo xtask test"]
fn a_socket_at_another_address_is_refused() -> Result<()> {
    let (other, http, metrics) = (ports::free()?, ports::free()?, ports::free()?);
    let started = Activated::start("activated-elsewhere", &[], other, http, metrics)?;
    let Some(mut activated) = started else {
        return Ok(());
    };
    let status = until("the outpost to end", PATIENCE, || {
        drop(TcpStream::connect(at(other)));
        activated.manager.ended()
    })?;
    let said = activated.manager.output();
    assert!(!status.success(), "{said}");
    // The manager's own lines have the address too.
    let reason = format!("the service manager listens at {}, which", at(other));
    assert!(said.contains(&reason), "{said}");
    Ok(())
}

/// With `Accept=yes`, systemd accepts each connection and hands over that.
#[test]
#[ignore = "needs a program of systemd: cargo xtask test"]
fn a_connection_in_the_place_of_a_socket_is_refused() -> Result<()> {
    let (http, metrics) = (ports::free()?, ports::free()?);
    let started = Activated::start("activated-accept", &["--accept"], http, http, metrics)?;
    let Some(activated) = started else {
        return Ok(());
    };
    until("the outpost to say why it ends", PATIENCE, || {
        // One at a time: each starts an outpost.
        let connection = TcpStream::connect(at(http));
        pass(Duration::from_millis(500));
        drop(connection);
        let said = activated.manager.output();
        Ok(said
            .contains("it is a connection: set `Accept=no`")
            .then_some(()))
    })
}
