//! What a store costs by the number of its sessions: `cargo bench -p gatepost-store --bench size`.
//!
//! One process fills a store and another one opens and measures it, so that the memory is that of
//! a restarted outpost. Each kind and size prints a line of JSON. Arguments:
//!
//! - `--kinds embedded,redis`: the kinds of store; Redis needs `redis-server`
//! - `--sessions 1000,100000`: the sizes
//! - `--cache-megabytes 64`: the page cache of the embedded store

// The benchmark prints its result.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gatepost_base::{Clock, Identity, Secret};
use gatepost_session::{KeyRing, NumericDate, SessionId};
use gatepost_store::{
    EmbeddedStore, EndRequest, Recovery, RedisTls, RedisUrl, SessionRecord, SessionSelector, Store,
    StoreSettings,
};

use self::row::{Row, Waits};

// `xtask` reads it too.
#[path = "size/row.rs"]
mod row;

type Failure = Box<dyn Error + Send + Sync>;

const KEY: &str = "a:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";
const ISSUER: &str = "https://id.example.com";
const DAY: u64 = 24 * 3_600;

/// The time of the last use of every session.
const NOW: u64 = 4_000_000_000;

/// How many sessions are inserted together, or in one transaction.
const BATCH: u64 = 500;

/// How many operations of a kind are timed; the median counts.
const REPETITIONS: u64 = 200;

/// The most sessions that all end: a million take minutes.
const MOST_TO_END: u64 = 100_000;

/// How many users renew at the same time, and for how long.
const RENEWING: u64 = 64;
const RENEWING_TIME: Duration = Duration::from_secs(3);

/// How many sessions a user has.
const SESSIONS_OF_USER: u64 = 10;

/// The time between two probes of how long other requests wait.
const PROBE_INTERVAL: Duration = Duration::from_millis(2);

/// How long the probes run with nothing beside them.
const QUIET_TIME: Duration = Duration::from_secs(3);

impl Waits {
    fn of(mut finds: Vec<Duration>, mut touches: Vec<Duration>) -> Self {
        finds.sort_unstable();
        touches.sort_unstable();
        let part = |times: &[Duration], percent: usize| {
            let at = times.len().saturating_sub(1) * percent / 100;
            times.get(at).copied().map_or(0.0, milliseconds)
        };
        Self {
            find_longest: part(&finds, 100),
            touch_longest: part(&touches, 100),
            touch_p99: part(&touches, 99),
            touch_median: part(&touches, 50),
        }
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str, default: &str| {
        let position = arguments.iter().position(|argument| argument == name);
        let value = position.and_then(|at| arguments.get(at + 1));
        value.map_or(default.to_owned(), Clone::clone)
    };
    let cache_megabytes = value("--cache-megabytes", "64").parse()?;
    let phase = value("--phase", "");
    let folder = PathBuf::from(value("--folder", ""));
    for kind in value("--kinds", "embedded,redis").split(',') {
        for sessions in value("--sessions", "1000,100000").split(',') {
            let subject = Subject {
                kind: kind.to_owned(),
                sessions: sessions.parse()?,
                cache_megabytes,
            };
            match phase.as_str() {
                "fill" => block_on(subject.fill(&folder))?,
                "measure" => block_on(subject.measure(&folder))?,
                _ => subject.run()?,
            }
        }
    }
    Ok(())
}

fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// A store of one kind and size.
struct Subject {
    kind: String,
    sessions: u64,
    cache_megabytes: usize,
}

impl Subject {
    /// Fills and measures the store, each in a process of its own.
    fn run(&self) -> Result<(), Failure> {
        let folder = tempfile::Builder::new()
            .prefix("gatepost-store-")
            .tempdir()?;
        let _server = match self.kind.as_str() {
            "redis" => Some(Server::start(folder.path())?),
            _ => None,
        };
        for phase in ["fill", "measure"] {
            let status = Command::new(std::env::current_exe()?)
                .args(["--phase", phase, "--kinds", &self.kind])
                .args(["--sessions", &self.sessions.to_string()])
                .args(["--cache-megabytes", &self.cache_megabytes.to_string()])
                .arg("--folder")
                .arg(folder.path())
                .status()?;
            if !status.success() {
                return Err(format!("{phase} failed").into());
            }
        }
        Ok(())
    }

    fn settings(&self, folder: &Path) -> Result<StoreSettings, Failure> {
        let max_sessions = usize::try_from(self.sessions * 2)?;
        Ok(match self.kind.as_str() {
            "embedded" => StoreSettings::Embedded {
                path: file(folder),
                max_sessions,
                cache_bytes: self.cache_megabytes << 20,
            },
            "redis" => StoreSettings::Redis {
                url: RedisUrl::parse(&Server::url(folder))?,
                tls: RedisTls::default(),
                prefix: "gatepost:".to_owned(),
                max_sessions,
            },
            kind => return Err(format!("`{kind}` is not a kind of store").into()),
        })
    }

    async fn fill(&self, folder: &Path) -> Result<(), Failure> {
        if let StoreSettings::Embedded {
            path,
            max_sessions,
            cache_bytes,
        } = self.settings(folder)?
        {
            let store =
                EmbeddedStore::open(&path, max_sessions, cache_bytes, &ring()?, recovery())?;
            for first in (0..self.sessions).step_by(usize::try_from(BATCH)?) {
                let batch = first..self.sessions.min(first + BATCH);
                store.insert_all(batch.map(record).collect()).await?;
            }
            return Ok(());
        }
        let store = gatepost_store::open(&self.settings(folder)?, &ring()?, recovery())?;
        stream::iter(0..self.sessions)
            .map(|number| store.insert(record(number)))
            .buffer_unordered(usize::try_from(BATCH)?)
            .try_collect::<()>()
            .await?;
        Ok(())
    }

    async fn measure(&self, folder: &Path) -> Result<(), Failure> {
        let mut row = Row {
            kind: self.kind.clone(),
            sessions: self.sessions,
            ..Row::default()
        };
        let begun = Instant::now();
        let store = gatepost_store::open(&self.settings(folder)?, &ring()?, recovery())?;
        store.find(&id(0)).await?;
        row.start_ms = milliseconds(begun.elapsed());
        row.memory_mib = memory("VmRSS")?;
        row.bytes_per_session = self.bytes(folder)? / self.sessions;
        self.time_requests(&*store, &mut row).await?;
        row.renewals_per_second = self.renewals_per_second(&store).await?;

        let begun = Instant::now();
        store.end(&end_request(user(3))).await?;
        row.end_user_ms = milliseconds(begun.elapsed());

        let probe = Probe::start(&store, self.sessions);
        tokio::time::sleep(QUIET_TIME).await;
        row.quiet_wait_ms = probe.stop().await?;

        let probe = Probe::start(&store, self.sessions);
        let begun = Instant::now();
        store.sweep(NumericDate::from_seconds(NOW), DAY * 2).await?;
        row.first_sweep_ms = milliseconds(begun.elapsed());
        row.first_sweep_wait_ms = probe.stop().await?;

        let probe = Probe::start(&store, self.sessions);
        let begun = Instant::now();
        let left = store.sweep(NumericDate::from_seconds(NOW), DAY / 2).await?;
        row.sweep_ms = milliseconds(begun.elapsed());
        row.sweep_wait_ms = probe.stop().await?;
        let before = usize::try_from(self.sessions + REPETITIONS - SESSIONS_OF_USER)?;
        let ended = before.saturating_sub(left);
        let idle = usize::try_from((self.sessions + REPETITIONS) / 100)?;
        if !(idle * 9 / 10..=idle).contains(&ended) {
            return Err(format!("the sweep ended {ended} sessions, of {idle}").into());
        }

        if self.sessions <= MOST_TO_END {
            let probe = Probe::start(&store, self.sessions);
            let begun = Instant::now();
            store.end(&end_request(SessionSelector::All)).await?;
            row.end_all_ms = Some(milliseconds(begun.elapsed()));
            row.end_all_wait_ms = Some(probe.stop().await?);
        }

        row.peak_memory_mib = memory("VmHWM")?;
        println!("{}", serde_json::to_string(&row)?);
        Ok(())
    }

    async fn time_requests(&self, store: &dyn Store, row: &mut Row) -> Result<(), Failure> {
        let (mut finds, mut sign_ins, mut renewals) = (Vec::new(), Vec::new(), Vec::new());
        for repetition in 0..REPETITIONS {
            let number = repetition * self.sessions / REPETITIONS;
            let begun = Instant::now();
            store.find(&id(number)).await?.ok_or("no session")?;
            finds.push(begun.elapsed());

            let begun = Instant::now();
            store.insert(record(self.sessions + repetition)).await?;
            sign_ins.push(begun.elapsed());

            let begun = Instant::now();
            store.update(record(number)).await?;
            touch(store, number).await?;
            renewals.push(begun.elapsed());
        }
        let median = |mut times: Vec<Duration>| {
            times.sort_unstable();
            times
                .get(times.len() / 2)
                .map_or(0.0, Duration::as_secs_f64)
                * 1e6
        };
        row.find_us = median(finds);
        row.sign_in_us = median(sign_ins);
        row.renewal_us = median(renewals);
        Ok(())
    }

    /// Returns how many renewals a second many users have together.
    #[allow(clippy::cast_precision_loss)]
    async fn renewals_per_second(&self, store: &Arc<dyn Store>) -> Result<f64, Failure> {
        let begun = Instant::now();
        let users = (0..RENEWING).map(|user| {
            let (store, sessions) = (Arc::clone(store), self.sessions);
            tokio::spawn(async move {
                let mut renewals = 0_u64;
                while begun.elapsed() < RENEWING_TIME {
                    let number = (user + renewals * RENEWING) % sessions;
                    renewals += 1;
                    // Otherwise the sweep finds none.
                    if is_idle(number) {
                        continue;
                    }
                    store.update(record(number)).await?;
                    touch(&*store, number).await?;
                }
                Ok::<_, Failure>(renewals)
            })
        });
        let users: Vec<_> = users.collect();
        let mut renewals = 0;
        for user in users {
            renewals += user.await??;
        }
        Ok(renewals as f64 / begun.elapsed().as_secs_f64())
    }

    /// Returns how many bytes the store occupies, in its file or in the server's memory.
    fn bytes(&self, folder: &Path) -> Result<u64, Failure> {
        if self.kind == "embedded" {
            return Ok(std::fs::metadata(file(folder))?.len());
        }
        let output = Command::new("redis-cli")
            .arg("-s")
            .arg(Server::socket(folder))
            .args(["INFO", "memory"])
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let used = text
            .lines()
            .find_map(|line| line.strip_prefix("used_memory:"));
        Ok(used.ok_or("no used_memory")?.trim().parse()?)
    }
}

/// Requests that run beside something else, and the time that each took.
struct Probe {
    stopped: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Result<Waits, Failure>>,
}

impl Probe {
    fn start(store: &Arc<dyn Store>, sessions: u64) -> Self {
        let (store, stopped) = (Arc::clone(store), Arc::new(AtomicBool::new(false)));
        let is_stopped = Arc::clone(&stopped);
        let task = tokio::spawn(async move {
            let (mut finds, mut touches) = (Vec::new(), Vec::new());
            let mut number = 0;
            while !is_stopped.load(Ordering::Relaxed) {
                number = (number + 7_919) % sessions;
                if is_idle(number) {
                    continue;
                }
                let begun = Instant::now();
                store.find(&id(number)).await?;
                finds.push(begun.elapsed());
                let begun = Instant::now();
                touch(&*store, number).await?;
                touches.push(begun.elapsed());
                tokio::time::sleep(PROBE_INTERVAL).await;
            }
            Ok(Waits::of(finds, touches))
        });
        Self { stopped, task }
    }

    async fn stop(self) -> Result<Waits, Failure> {
        self.stopped.store(true, Ordering::Relaxed);
        self.task.await?
    }
}

async fn touch(store: &dyn Store, number: u64) -> Result<bool, Failure> {
    let now = NumericDate::from_seconds(NOW);
    let id = id(number);
    let touched = store.touch(&id, now, now.plus_seconds(900)).await?;
    Ok(touched.is_some())
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Returns this process's memory in MiB, by the name of a line of `/proc/self/status`.
fn memory(name: &str) -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    Ok(number.ok_or("no memory")?.parse::<f64>()? / 1_024.0)
}

fn file(folder: &Path) -> PathBuf {
    folder.join("sessions.db")
}

fn ring() -> Result<KeyRing, Failure> {
    Ok(KeyRing::from_entries([KEY])?)
}

fn recovery() -> Recovery {
    Recovery {
        // The store began before its sessions, or the first sweep would end them all as those of a
        // store that was lost.
        clock: Clock::new(|| NumericDate::from_seconds(NOW - 3 * DAY)),
        lifetime: DAY,
    }
}

fn id(number: u64) -> SessionId {
    // Spread like random ids.
    let mut bytes = [0; 24];
    let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bytes[..8].copy_from_slice(&spread.to_be_bytes());
    bytes[8..16].copy_from_slice(&number.to_be_bytes());
    SessionId::from_random(bytes)
}

fn subject(number: u64) -> String {
    format!("user-{}", number / SESSIONS_OF_USER)
}

fn user(number: u64) -> SessionSelector {
    SessionSelector::Subject {
        issuer: ISSUER.into(),
        subject: subject(number * SESSIONS_OF_USER),
    }
}

/// Returns whether a session is idle: one in a hundred.
fn is_idle(number: u64) -> bool {
    number % 100 == 99
}

/// Returns a session with tokens of the usual size.
fn record(number: u64) -> SessionRecord {
    let idle = if is_idle(number) { DAY } else { 0 };
    let used = NumericDate::from_seconds(NOW - idle);
    SessionRecord {
        id: id(number),
        audience: "wiki".into(),
        identity: Identity {
            issuer: ISSUER.into(),
            subject: subject(number),
            email: Some(format!("{}@example.com", subject(number))),
            name: Some("A user".into()),
            groups: vec!["staff".into(), "editors".into()],
            ..Identity::default()
        },
        provider_session: None,
        refresh_token: Some(Secret::new("r".repeat(100))),
        access_token: None,
        id_token: Secret::new("i".repeat(800)),
        device: None,
        created: used,
        last_validated: used,
        last_seen: used,
        window_ends: used.plus_seconds(900),
        ends: NumericDate::from_seconds(NOW + DAY),
    }
}

fn end_request(selector: SessionSelector) -> EndRequest {
    EndRequest {
        selector,
        requested_at: NumericDate::from_seconds(NOW),
        delayed: false,
        window: 900,
        credential_lifetime: 900,
        sign_in: 0,
        unknown_until: None,
    }
}

/// A Redis on a socket of its own.
struct Server(Child);

impl Server {
    fn start(folder: &Path) -> Result<Self, Failure> {
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(Self::socket(folder))
            .arg("--dir")
            .arg(folder)
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self(process);
        while std::os::unix::net::UnixStream::connect(Self::socket(folder)).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    fn socket(folder: &Path) -> PathBuf {
        folder.join("socket")
    }

    fn url(folder: &Path) -> String {
        format!("redis+unix://{}", Self::socket(folder).display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
