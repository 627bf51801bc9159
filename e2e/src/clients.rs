//! Clients of what a test started: one that behaves as a browser does, a real browser, and
//! connections for the bytes that neither would send.

pub mod chromium;
mod http;
mod mcp;
pub mod raw_http1;
pub mod raw_http2;
mod trusted_front;

pub use http::{Answer, Client, Journey};
pub use mcp::McpClient;
pub use trusted_front::TrustedFront;
