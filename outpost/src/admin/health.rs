//! Whether the store and the providers can be reached.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::runtime::Outpost;

/// How long the store may take to answer before it counts as unavailable.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// The readiness of a part.
pub(super) struct Readiness {
    pub(super) ready: bool,
    /// The part that the response shows to the operator.
    pub(super) shown: Value,
}

/// Checks that the applications are known.
pub(super) fn applications(outpost: &Outpost) -> Readiness {
    let snapshot = outpost.snapshot();
    let unknown = snapshot.applications.unknown();
    Readiness {
        ready: unknown.is_none(),
        shown: match unknown {
            None => json!({"known": true}),
            Some(reason) => json!({"known": false, "error": reason}),
        },
    }
}

/// Checks the store.
pub(super) async fn store(outpost: &Outpost) -> Readiness {
    // A store that can only be read keeps no session, so this writes.
    let check = outpost.store.check_writable(outpost.clock.now());
    let error = match tokio::time::timeout(STORE_TIMEOUT, check).await {
        Ok(Ok(())) => {
            return Readiness {
                ready: true,
                shown: json!({"available": true}),
            };
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", STORE_TIMEOUT.as_secs()),
    };
    Readiness {
        ready: false,
        shown: json!({"available": false, "error": error}),
    }
}

/// Returns which providers answer.
pub(super) fn providers(outpost: &Outpost) -> Readiness {
    let snapshot = outpost.snapshot();
    let shown: Map<String, Value> = snapshot
        .providers
        .iter()
        .map(|provider| {
            let state = if provider.is_answering() {
                json!({"available": true})
            } else {
                json!({"available": false, "error": provider.last_error()})
            };
            (provider.settings().name.clone(), state)
        })
        .collect();
    let mut all = snapshot.providers.iter();
    Readiness {
        ready: all.all(|provider| provider.is_answering()),
        shown: shown.into(),
    }
}
