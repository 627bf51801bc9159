//! The log: one line for each event, as text or as JSON. No line has a cookie, code, key or token.
//! Lines of one request share its id (`request{id=…}`, in JSON `span.id`), and the trace of the
//! proxy in front where it has one.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer as _, filter::Targets, fmt};

use super::audit;
use super::traces::Traces;

/// How the outpost logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// The least severity that is written.
    pub level: LevelFilter,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text.
    Text,
    /// One JSON object for each line.
    Json,
}

/// Starts logging to standard error, and having spans delivered by `traces`.
///
/// # Errors
///
/// [`TryInitError`] when the process logs already.
pub(crate) fn start(log: &Log, traces: Option<&Traces>) -> Result<(), TryInitError> {
    // The libraries below say at `debug` what requests carry, tokens too: only our own lines go
    // below `warn`.
    let ours = Targets::new()
        .with_default(log.level.min(LevelFilter::WARN))
        .with_target("gatepost", log.level)
        // The audit log has no severity.
        .with_target(audit::TARGET, LevelFilter::INFO);
    let lines = match log.format {
        LogFormat::Text => {
            let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
            fmt::layer()
                .with_writer(std::io::stderr)
                .with_ansi(ansi)
                .with_target(false)
                .boxed()
        }
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(std::io::stderr)
            .boxed(),
    };
    // A list, since an optional layer that is absent counts as one that wants everything.
    let mut layers = vec![lines.with_filter(ours).boxed()];
    layers.extend(traces.map(|traces| traces.layer().boxed()));
    tracing_subscriber::registry().with(layers).try_init()
}
