//! Ending the sessions that authentik has ended.
//!
//! authentik says it once, so it is kept until it is done: also over the time that the store is
//! away, and over a change of the configuration.

use std::collections::BTreeSet;
use std::sync::Weak;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::log_limit::LogLimit;
use crate::runtime::Outpost;
use gatepost_store::{SessionSelector, StoreUnavailable};

/// The pause between two attempts, while the store is away.
const RETRY: Duration = Duration::from_secs(3);

/// How many sessions at authentik may wait to be ended.
const MAX_WAITING: usize = 100_000;

/// Ends the sessions of sessions at authentik as they come, until there is no outpost any more.
pub(super) async fn end_sessions(
    outpost: Weak<Outpost>,
    mut sessions: mpsc::UnboundedReceiver<String>,
) {
    let mut waiting = BTreeSet::new();
    let mut failures = LogLimit::default();
    loop {
        if waiting.is_empty() {
            match sessions.recv().await {
                Some(session) => waiting.insert(session),
                None => return,
            };
        }
        while let Ok(session) = sessions.try_recv() {
            if waiting.len() < MAX_WAITING {
                waiting.insert(session);
            } else {
                tracing::error!("too many sessions of authentik's wait to be ended: one is left");
            }
        }
        let Some(outpost) = outpost.upgrade() else {
            return;
        };
        match end_all(&outpost, &mut waiting).await {
            Ok(()) => {
                if failures.recovered() {
                    tracing::info!("the sessions that authentik has ended are over");
                }
            }
            Err(error) => {
                if let Some(left_out) = failures.failed(Instant::now()) {
                    tracing::error!(
                        %error,
                        left_out,
                        waiting = waiting.len(),
                        "cannot end the sessions that authentik has ended: it is tried again"
                    );
                }
                drop(outpost);
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Ends what waits, as far as the store lets it.
async fn end_all(
    outpost: &Outpost,
    waiting: &mut BTreeSet<String>,
) -> Result<(), StoreUnavailable> {
    let mut failed = None;
    for session in std::mem::take(waiting) {
        match end(outpost, &session).await {
            Ok(ended) => tracing::info!(ended, "authentik ended a session"),
            Err(error) => {
                waiting.insert(session);
                failed = failed.or(Some(error));
            }
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Ends the sessions of one session at authentik, and says how many there were.
async fn end(outpost: &Outpost, session: &str) -> Result<usize, StoreUnavailable> {
    let snapshot = outpost.snapshot();
    // One session at authentik is one of each provider that the user has been to.
    let providers = snapshot.providers.iter();
    let which = providers.map(|provider| SessionSelector::ProviderSession {
        issuer: provider.settings().issuer.to_string(),
        session: session.to_owned(),
    });
    let revoker = outpost.sessions.revoker();
    revoker.revoke_each(which.collect(), &snapshot.times).await
}
