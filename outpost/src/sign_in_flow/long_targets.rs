//! The targets of sign-ins under way that are too long for a cookie, in authentik's place.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use gatepost_session::NumericDate;

use super::{LIFETIME_SECONDS, PendingSignIn, id_of};
use crate::application::{Application, ReturnTo};

/// The most targets that are kept, of 9 KiB at most each.
const CAPACITY: usize = 500;

/// The targets of sign-ins under way that are too long for a cookie, such as those with a SAML request.
///
/// Elsewhere they are in several cookies, which any replica reads.
///
/// They are in this process alone: after a restart, or at another replica, the user comes to the
/// start page of the application. There are few, and the oldest makes room, so clients that begin
/// sign-ins and never finish them fill no memory.
#[derive(Debug, Default)]
pub(crate) struct LongTargets(Mutex<VecDeque<Kept>>);

#[derive(Debug)]
struct Kept {
    /// The flow's id.
    flow: String,
    target: String,
    ends: NumericDate,
}

impl LongTargets {
    /// Keeps the target of a flow that begins, if cookies do not.
    pub(crate) fn keep(&self, flow: &PendingSignIn, application: &Application) {
        if flow.return_to.fits_cookies(application) {
            return;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| flow.began < kept.ends);
        if kept.len() >= CAPACITY {
            kept.pop_front();
        }
        kept.push_back(Kept {
            flow: id_of(flow.state.secret()),
            target: flow.return_to.as_str().to_owned(),
            ends: flow.began.plus_seconds(LIFETIME_SECONDS.into()),
        });
    }

    /// Gives a flow that ends at `now` the target that was kept for it, if there is one.
    pub(crate) fn give_back(
        &self,
        mut flow: PendingSignIn,
        application: &Application,
        now: NumericDate,
    ) -> PendingSignIn {
        let id = id_of(flow.state.secret());
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|kept| kept.flow == id);
        let found = found.and_then(|at| kept.remove(at));
        let target = found.filter(|kept| now < kept.ends);
        // The configuration may have changed meanwhile.
        let target = target.and_then(|kept| ReturnTo::parse(&kept.target, application));
        if let Some(target) = target {
            flow.return_to = target;
        }
        flow
    }
}
