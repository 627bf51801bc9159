//! Answers an operator's requests: about sessions here, about API keys in `keys`.

use gatepost_session::SessionId;

use super::admin_error::AdminError;
use super::in_force::InForce;
use super::keys;
use super::protocol::{
    AdminRequest, AdminResponse, Dated, KeyRequest, SessionSummary, open_request, seal_response,
};
use crate::runtime::Outpost;
use crate::telemetry::audit::{self, Scope};
use gatepost_store::SessionSelector;

/// How far the clocks of command and outpost may be apart, in seconds.
const MAX_AGE_SECONDS: u64 = 60;

/// Answers a sealed request with a sealed response.
///
/// # Errors
///
/// [`AdminError`].
pub async fn answer(outpost: &Outpost, text: &str) -> Result<String, AdminError> {
    let snapshot = outpost.snapshot();
    let keys = &snapshot.operator_keys;
    let now = outpost.clock.now();
    let Dated { at, request } = open_request(keys, text).ok_or(AdminError::Refused)?;
    let apart = now.seconds_since(at) + at.seconds_since(now);
    let remember_until = at.plus_seconds(MAX_AGE_SECONDS + 1);
    // No two sealed texts are equal: each has a nonce of its own.
    if apart > MAX_AGE_SECONDS
        || !outpost
            .store
            .use_once_to_end(text, now, remember_until)
            .await?
    {
        return Err(AdminError::Refused);
    }
    let response = match selector(request)? {
        Requested::Keys(request) => keys::answer(outpost, request).await?,
        Requested::InForce => AdminResponse::InForce(InForce::from(&*snapshot)),
        Requested::List { limit } => {
            let records = outpost.store.list(limit).await?;
            let all = records.iter().map(|record| SessionSummary::from(&**record));
            AdminResponse::Sessions(all.collect())
        }
        Requested::Revocation(which) => {
            let revoker = outpost.sessions.revoker();
            let ended = revoker.revoke(&which, &snapshot.times).await?;
            audit_revocation(&which, ended);
            AdminResponse::Ended(ended)
        }
    };
    seal_response(keys, &response).ok_or(AdminError::NoRandomness)
}

/// Logs what an operator has ended. Whose a single session was is in the other lines of its `session`.
fn audit_revocation(which: &SessionSelector, ended: usize) {
    let (scope, issuer, subject) = match which {
        SessionSelector::Id(id) => (Scope::Session(id), "", None),
        SessionSelector::Subject { issuer, subject }
        | SessionSelector::SubjectWithoutProviderSession { issuer, subject } => {
            (Scope::Subject, issuer.as_str(), Some(subject.as_str()))
        }
        SessionSelector::ProviderSession { issuer, .. } => {
            (Scope::ProviderSession, issuer.as_str(), None)
        }
        SessionSelector::All => (Scope::Everyone, "", None),
    };
    audit::revoked("operator", scope, issuer, subject, ended);
}

/// A request, read.
enum Requested {
    List { limit: usize },
    Keys(KeyRequest),
    InForce,
    Revocation(SessionSelector),
}

fn selector(request: AdminRequest) -> Result<Requested, AdminError> {
    Ok(Requested::Revocation(match request {
        AdminRequest::List { limit } => return Ok(Requested::List { limit }),
        AdminRequest::RevokeSession { id } => {
            SessionSelector::Id(SessionId::parse(&id).ok_or(AdminError::InvalidSessionId)?)
        }
        AdminRequest::RevokeSubject { issuer, subject } => {
            SessionSelector::Subject { issuer, subject }
        }
        AdminRequest::RevokeEveryone => SessionSelector::All,
        AdminRequest::Keys(request) => return Ok(Requested::Keys(request)),
        AdminRequest::InForce => return Ok(Requested::InForce),
    }))
}
