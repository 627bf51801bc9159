//! Loopback ports for the programs of a stack.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::process;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};

/// Ports are taken from below the range that the system hands to outgoing connections, so that no
/// client socket of another test lands on one between the moment it is found free and the moment
/// the program that it is meant for listens.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

static HANDED_OUT: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port on 127.0.0.1 that nothing listens on and that this process has not handed out before.
///
/// # Errors
///
/// When the whole range is taken.
pub fn free() -> Result<u16> {
    let mut handed_out = HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    // Test processes that run side by side start at different places.
    let span = u32::from(RANGE.end - RANGE.start);
    let first = process::id().wrapping_mul(101) % span;
    for step in 0..span {
        let offset = u16::try_from((first + step) % span)?;
        let port = RANGE.start + offset;
        if !handed_out.contains(&port) && is_free(port) {
            handed_out.insert(port);
            return Ok(port);
        }
    }
    bail!("no free port between {} and {}", RANGE.start, RANGE.end)
}

/// Whether nothing listens on this port of 127.0.0.1.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
