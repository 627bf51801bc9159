//! Where configurations come from: files and the environment, or authentik's API. A source keeps
//! the outpost's configuration current while it is served.

pub mod authentik;
pub mod files;
mod introduction;
