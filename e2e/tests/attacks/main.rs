//! Attacks on the whole: requests made to get past a proxy that asks Gatepost, sent byte for byte.
//!
//! `docs/security.md` says which attack each test covers.

mod added;
mod admission;
mod fronts;
mod hosts;
mod limits;
mod questions;
mod removed;
mod requests;
mod said;
mod sent;
mod shown;
mod spellings;
mod targets;
mod traefiks;
mod trailers;
mod tunnels;
