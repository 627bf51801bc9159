//! `cargo xtask bench`: what signing in at the edge costs, measured side by side.

mod changes;
mod chart;
mod contender;
mod guest;
mod load;
mod memory;
mod nginx;
mod peers;
mod raw_http;
mod report;
mod stage;
mod stats;
mod store;
mod throughput;
mod usage;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use gatepost_e2e::tools::{Packaged, Tool as _, Traefik};
use gatepost_e2e::{built, layout};
use serde_json::json;

use self::contender::{Contender, Running, Scene, compile_empty_guest};
use self::memory::Residents;
use self::nginx::Nginx;
use self::peers::{Given, Oauth2ProxySession, Peer};
use self::report::{Flat, Report, SignIns};
use self::stage::{Size, Stage};
use self::throughput::{Clients, Effort};
use crate::{build, setup};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Also other forward-auth servers, built from the Go module proxy
    #[arg(long)]
    peers: bool,
    /// With `--peers`, also the servers whose programs lie in this folder, by these names:
    /// `thomseddon-traefik-forward-auth`, `vouch-proxy`, `authelia`
    #[arg(long, value_name = "DIR", requires = "peers")]
    peer_binaries: Option<PathBuf>,
    /// Writes every figure to this file too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Puts tables and chart into docs/; with `--only store`, the tables of the stores alone
    #[arg(long)]
    write_docs: bool,
    /// Only these measurements; without this, all
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Section>,
    /// Rounds of load
    #[arg(long, default_value_t = 9)]
    rounds: usize,
    /// Seconds of load for each contender in each round
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
}

impl Arguments {
    fn measures(&self, section: Section) -> bool {
        self.only.is_empty() || self.only.contains(&section)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    /// Host calls and instructions of each verdict, counted in the built plugin
    Guest,
    /// Requests a second, latency and CPU time
    Load,
    /// Memory of requests in flight, and the time to a first answer
    Memory,
    /// Many applications, public paths and groups compared with one
    Flatness,
    /// Traefik's memory over thousands of revocations and hundreds of reloads
    Changes,
    /// The session store with 1,000 to 1,000,000 sessions, in a file and in Redis
    Store,
}

/// The clients that load all contenders. The report leads with the first.
const ALL: [Clients; 3] = [Clients::new(FEW, 200), ONE, MANY];

/// The clients that load only those contenders to which the number of sessions may matter, and
/// those that these are compared with.
const SOME: [Clients; 2] = [Clients::new(FEW, 16), Clients::new(FEW, SESSIONS)];

/// One session, also where a contender is compared with itself.
const ONE: Clients = Clients::new(FEW, 1);

const MANY: Clients = Clients::new(256, 200);

const FEW: usize = 16;

/// The load after which memory is measured that no other load was measured before.
const SHORT: Effort = Effort {
    rounds: 1,
    seconds: 5.0,
};

/// How many browsers sign in, at the outpost and at each peer.
const SESSIONS: usize = 2_000;
const PEER_SESSIONS: usize = 200;

/// Routers with the plugin in one Traefik.
const ROUTERS: usize = 25;

const MANY_APPLICATIONS: usize = 1_000;
const MANY_PATTERNS: usize = 100;
const MANY_GROUPS: usize = 200;

/// Runs everything and writes the reports.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    setup::demo()?;
    Packaged::Wrk.ensure()?;
    Packaged::Nginx.ensure()?;
    ensure!(
        !arguments.write_docs || arguments.only.is_empty() || arguments.only == [Section::Store],
        "`--write-docs` goes with all measurements, or with `--only store`"
    );
    let under_load = [
        Section::Load,
        Section::Memory,
        Section::Flatness,
        Section::Changes,
    ]
    .into_iter()
    .any(|section| arguments.measures(section));
    if under_load {
        build::release_outpost()?;
    }
    let mut report = Report {
        machine: usage::machine()?,
        versions: versions(arguments.peers)?,
        rounds: arguments.rounds,
        seconds: arguments.seconds,
        plugin_bytes: fs::metadata(built::plugin()?)?.len(),
        ..Report::default()
    };
    let mut failed = Vec::new();
    if arguments.measures(Section::Guest) {
        let verdicts = guest::verdicts().map(|verdicts| report.verdicts = verdicts);
        let shared = guest::shared().map(|shared| report.shared = shared);
        let found = verdicts.and(shared);
        note("guest", found, &mut failed);
    }
    let folder = tempfile::Builder::new()
        .prefix("gatepost-bench-")
        .tempdir()?;
    if under_load {
        let found = measure_under_load(arguments, folder.path(), &mut report, &mut failed);
        note("start", found, &mut failed);
    }
    if arguments.measures(Section::Store) {
        let rows = Packaged::Redis.ensure().and_then(|_| store::measure());
        let found = rows.map(|rows| report.stores = rows);
        note("store", found, &mut failed);
    }
    write(&report, arguments, failed.is_empty())?;
    ensure!(failed.is_empty(), "these failed: {}", failed.join(", "));
    Ok(())
}

/// Measures what needs Traefik, each part whether or not the one before has failed: a run takes half
/// an hour.
fn measure_under_load(
    arguments: &Arguments,
    folder: &Path,
    report: &mut Report,
    failed: &mut Vec<String>,
) -> Result<()> {
    let bench = Bench::start(folder)?;
    let effort = Effort {
        rounds: arguments.rounds,
        seconds: arguments.seconds,
    };
    if arguments.measures(Section::Load) {
        let found = bench.load(effort, arguments, report);
        note("load", found, failed);
    }
    if arguments.measures(Section::Memory) {
        let found = bench.memory(arguments.rounds.div_ceil(2), report);
        note("memory", found, failed);
    }
    if arguments.measures(Section::Flatness) {
        let found = bench.flatness(effort).map(|flat| report.flatness = flat);
        note("flatness", found, failed);
    }
    if arguments.measures(Section::Changes) {
        let lists = changes::of_lists(&bench.stage.scene);
        let both = lists.and_then(|lists| Ok(vec![lists, changes::of_reloads()?]));
        note("changes", both.map(|both| report.changes = both), failed);
    }
    Ok(())
}

/// Says at once which measurements failed, and remembers it for the end.
fn note(what: &str, found: Result<()>, failed: &mut Vec<String>) {
    if let Err(error) = found {
        eprintln!("{what} failed: {error:#}");
        failed.push(what.to_owned());
    }
}

/// What every measurement uses.
struct Bench {
    folder: PathBuf,
    app: Nginx,
    static_auth: Nginx,
    stage: Stage,
    empty_guest: PathBuf,
}

impl Bench {
    fn start(folder: &Path) -> Result<Self> {
        let app = Nginx::app(folder)?;
        let stage = Self::stage(
            folder,
            &app,
            Size {
                applications: 1,
                groups: 2,
                sessions: SESSIONS,
            },
        )?;
        Ok(Self {
            folder: folder.to_owned(),
            static_auth: Nginx::forward_auth(folder, &stage.scene.identity)?,
            app,
            stage,
            empty_guest: compile_empty_guest(folder)?,
        })
    }

    fn stage(folder: &Path, app: &Nginx, size: Size) -> Result<Stage> {
        let name = format!("{}-{}", size.applications, size.groups);
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        Stage::start(&build::release_outpost_path(), size, app, folder)
    }

    /// Returns the ways to guard the app that are always compared, the plain one first.
    fn contenders(&self) -> Result<Vec<Contender>> {
        let scene = &self.stage.scene;
        Ok(vec![
            scene.bare()?,
            scene.native_headers("headers", "Traefik's `headers`, same headers")?,
            scene.empty_guest(self.empty_guest.clone())?,
            scene.plugin("plugin", "plugin", &json!({}))?,
            scene.route(self.stage.site.ports().outpost)?,
            scene
                .forward_auth(
                    "static",
                    "forwardAuth to a static nginx",
                    self.static_auth.port,
                    "/",
                )?
                .asking(self.static_auth.process.group()),
            self.stage
                .outpost("outpost", "forwardAuth to the outpost")?,
        ])
    }

    fn memory(&self, rounds: usize, report: &mut Report) -> Result<()> {
        let contenders = self.contenders()?;
        report.memory = memory::measure(&contenders, &self.stage.scene, &self.app, rounds)?;
        // Otherwise the load has shown it, with the peers.
        if report.resident.is_empty() {
            let residents = Residents::of(&contenders)?;
            let running = started(contenders, &self.stage.scene)?;
            throughput::measure(&running, MANY, SHORT)?;
            report.resident = residents.after_load(&running)?;
        }
        Ok(())
    }

    fn load(&self, effort: Effort, arguments: &Arguments, report: &mut Report) -> Result<()> {
        let mut contenders = self.contenders()?;
        contenders.push(self.stage.scene.plugin_routers(ROUTERS)?);
        let mut sign_ins = vec![SignIns {
            title: "the outpost".to_owned(),
            per_second: self.stage.sign_ins_per_second,
        }];
        let mut peers = Vec::new();
        if arguments.peers {
            for kept in [Oauth2ProxySession::Minimal, Oauth2ProxySession::WithTokens] {
                peers.push(peers::oauth2_proxy(&self.stage, kept, PEER_SESSIONS)?);
            }
            peers.extend(self.given_peers(arguments.peer_binaries.as_deref(), report));
        }
        for peer in &peers {
            contenders.push(peer.contender.clone());
            sign_ins.push(SignIns {
                title: peer.contender.title.clone(),
                per_second: peer.sign_ins_per_second,
            });
        }
        report.sign_ins = sign_ins;
        let residents = Residents::of(&contenders)?;
        let running = started(contenders, &self.stage.scene)?;
        for clients in ALL {
            let rows = throughput::measure(&running, clients, effort)?;
            report.throughput.extend(rows);
        }
        report.resident = residents.after_load(&running)?;
        let (few, others): (Vec<_>, Vec<_>) = running
            .into_iter()
            .partition(|(own, _)| matches!(&*own.key, "headers" | "plugin" | "route" | "outpost"));
        drop(others);
        for clients in SOME {
            let rows = throughput::measure(&few, clients, effort)?;
            report.throughput.extend(rows);
        }
        Ok(())
    }

    /// Starts the peers whose programs are in the folder, and says which are missing.
    fn given_peers(&self, folder: Option<&Path>, report: &mut Report) -> Vec<Peer> {
        let (mut peers, mut missing) = (Vec::new(), Vec::new());
        for given in Given::ALL {
            let program = folder.map(|folder| folder.join(given.program()));
            let Some(program) = program.filter(|program| program.is_file()) else {
                missing.push(given.name());
                continue;
            };
            match given.peer(&program, &self.stage, PEER_SESSIONS) {
                Ok(peer) => peers.push(peer),
                // The others can be compared all the same.
                Err(error) => {
                    eprintln!("{} cannot be measured: {error:#}", given.name());
                    missing.push(given.name());
                }
            }
        }
        report.missing = format!("Not measured: {}.", peers::UNMEASURED);
        if !missing.is_empty() {
            let names = missing.join(", ");
            let without = format!(" Nor without their programs (`--peer-binaries`): {names}.");
            report.missing.push_str(&without);
        }
        eprintln!("{}", report.missing);
        peers
    }

    /// Compares each grown quantity with its ungrown form, in separate rounds.
    fn flatness(&self, effort: Effort) -> Result<Vec<Flat>> {
        let mut flat = Vec::new();
        let scene = &self.stage.scene;

        let many = Self::stage(
            &self.folder,
            &self.app,
            Size {
                applications: MANY_APPLICATIONS,
                groups: 2,
                sessions: 1,
            },
        )?;
        let pair = vec![self.stage.outpost("one", "")?, many.outpost("many", "")?];
        let rows = throughput::measure(&started(pair, scene)?, ONE, effort)?;
        let title = format!("outpost: 1 application → {MANY_APPLICATIONS}");
        flat.push(Flat::of(&title, &rows, "many", "one")?);
        drop(many);

        let patterns: Vec<String> = (0..MANY_PATTERNS)
            .map(|n| format!("/public/{n}/*"))
            .collect();
        let pair = vec![
            scene.plugin("one", "", &json!({ "public": ["/public/0/*"] }))?,
            scene.plugin("many", "", &json!({ "public": patterns }))?,
        ];
        let rows = throughput::measure(&started(pair, scene)?, ONE, effort)?;
        let title = format!("plugin: 1 public pattern → {MANY_PATTERNS}");
        flat.push(Flat::of(&title, &rows, "many", "one")?);

        // The longer cookie and the longer header cost every contender something, also the one that
        // only sets the header; the comparison is about the plugin's part.
        let [few, many] = [1, MANY_GROUPS].map(|groups| {
            let size = Size {
                applications: 1,
                groups,
                sessions: 1,
            };
            Self::stage(&self.folder, &self.app, size)
        });
        let (few, many) = (few?, many?);
        let mut running = Vec::new();
        for (stage, [headers, plugin, outpost]) in [
            (&few, ["headers-1", "plugin-1", "outpost-1"]),
            (&many, ["headers-200", "plugin-200", "outpost-200"]),
        ] {
            let contenders = vec![
                stage.scene.native_headers(headers, "")?,
                stage.scene.plugin(plugin, "", &json!({}))?,
                stage.outpost(outpost, "")?,
            ];
            running.extend(started(contenders, &stage.scene)?);
        }
        let rows = throughput::measure(&running, ONE, effort)?;
        for who in ["headers", "plugin", "outpost"] {
            let title = format!("{who}: 1 group → {MANY_GROUPS}");
            flat.push(Flat::of(
                &title,
                &rows,
                &format!("{who}-200"),
                &format!("{who}-1"),
            )?);
        }
        for groups in ["1", "200"] {
            let title = format!("plugin, as a share of `headers`, {groups} groups");
            let (plugin, headers) = (format!("plugin-{groups}"), format!("headers-{groups}"));
            flat.push(Flat::of(&title, &rows, &plugin, &headers)?);
        }
        Ok(flat)
    }
}

/// Returns the headers of a page load in a browser, as the plugin receives them.
fn page_load() -> Result<BTreeMap<String, String>> {
    let headers = fs::read(layout::root().join("testdata/bench/page-load.json"))?;
    Ok(serde_json::from_slice(&headers)?)
}

fn started(contenders: Vec<Contender>, scene: &Scene) -> Result<Vec<(Contender, Running)>> {
    let start = |contender: Contender| {
        let running = contender.start(scene)?;
        Ok((contender, running))
    };
    contenders.into_iter().map(start).collect()
}

fn versions(with_peers: bool) -> Result<Vec<String>> {
    let first_line = |command: &mut Command| -> Result<String> {
        let output = command.output()?;
        let bytes = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&bytes);
        Ok(text.lines().next().unwrap_or_default().trim().to_owned())
    };
    let traefik = first_line(Command::new(Traefik.locate()?).arg("version"))?;
    let traefik = traefik.replace("Version:", "Traefik");
    let traefik: Vec<&str> = traefik.split_whitespace().collect();
    let nginx = first_line(Command::new(Packaged::Nginx.locate()?).arg("-v"))?;
    let wrk = first_line(Command::new(Packaged::Wrk.locate()?).arg("-v"))?;
    let wrk: Vec<&str> = wrk.split_whitespace().take(2).collect();
    let commit = ["log", "-1", "--format=Gatepost %h of %cs"];
    let commit = first_line(Command::new("git").args(commit).current_dir(layout::root()))?;
    let mut versions = vec![
        commit,
        traefik.join(" "),
        nginx.replace("nginx version: nginx/", "nginx "),
        wrk.join(" ").replace("debian/", ""),
    ];
    if with_peers {
        versions.push(format!("oauth2-proxy {}", peers::OAUTH2_PROXY.version));
    }
    Ok(versions)
}

/// Prints the report and leaves it in files.
fn write(report: &Report, arguments: &Arguments, is_complete: bool) -> Result<()> {
    let markdown = report.markdown();
    let stores = report.stores_markdown();
    let json = serde_json::to_string_pretty(report)?;
    println!("\n{markdown}\n{stores}");
    let folder = layout::target_dir().join("bench");
    fs::create_dir_all(&folder)?;
    let svg = chart::throughput(&report.throughput);
    fs::write(folder.join("report.md"), format!("{markdown}\n{stores}"))?;
    fs::write(folder.join("report.json"), &json)?;
    fs::write(folder.join("benchmarks.svg"), &svg)?;
    println!("Also in {}", folder.display());
    if let Some(file) = &arguments.json {
        fs::write(file, &json).with_context(|| format!("write {}", file.display()))?;
    }
    if arguments.write_docs && is_complete {
        let docs = layout::root().join("docs");
        let page = docs.join("benchmarks.md");
        let mut text = fs::read_to_string(&page)?;
        // A run of some measurements has not what the others found.
        if arguments.only.is_empty() {
            fs::write(docs.join("benchmarks.svg"), &svg)?;
            text = report::put_into_page(&text, report::BEGIN, &markdown)?;
        }
        if !report.stores.is_empty() {
            text = report::put_into_page(&text, report::BEGIN_STORES, &stores)?;
        }
        fs::write(page, text)?;
    }
    Ok(())
}
