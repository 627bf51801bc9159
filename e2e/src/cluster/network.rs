//! A network of the tests' own, with the addresses of pods and the names of Services.
//!
//! The API accepts no loopback address in an EndpointSlice. So the tests run in a network namespace
//! of their own, where an address of the range for private networks is on `lo` and leads nowhere
//! else; and with a hosts file of their own, which says what the cluster's DNS says in Traefik's
//! namespace: `name.namespace.svc` is known, `name` alone is not.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result};

use super::names;
use crate::namespaces;
use crate::tools::run;

/// The Services that tests have pods for: namespace, name, the pods' address.
pub const SERVICES: [names::Named; 3] = [
    ("gatepost", "gatepost", Ipv4Addr::new(10, 77, 0, 1)),
    ("default", "wiki", Ipv4Addr::new(10, 77, 0, 2)),
    ("default", "files", Ipv4Addr::new(10, 77, 0, 3)),
];

/// What the API server says its address is.
pub(super) const API_SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);

/// The address of the pods of a Service.
pub fn pod_address(service: &str) -> Option<Ipv4Addr> {
    let found = SERVICES.iter().find(|(_, name, _)| *name == service);
    found.map(|(_, _, address)| *address)
}

/// Runs this test program again in a network of its own, and returns its exit code; or `None` where
/// this process is the one inside.
///
/// # Errors
///
/// When the system does not let this user have a network namespace.
pub fn enter() -> Result<Option<ExitCode>> {
    if namespaces::inside() {
        set_up()?;
        names::serve(&SERVICES)?;
        return Ok(None);
    }
    namespaces::run_inside(&["--net", "--mount"], &[]).map(Some)
}

fn set_up() -> Result<()> {
    run(Command::new("ip").args(["link", "set", "lo", "up"]))?;
    let mut hosts = fs::read_to_string("/etc/hosts")?;
    for (namespace, name, address) in SERVICES {
        let address_of_pods = format!("{address}/32");
        run(Command::new("ip").args(["address", "add", &address_of_pods, "dev", "lo"]))?;
        let name = format!("{name}.{namespace}");
        hosts.push_str(&format!(
            "\n{address} {name} {name}.svc {name}.svc.cluster.local\n"
        ));
    }
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), hosts)?;
    run(Command::new("chmod").arg("644").arg(file.path()))?;
    run(Command::new("mount")
        .arg("--bind")
        .arg(file.path())
        .arg("/etc/hosts"))
}

/// A port of a pod, which leads to a program on loopback until it is dropped.
#[derive(Debug)]
pub struct PodPort {
    address: SocketAddr,
    closed: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl PodPort {
    /// Listens at this port of a pod, for the program at this port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When the address is not there or the port is taken.
    pub fn open(address: Ipv4Addr, port: u16, program: u16) -> Result<Self> {
        let address = SocketAddr::from((address, port));
        let listener =
            TcpListener::bind(address).with_context(|| format!("listen at {address}"))?;
        let closed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&closed);
        let thread = thread::spawn(move || {
            for client in listener.incoming() {
                if seen.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(client) = client {
                    thread::spawn(move || forward(&client, program));
                }
            }
        });
        Ok(Self {
            address,
            closed,
            thread: Some(thread),
        })
    }
}

/// Copies both ways. When one side breaks off, the connection of the other ends too.
fn forward(client: &TcpStream, program: u16) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, program)) else {
        return;
    };
    thread::scope(|scope| {
        scope.spawn(|| copy(client, &server));
        copy(&server, client);
    });
}

fn copy(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

impl Drop for PodPort {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        // Wakes it up.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed.
            let _ = thread.join();
        }
    }
}
