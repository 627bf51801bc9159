//! The decision that the plugin and the outpost share: which requests pass, and which headers go
//! upstream. A request gets one answer wherever it is decided.
//!
//! - [`Policy::decide`] turns a request and a session in force (or none) into a [`Decision`].
//!   Nothing in it allows by default: a request goes upstream only with a [`Permit`], and only
//!   `decide` makes one.
//! - [`HeaderRules`] knows the request headers that belong to Gatepost, under all the spellings
//!   that an upstream may fold into one name, and renders them from a `Permit`.
//! - [`Rules`] are the ordered rules that an operator writes, and [`PublicPaths`] and [`Require`]
//!   their short form.
//! - [`SignIn`] builds the URL that starts a sign-in and leads back.
//! - [`state`] names the files in which the outpost says all of this to its plugins.
//! - [`config`] reads the settings that both programs have in common, and reports every problem at
//!   once.
//!
//! Like `gatepost-session`, the crate is `no_std`: no clock, no I/O, no randomness, and no hash
//! map on what a client sends.

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod api_key_text;
mod authorization;
pub mod config;
mod decide;
mod fingerprint;
mod header_name;
mod headers;
mod network;
mod percent;
mod public;
mod request;
mod require;
mod rules;
mod sign_in;
pub mod state;
mod why;

pub use api_key_text::holds_api_key;
pub use authorization::{API_KEY_PREFIX, AuthorizationSchemes, Scheme, UnknownScheme};
pub use decide::{Decision, Deferral, Denial, Permit, Policy, Unauthenticated};
pub use header_name::{HeaderName, InvalidHeaderName};
pub use headers::{
    ASSERTION_CLAIM, HeaderRules, HeaderSettings, OUTPOST_VERDICT, Preset, RULE_HEADER,
    RULE_PROOF_HEADER, VERDICT_HEADER, alias_patterns, owned_prefixes,
};
pub use network::{ClientAddress, InvalidNetwork, Network};
pub use public::{InvalidPattern, PublicPaths, unambiguous_path};
pub use request::{Presentation, Request, UNKNOWN_METHOD, asks_for_websocket};
pub use require::{InvalidRule, LinkedConditions, Require, Ruling, StepUp, is_class_name};
pub use rules::{Demand, Idle, InvalidDemand, Rule, Rules};
pub use sign_in::{
    AUTHENTICATION, InvalidOutpostUrl, InvalidPrefix, OutpostPrefix, OutpostUrl, PROOF, STEP_UP,
    SignIn, UNTIL_BOUND, until_bound, with_conditions, with_unproven_conditions,
};
pub use why::Reason;
