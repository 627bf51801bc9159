//! What people do, and what attackers try, against the whole: real Traefik with the built plugin,
//! the outpost, a real OpenID provider, and for some a real browser.
//!
//! `cargo xtask test --only e2e` builds and installs what these need. Each test has a stack of its
//! own, on ports of its own; its logs stay in `target/e2e/<test>/`.

mod assertion;
mod browser;
mod cookies;
mod groups;
mod headers;
mod javascript;
mod key_rotation;
mod outages;
mod public;
mod settings;
mod sign_in;
mod sign_out;
mod streams;
