//! Checks an access token that is bound to a key, and the proof of that key (RFC 9449 §7.1).
//!
//! Everyone can make a key and sign a proof with it, so verifying proofs must cost one client no more
//! than it costs the others: a client whose proofs turn out to be of no use waits.

use std::sync::Arc;

use gatepost_base::Secret;
use gatepost_session::NumericDate;
use gatepost_store::StoreUnavailable;

use crate::machine_clients::{
    self, CheckError, Credentials, DpopProof, ExpectedProof, InvalidDpopProof, MachineClient,
    MachineClients,
};
use crate::rate_limit::TooMany;
use crate::web::context::Context;
use crate::web::request::ForwardedRequest;

/// Why a token with a proof identifies no client.
pub(super) enum Unproven {
    /// The proof is invalid, or missing.
    Proof(InvalidDpopProof),
    /// The token is invalid, or could not be checked.
    Token(Arc<CheckError>),
    /// The client has sent too many proofs in vain.
    TooMany(TooMany),
    /// The store cannot say whether the proof was used before.
    Store(StoreUnavailable),
}

impl From<InvalidDpopProof> for Unproven {
    fn from(reason: InvalidDpopProof) -> Self {
        Self::Proof(reason)
    }
}

/// Checks a token that came with a proof, and uses the proof up.
///
/// # Errors
///
/// [`Unproven`].
pub(super) async fn check(
    context: Context<'_>,
    clients: &MachineClients,
    check: machine_clients::Context<'_>,
    request: &ForwardedRequest<'_>,
    token: Secret,
    now: NumericDate,
) -> Result<Arc<MachineClient>, Unproven> {
    let text = request.header_text("dpop");
    let text = text.ok_or(InvalidDpopProof::Missing)?;
    let url = request.url(check.application);
    let proof = DpopProof::parse(
        text,
        &ExpectedProof {
            method: request.method().as_str(),
            url: url.as_ref().ok_or(InvalidDpopProof::Url)?,
            token: &token,
            now,
        },
    )?;
    let key = proof.key().to_owned();
    let credentials = Credentials::Bound { token, key };
    let attempts = check.failed_attempts;
    let attempt = clients.proof_attempt(check, &credentials);
    attempts
        .allow_proof(attempt)
        .await
        .map_err(Unproven::TooMany)?;
    let proof = match proof.verify() {
        Ok(proof) => proof,
        Err(reason) => {
            attempts.proof_failed(attempt).await;
            return Err(reason.into());
        }
    };
    let machine = match clients.check(check, credentials).await {
        Ok(machine) => machine,
        Err(error) => {
            if matches!(*error, CheckError::Refused(_)) {
                attempts.proof_failed(attempt).await;
            }
            return Err(Unproven::Token(error));
        }
    };
    // Only now: a made-up token costs the store nothing.
    match proof.use_once(&*context.outpost.store, now).await {
        Ok(true) => Ok(machine),
        Ok(false) => {
            attempts.proof_failed(attempt).await;
            Err(InvalidDpopProof::Used.into())
        }
        Err(error) => Err(Unproven::Store(error)),
    }
}
