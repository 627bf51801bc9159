//! The command line.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Parser, Subcommand};
use gatepost_session::KeyId;

use crate::authentik::{self, Follower, Settings};
use crate::config::Config;
use crate::server::Source;
use crate::telemetry::logging;
use crate::telemetry::traces::Traces;
use crate::{reload, server};
use gatepost_base::contained;

mod check;
mod export;
mod healthcheck;
mod inspect;
mod sessions;

/// Gatepost's outpost: OpenID Connect sign-in and forward auth for Traefik, nginx, Caddy and Envoy.
#[derive(Debug, Parser)]
#[command(name = "gatepost", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve sign-in and forward auth.
    // What authentik's container is called with.
    #[command(alias = "proxy")]
    Serve(ConfigFile),
    /// Check the configuration, reach the providers, and say what would be served.
    Check {
        #[command(flatten)]
        config: ConfigFile,
        /// Also walk the path of a browser from this URL of an application to the provider, and
        /// say what is wrong on the way.
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
    /// Print configuration for a proxy in front of the applications.
    Export {
        /// For what.
        #[arg(value_enum)]
        form: export::Form,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Print a new key for `keys` or the keys file.
    Keygen {
        /// The key's id: letters, digits, `.`, `_` and `-`. Without one: the date, and four digits
        /// that tell keys of one day apart.
        #[arg(long, default_value = "", hide_default_value = true)]
        kid: String,
    },
    /// Look into sessions.
    #[command(subcommand)]
    Session(SessionCommand),
    /// Ask a running outpost whether it lives, for container engines.
    Healthcheck {
        #[command(flatten)]
        config: ConfigFile,
        /// Ask whether sign-ins work too.
        #[arg(long)]
        ready: bool,
    },
}

#[derive(Debug, Subcommand)]
enum SessionCommand {
    /// Print what a session cookie says, and whether a configured key made it.
    Inspect {
        /// The cookie's value, or `-` to read it from standard input, where no list of processes
        /// shows it.
        cookie: String,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Show the sessions of the running outpost, and of its replicas.
    List {
        /// How many at most.
        #[arg(long, default_value_t = 1_000)]
        limit: usize,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// End sessions of the running outpost, and of its replicas.
    Revoke {
        #[command(flatten)]
        whose: sessions::Whose,
        /// The provider of the subject, where there are several.
        #[arg(long)]
        issuer: Option<String>,
        #[command(flatten)]
        config: ConfigFile,
    },
}

#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file. Without one, the environment says everything.
    #[arg(long, short, env = "GATEPOST_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// The configuration, or `None` after having said what is wrong with it.
    fn load(&self) -> Option<Config> {
        let config = said(Config::load(self.config.as_deref(), reload::variables()));
        if config.is_none() && self.config.is_none() {
            complain(
                &"no configuration file was read: name one with `--config` or `GATEPOST_CONFIG`",
            );
        }
        config
    }

    /// The configuration, for which authentik is asked where its variables say so and no file
    /// does.
    async fn load_or_ask(&self) -> Option<Config> {
        match self.authentik()? {
            Some(settings) => {
                let (config, problems) = said(authentik::ask(settings).await)?;
                problems.iter().for_each(complain);
                Some(config)
            }
            None => self.load(),
        }
    }

    /// What authentik's variables say, where there is no configuration file; `None` after having
    /// said what is wrong with them.
    fn authentik(&self) -> Option<Option<Settings>> {
        if self.config.is_some() {
            return Some(None);
        }
        said(Settings::read(reload::variables()))
    }
}

/// Runs the command that the process was called with.
pub fn run() -> ExitCode {
    contained::abort_on_others();
    let outcome = match Cli::parse_from(arguments()).command {
        Command::Serve(file) => serve(&file),
        Command::Check { config, url } => on_runtime(check::check(&config, url.as_deref())),
        Command::Export { form, config } => on_runtime(export::export(form, &config)),
        Command::Keygen { kid } => keygen(&kid),
        Command::Session(SessionCommand::List { limit, config }) => {
            on_runtime(sessions::list(&config, limit))
        }
        Command::Session(SessionCommand::Revoke {
            whose,
            issuer,
            config,
        }) => on_runtime(sessions::revoke(&config, whose, issuer)),
        Command::Session(SessionCommand::Inspect { cookie, config }) => {
            inspect::inspect(&cookie, &config)
        }
        Command::Healthcheck { config, ready } => {
            on_runtime(healthcheck::healthcheck(&config, ready))
        }
    };
    match outcome {
        Some(()) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    }
}

fn serve(file: &ConfigFile) -> Option<()> {
    let (config, source) = match file.authentik()? {
        Some(settings) => {
            let mut follower = said(Follower::new(settings))?;
            let config = said(follower.first_config())?;
            (config, Source::Authentik(Box::new(follower)))
        }
        None => (file.load()?, Source::Files(file.config.clone())),
    };
    on_runtime(async {
        let traces = config.traces.as_ref().map(Traces::start).transpose();
        let traces = said(traces)?;
        said(logging::start(&config.log, traces.as_ref()))?;
        let served = server::serve(config, source)
            .await
            .inspect_err(|error| tracing::error!(%error, "cannot serve"));
        if let Some(traces) = traces {
            traces.finish().await;
        }
        served.ok()
    })
}

/// The arguments of the process. Without any, authentik's container serves, and so does this.
fn arguments() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.len() == 1 && matches!(Settings::read(reload::variables()), Ok(Some(_))) {
        arguments.push("serve".into());
    }
    arguments
}

fn keygen(kid: &str) -> Option<()> {
    let mut key = zeroize::Zeroizing::new([0; 32]);
    let mut tail = [0; 2];
    if let Err(error) = getrandom::fill(key.as_mut_slice()).and(getrandom::fill(&mut tail)) {
        complain(&format!("the operating system has no randomness: {error}"));
        return None;
    }
    let id = if kid.is_empty() {
        let date = chrono::Utc::now().format("%Y-%m-%d");
        format!("{date}-{:04x}", u16::from_be_bytes(tail))
    } else {
        kid.to_owned()
    };
    if KeyId::new(&id).is_none() {
        complain(&format!(
            "--kid {id:?}: expected 1 to 64 letters, digits, `.`, `_` or `-`"
        ));
        return None;
    }
    say(&format!("{id}:{}", STANDARD.encode(key.as_slice())));
    Some(())
}

fn on_runtime<T>(work: impl Future<Output = Option<T>>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            None
        }
    }
}

/// Writes a line to standard output. What reads it may have gone.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The value, or `None` after having said what is wrong.
fn said<T>(outcome: Result<T, impl std::fmt::Display>) -> Option<T> {
    outcome.map_err(|error| complain(&error)).ok()
}

/// Writes what is wrong to standard error.
fn complain(error: &impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{error}");
}
