//! `gatepost serve`.

use super::config_file::{ConfigFile, Origin};
use super::output::said;
use super::runtime::on_runtime;
use crate::server::{self, Source};
use crate::service_manager::Inherited;
use crate::sources::authentik::Follower;
use crate::telemetry::logging;
use crate::telemetry::traces::Traces;

pub(super) fn serve(file: &ConfigFile) -> Option<()> {
    // Before there is a second thread.
    let inherited = said(Inherited::take())?;
    let (config, source) = match file.origin()? {
        Origin::Authentik(settings) => {
            let mut follower = said(Follower::new(*settings))?;
            let config = said(follower.first_config())?;
            (config, Source::Authentik(Box::new(follower)))
        }
        Origin::File => (file.load()?, Source::Files(file.config.clone())),
    };
    on_runtime(async {
        let traces = config.traces.as_ref().map(Traces::start).transpose();
        let traces = said(traces)?;
        said(logging::start(&config.log, traces.as_ref()))?;
        let served = server::serve(config, source, inherited)
            .await
            .inspect_err(|error| tracing::error!(%error, "cannot serve"));
        if let Some(traces) = traces {
            traces.finish().await;
        }
        served.ok()
    })
}
