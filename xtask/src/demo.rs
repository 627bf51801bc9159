//! `cargo xtask demo`.

mod check;

use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use gatepost_e2e::users::{ALICE, BOB};
use gatepost_e2e::{Ports, Stack, built, ports};

use crate::setup;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Sign in without a person, try bad cookies, report the result, and end
    #[arg(long)]
    check: bool,
    /// Where Traefik listens: the port of the app's address
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

/// How often to check whether a part has ended unasked.
const WATCH: Duration = Duration::from_millis(500);

/// Starts everything, and either checks it or leaves it to a person until Ctrl-C.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let interrupted = on_interrupt()?;
    setup::demo()?;
    eprintln!("Building plugin and outpost …");
    built::plugin()?;
    built::outpost()?;
    eprintln!("Starting provider, outpost, Traefik and app …");
    let stack = Stack::builder()
        .name("demo")
        .ports(choose_ports(arguments.port)?)
        .start()?;
    if arguments.check {
        return check::run(&stack);
    }
    print_welcome(&stack);
    watch(stack, &interrupted)
}

/// Hears Ctrl-C and `SIGTERM`. A second one ends this process immediately; the programs that it
/// started then end too.
fn on_interrupt() -> Result<mpsc::Receiver<()>> {
    let (sender, receiver) = mpsc::channel();
    let mut before = false;
    ctrlc::set_handler(move || {
        if before || sender.send(()).is_err() {
            std::process::exit(130);
        }
        before = true;
        eprintln!("\nStopping …");
    })?;
    Ok(receiver)
}

fn choose_ports(web: u16) -> Result<Ports> {
    Ok(Ports {
        web: port_or_free("Traefik", web)?,
        outpost: port_or_free("the outpost", 9000)?,
        metrics: port_or_free("the outpost's metrics", 9300)?,
        provider: port_or_free("the provider", 9100)?,
    })
}

/// Returns the usual port, or another one if it is taken.
fn port_or_free(part: &str, usual: u16) -> Result<u16> {
    if ports::is_free(usual) {
        return Ok(usual);
    }
    let other = ports::free()?;
    eprintln!("Port {usual} is taken: {part} gets {other}.");
    Ok(other)
}

fn print_welcome(stack: &Stack) {
    let app = stack.app();
    println!(
        "
Open  {}

Sign in as
  {}  password {}   groups staff, admins
  {}    password {}      group  staff

The app shows the headers it gets. Also worth a look:
  {}   your session
  {}  sign out

Configuration: {}
Ctrl-C stops everything.",
        app.url("/"),
        ALICE.login,
        ALICE.password,
        BOB.login,
        BOB.password,
        app.url("/akprox/session"),
        app.url("/akprox/sign_out"),
        stack.folder().display(),
    );
}

/// Waits for Ctrl-C. A part that ends unasked is an error.
fn watch(stack: Stack, interrupted: &mpsc::Receiver<()>) -> Result<ExitCode> {
    loop {
        match interrupted.recv_timeout(WATCH) {
            Ok(()) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("the signal handler is gone"),
        }
        if let Some(part) = stack.ended().context("look after the parts")? {
            bail!(
                "{} has ended unexpectedly; its log is in target/e2e/demo/",
                part.name()
            );
        }
    }
    drop(stack);
    eprintln!("Everything is stopped.");
    Ok(ExitCode::SUCCESS)
}
