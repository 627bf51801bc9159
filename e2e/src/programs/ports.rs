//! Loopback ports for the programs of a stack.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::Path;
use std::process;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use nix::unistd::geteuid;

/// Ports are taken from below the range that the system hands to outgoing connections, so that no
/// client socket of another test lands on one between the moment it is found free and the moment
/// the program that it is meant for listens.
const RANGE: Range<u16> = 20_000..32_000;

/// The ports of this process, each with the lock that keeps other test processes away from it for
/// as long as this one lives.
static HANDED_OUT: Mutex<BTreeMap<u16, File>> = Mutex::new(BTreeMap::new());

/// Returns a port of 127.0.0.1 on which nothing listens and which no test has been given before.
///
/// # Errors
///
/// When the whole range is taken, or there is no place for the locks.
pub fn free() -> Result<u16> {
    let folder = env::temp_dir().join(format!("gatepost-ports-{}", geteuid()));
    fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    let mut handed_out = HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    // Processes that run side by side start at different places, to try less often in vain.
    let span = u32::from(RANGE.end - RANGE.start);
    let first = process::id().wrapping_mul(1_009) % span;
    for step in 0..span {
        let port = RANGE.start + u16::try_from((first + step) % span)?;
        if handed_out.contains_key(&port) {
            continue;
        }
        if let Some(lock) = lock(&folder, port)?.filter(|_| is_free(port)) {
            handed_out.insert(port, lock);
            return Ok(port);
        }
    }
    bail!("no free port between {} and {}", RANGE.start, RANGE.end)
}

/// Returns whether nothing listens on this port of 127.0.0.1.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Locks a port, unless another process has locked it.
fn lock(folder: &Path, port: u16) -> Result<Option<File>> {
    let path = folder.join(port.to_string());
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    Ok(file.try_lock().is_ok().then_some(file))
}
