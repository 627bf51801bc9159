//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use gatepost_base::contained;

use crate::config::environment;
use crate::sources::authentik::Settings;
use config_file::ConfigFile;
use exit::Exit;
use runtime::on_runtime;

mod check;
mod config_file;
mod exit;
mod export;
mod healthcheck;
mod import;
mod inspect;
mod keygen;
mod keys;
mod operator;
mod output;
mod runtime;
mod serve;
mod sessions;
mod shipped;
mod why;

/// Gatepost's outpost: OpenID Connect sign-in and forward auth for Traefik, nginx, Caddy, HAProxy and Envoy.
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
    /// Check the configuration, connect to the providers, and report what would be served.
    Check {
        #[command(flatten)]
        config: ConfigFile,
        /// Also follow the path of a browser from this URL of an application to the provider, and
        /// report the problem at the step where it ends.
        #[arg(long, value_name = "URL")]
        url: Option<String>,
        /// Take a Redis that cannot be reached from here for a failure, not for a warning: where the outpost
        /// itself runs, it would not become ready.
        #[arg(long)]
        require_store: bool,
        /// How to write the report.
        #[arg(long, value_enum, default_value = "text")]
        format: check::ReportFormat,
    },
    /// Say which rule decides on a request, and what its sender lacks.
    Why {
        #[command(flatten)]
        asking: Box<why::Asking>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Compare what the rules decide with a table of requests: fails where any is decided otherwise.
    Test {
        /// The table: YAML with a list of `cases`.
        table: PathBuf,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Print configuration for a proxy in front of the applications.
    Export {
        /// For what.
        #[arg(value_enum)]
        form: export::Form,
        /// For `kubernetes`: the namespace of upstreams that name none.
        #[arg(long)]
        namespace: Option<String>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Read another proxy's configuration, and print what takes its place.
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Print a new key for `keys` or the keys file.
    Keygen {
        /// The key's id: letters, digits, `.`, `_` and `-`. Without one: the date, and four hexadecimal digits
        /// that make keys of one day differ.
        #[arg(long, default_value = "", hide_default_value = true)]
        kid: String,
        /// Write the key to this new file, which its owner alone can read. A file that has keys
        /// already stays as it is.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Make a private key for `assertionKeysFile` instead.
        #[arg(long, value_name = "ALGORITHM", value_enum, conflicts_with = "kid")]
        assertion: Option<keygen::AssertionAlgorithm>,
    },
    /// List sessions, end them, and read a cookie.
    #[command(subcommand)]
    Session(SessionCommand),
    /// Create, list and revoke API keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Configuration files to begin with.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the completions of this command for a shell.
    Completions {
        /// For which.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write the manual pages of this command, one for each of its commands.
    Man {
        /// Into this folder.
        folder: PathBuf,
    },
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
enum ConfigCommand {
    /// Print a configuration file to begin with.
    Example {
        /// Which one.
        #[arg(value_enum, default_value_t)]
        which: shipped::Example,
    },
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Create an API key, and print it: this once, on standard output.
    Create {
        #[command(flatten)]
        wanted: keys::Wanted,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Show the API keys of the running outpost, and of its replicas.
    List {
        /// How many at most.
        #[arg(long, default_value_t = 1_000)]
        limit: usize,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Revoke API keys. Every replica refuses them from then on.
    Revoke {
        #[command(flatten)]
        which: keys::Which,
        #[command(flatten)]
        config: ConfigFile,
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
        /// The issuer of the subject, where there are several: a provider, or one of `machineTokens.issuers`.
        #[arg(long)]
        issuer: Option<String>,
        #[command(flatten)]
        config: ConfigFile,
    },
}

/// Runs the command that the process was called with.
pub fn run() -> ExitCode {
    contained::abort_on_others();
    let command = match Cli::try_parse_from(arguments()) {
        Ok(cli) => cli.command,
        Err(reason) => {
            // Whoever reads it may have gone.
            let _ = reason.print();
            return Exit::without_command(&reason).into();
        }
    };
    let outcome = match command {
        Command::Serve(file) => serve::serve(&file),
        Command::Check {
            config,
            url,
            require_store,
            format,
        } => {
            let redis = check::Redis::of(require_store);
            on_runtime(check::check(&config, url.as_deref(), redis, format))
        }
        Command::Why { asking, config } => on_runtime(why::why(*asking, &config)),
        Command::Test { table, config } => on_runtime(why::test(&table, &config)),
        Command::Export {
            form,
            namespace,
            config,
        } => on_runtime(export::export(form, namespace.as_deref(), &config)),
        Command::Import(command) => import::import(&command),
        Command::Keygen {
            kid,
            file,
            assertion,
        } => keygen::keygen(&kid, assertion, file.as_deref()),
        Command::Session(SessionCommand::List { limit, config }) => {
            on_runtime(sessions::list(&config, limit))
        }
        Command::Session(SessionCommand::Revoke {
            whose,
            issuer,
            config,
        }) => on_runtime(sessions::revoke(&config, whose, issuer)),
        Command::Session(SessionCommand::Inspect { cookie, config }) => {
            on_runtime(inspect::inspect(&cookie, &config))
        }
        Command::Key(KeyCommand::Create { wanted, config }) => {
            on_runtime(keys::create(&config, wanted))
        }
        Command::Key(KeyCommand::List { limit, config }) => on_runtime(keys::list(&config, limit)),
        Command::Key(KeyCommand::Revoke { which, config }) => {
            on_runtime(keys::revoke(&config, which))
        }
        Command::Config(ConfigCommand::Example { which }) => shipped::example(which),
        Command::Completions { shell } => shipped::completions(&mut Cli::command(), shell),
        Command::Man { folder } => shipped::manual(Cli::command(), &folder),
        Command::Healthcheck { config, ready } => {
            on_runtime(healthcheck::healthcheck(&config, ready))
        }
    };
    Exit::from(outcome).into()
}

/// Returns the arguments of the process. Without any, the outpost serves, as authentik's container
/// does.
fn arguments() -> Vec<OsString> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.len() == 1
        && matches!(
            Settings::read(environment::process_variables()),
            Ok(Some(_))
        )
    {
        arguments.push("serve".into());
    }
    arguments
}
