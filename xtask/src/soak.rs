//! `cargo xtask soak`: traffic of many people while everything that can fail does, on real
//! processes, with every answer checked.

mod app;
mod endings;
mod faults;
mod figures;
mod people;
mod traffic;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use gatepost_e2e::tools::{Faketime, Packaged, Tool as _};
use gatepost_e2e::{ApplicationSpec, FakeClock, Redis, SmallDisk, Stack, ports};
use serde_json::json;

use self::app::App;
use self::faults::Faults;
use self::figures::Figures;
use self::people::People;
use self::traffic::Traffic;
use crate::{build, setup};

/// The application, which is the audience of all sessions.
const APPLICATION: &str = "app";

/// Keys after the first one at the start, so that each rotation can retire a key that has signed
/// nothing for as long as a session lasts.
const OLD_KEYS: usize = 12;

/// The size of the disk that is full once in a while: room for the store, ten times.
const DISK_MEGABYTES: u32 = 512;

/// By how much the store is older than the sessions, in seconds.
const STORE_IS_OLDER: i64 = 86_400;

/// For outpost and guests to have read a new keys file: two seconds and ten.
const KEYS_ARE_READ: Duration = Duration::from_secs(12);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long parts fail, over all stores
    #[arg(long, default_value_t = 5.0)]
    minutes: f64,
    /// How many sessions there are
    #[arg(long, default_value_t = 10_000)]
    sessions: usize,
    /// How many more people sign in at the provider
    #[arg(long, default_value_t = 100)]
    sign_ins: usize,
    /// Only with these stores; without this, both
    #[arg(long, value_enum, value_delimiter = ',')]
    store: Vec<Store>,
    /// Writes every figure to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Store {
    /// The outpost's own file
    Embedded,
    /// One Redis
    Redis,
}

impl Store {
    const ALL: [Self; 2] = [Self::Embedded, Self::Redis];

    fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Redis => "redis",
        }
    }
}

/// Runs the whole with each store, prints the figures, and fails if a check failed that must hold
/// during every fault.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    setup::demo()?;
    Packaged::Redis.ensure()?;
    Faketime.ensure()?;
    build::fill_store()?;
    let stores: Vec<Store> = Store::ALL
        .into_iter()
        .filter(|store| arguments.store.is_empty() || arguments.store.contains(store))
        .collect();
    let share = arguments.minutes * 60.0 / f64::from(u32::try_from(stores.len().max(1))?);
    let mut reports = Vec::new();
    for store in stores {
        println!("\n=== {} ===", store.name());
        let figures = soak(arguments, store, Duration::from_secs_f64(share))?;
        reports.push((store.name(), figures));
    }
    let table = figures::table(&reports);
    println!("\n{table}");
    println!("{}", people::HONESTLY);
    if let Some(file) = &arguments.json {
        fs::write(
            file,
            serde_json::to_string_pretty(&figures::json(&reports))?,
        )?;
    }
    let mut violated = false;
    for (store, figures) in &reports {
        for violation in figures.violations() {
            eprintln!("violation ({store}): {violation}");
            violated = true;
        }
    }
    Ok(if violated {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Runs one stack with one store.
fn soak(arguments: &Arguments, store: Store, span: Duration) -> Result<Arc<Figures>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let figures = Arc::new(Figures::default());
    let folder = tempfile::Builder::new()
        .prefix("gatepost-soak-")
        .tempdir()?;
    let clock = FakeClock::create(folder.path())?;
    let redis = match store {
        Store::Embedded => None,
        Store::Redis => Some(Redis::start(folder.path(), &[])?),
    };
    let app = App::start(&runtime, ports::free()?)?;
    let disk_folder = folder.path().join("disk");
    fs::create_dir(&disk_folder)?;
    // Only the superuser can mount one; without it the disk is not full.
    let disk = match store {
        Store::Embedded => SmallDisk::mount(&disk_folder, DISK_MEGABYTES).ok(),
        Store::Redis => None,
    };
    // A store that begins ends what was signed before, and cookies will be of earlier times.
    clock.jump(-STORE_IS_OLDER)?;
    let stack = start(arguments, redis.as_ref(), &app, &clock, &disk_folder)?;
    for number in 0..OLD_KEYS {
        stack.keys().rotate(&format!("old-{number}"))?;
    }
    stack.outpost().stop();
    clock.jump(0)?;
    println!("filling the store with {} sessions …", arguments.sessions);
    let people = People::in_store(&stack, arguments.sessions)?;
    stack.outpost().start()?;
    println!("signing {} people in …", arguments.sign_ins);
    let signed_in = people::sign_in(&stack, arguments.sign_ins)?;
    std::thread::sleep(KEYS_ARE_READ);

    let people = Arc::new(people);
    let traffic = Arc::new(Traffic::new(
        &stack,
        Arc::clone(&people),
        Arc::clone(&figures),
    )?);
    println!("traffic and faults for {} s …", span.as_secs());
    let begun = Instant::now();
    let mut faults = Faults::new(
        &stack,
        &clock,
        redis,
        disk.as_ref(),
        &people,
        people::user(arguments.sign_ins),
        Arc::clone(&figures),
    );
    let stopped = traffic.stopped();
    std::thread::scope(|scope| -> Result<()> {
        let crowd = traffic.spawn(&runtime);
        let visits = scope.spawn(|| people::visit(&stack, signed_in, &figures, &stopped));
        let outcome = faults.run(span);
        traffic.stop();
        for one in crowd {
            runtime.block_on(one)?;
        }
        visits
            .join()
            .map_err(|_| anyhow::anyhow!("a thread panicked"))??;
        outcome
    })?;
    figures.lasted(begun.elapsed());
    println!("everyone comes once more …");
    std::thread::sleep(KEYS_ARE_READ);
    runtime.block_on(traffic.roll_call());
    if store == Store::Embedded {
        println!("the file is damaged …");
        endings::damage(&stack, &disk_folder.join("sessions.db"), &people, &figures)?;
    }
    figures.seen_by_app(app.anonymous());
    if let Some(service) = stack.ended()? {
        figures.violation(
            figures::Violation::Died,
            format!("{} has ended unexpectedly", service.name()),
        );
    }
    Ok(figures)
}

fn start(
    arguments: &Arguments,
    redis: Option<&Redis>,
    app: &App,
    clock: &FakeClock,
    disk: &Path,
) -> Result<Stack> {
    // As an operator sets it whose clocks may be that far apart; the default is 30 s.
    let application = ApplicationSpec::new(APPLICATION)
        .set_in_plugin("clockSkew", &json!("300s"))
        .upstream_port(app.port());
    // All come from one address here.
    let mut settings = json!({
        "rateLimit": { "perSecond": 0 },
        "session": { "refreshAfter": "10s" },
        "store": {
            "path": disk.join("sessions.db"),
            "maxSessions": 2 * (arguments.sessions + arguments.sign_ins) + 1_000,
        },
    });
    if let Some(redis) = redis {
        let store = settings.get_mut("store").context("a store")?;
        *store = redis.store();
    }
    Stack::builder()
        .name("soak")
        .application(application)
        .outpost(&settings)
        // One more, whose session has faults of its own.
        .provider(&people::accounts(arguments.sign_ins + 1))
        // At every second request on a connection that is kept, it closes that one.
        .provider(&json!({ "resetsKeptConnections": true }))
        .outpost_clock(clock)
        .revoked_file()
        .start()
}
