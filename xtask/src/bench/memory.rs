//! Requests that are left waiting, and Traefik's memory for each.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;

use super::contender::{Contender, Running, Scene};
use super::nginx::{Nginx, SLOW_PATH};
use super::stats::Spread;
use super::{raw_http, usage};

/// How long a request may take to come through to the app.
const LIMIT: Duration = Duration::from_secs(30);

/// Requests in flight at the same time.
const IN_FLIGHT: u32 = 1_000;

/// What a fresh Traefik took.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) title: String,
    /// Milliseconds from Traefik's start to the app's first answer.
    pub(crate) first_answer: Spread,
    /// Traefik's memory after that, in MiB.
    pub(crate) idle: Spread,
    /// KiB more for each request in flight.
    pub(crate) per_request: Spread,
    /// The same, compared with the first contender.
    pub(crate) more_than_first: f64,
}

/// The resident memory of the processes that handle the requests of one contender.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Resident {
    pub(crate) key: String,
    pub(crate) title: String,
    /// Of Traefik after load.
    pub(crate) proxy_bytes: u64,
    /// Of the server that Traefik asks, if any.
    pub(crate) server: Option<ServerResident>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct ServerResident {
    pub(crate) idle_bytes: u64,
    pub(crate) loaded_bytes: u64,
}

/// What the servers of contenders take before load.
#[derive(Debug)]
pub(crate) struct Residents(BTreeMap<String, u64>);

impl Residents {
    pub(crate) fn of(contenders: &[Contender]) -> Result<Self> {
        let mut idle = BTreeMap::new();
        for contender in contenders {
            if let Some(group) = contender.auth {
                idle.insert(contender.key.clone(), usage::resident_bytes(group)?);
            }
        }
        Ok(Self(idle))
    }

    pub(crate) fn after_load(&self, running: &[(Contender, Running)]) -> Result<Vec<Resident>> {
        let one = |(contender, proxy): &(Contender, Running)| -> Result<Resident> {
            let server = match (contender.auth, self.0.get(&contender.key)) {
                (Some(group), Some(idle)) => Some(ServerResident {
                    idle_bytes: *idle,
                    loaded_bytes: usage::resident_bytes(group)?,
                }),
                _ => None,
            };
            Ok(Resident {
                key: contender.key.clone(),
                title: contender.title.clone(),
                proxy_bytes: usage::resident_bytes(proxy.group())?,
                server,
            })
        };
        running.iter().map(one).collect()
    }
}

/// Restarts each contender in every round and leaves it with requests that are not answered.
pub(crate) fn measure(
    contenders: &[Contender],
    scene: &Scene,
    app: &Nginx,
    rounds: usize,
) -> Result<Vec<Row>> {
    let slow = TcpListener::bind((Ipv4Addr::LOCALHOST, app.slow_port))?;
    slow.set_nonblocking(true)?;
    let mut found: Vec<Vec<Round>> = contenders.iter().map(|_| Vec::new()).collect();
    for number in 0..rounds {
        eprintln!("  {IN_FLIGHT} in flight, round {}", number + 1);
        for (contender, rounds) in contenders.iter().zip(&mut found) {
            rounds.push(round(contender, scene, &slow)?);
        }
    }
    let mut first = None;
    let rows = contenders.iter().zip(&found).map(|(contender, own)| {
        let spread = |value: fn(&Round) -> f64| Spread::of(own.iter().map(value));
        let per_request = spread(|round| round.per_request);
        Row {
            key: contender.key.clone(),
            title: contender.title.clone(),
            first_answer: spread(|round| round.first_answer),
            idle: spread(|round| round.idle),
            per_request,
            more_than_first: per_request.median - *first.get_or_insert(per_request.median),
        }
    });
    Ok(rows.collect())
}

struct Round {
    first_answer: f64,
    idle: f64,
    per_request: f64,
}

#[allow(clippy::cast_precision_loss)]
fn round(contender: &Contender, scene: &Scene, slow: &TcpListener) -> Result<Round> {
    let running = contender.start(scene)?;
    let idle = usage::resident_bytes(running.group())?;
    let request = contender.first_request();
    let mut held: Vec<(TcpStream, TcpStream)> = Vec::new();
    for _ in 0..IN_FLIGHT {
        // One after the other: the next is sent when this one has come through.
        let client = raw_http::send(running.port, SLOW_PATH, &request)?;
        let upstream = accept(slow)?;
        held.push((client, upstream));
    }
    let loaded = usage::resident_bytes(running.group())?;
    Ok(Round {
        first_answer: running.first_answer.as_secs_f64() * 1e3,
        idle: idle as f64 / f64::from(1 << 20),
        per_request: loaded.saturating_sub(idle) as f64 / 1024.0 / f64::from(IN_FLIGHT),
    })
}

fn accept(slow: &TcpListener) -> Result<TcpStream> {
    let started = Instant::now();
    loop {
        match slow.accept() {
            Ok((stream, _)) => return Ok(stream),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        if started.elapsed() > LIMIT {
            bail!("a request did not come through to the app");
        }
        thread::sleep(Duration::from_micros(50));
    }
}
