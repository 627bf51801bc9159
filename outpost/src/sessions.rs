//! Sessions: the store on one side, the cookie on the other.
//!
//! [`Sessions`] issues, finds, looks up, renews and revokes them. It asks the provider whether a
//! session is still valid ([`Revalidation`]), once however many requests wait for the answer, and
//! informs proxies and other replicas of revocations ([`Revoker`]).

mod flights;
mod issue;
mod lookup;
mod preview;
mod provider_pauses;
mod recent_revocations;
mod revalidation;
mod revalidator;
mod revoker;
mod service;
mod unsaved;

pub use flights::Patience;
pub use issue::{IssueError, Issued, IssuedCookie, Voucher};
pub use lookup::{Renewal, SessionLookup};
pub use recent_revocations::Mark;
pub use revalidation::{Revalidation, RevalidationError};
pub use revalidator::Revalidator;
pub use revoker::{RevokedFile, Revoker};
pub use service::{OfCookie, Sessions};
