//! Programs that a test starts, and what surrounds them: ports, a clock, a disk.

pub mod asserted;
mod fake_clock;
pub mod gunicorn;
mod mcp_server;
pub mod ports;
mod process;
pub mod prometheus;
mod redis;
mod service;
mod small_disk;

pub use fake_clock::FakeClock;
pub use mcp_server::McpServer;
pub use process::Process;
pub use redis::Redis;
pub use service::Service;
pub use small_disk::SmallDisk;
