//! The clock.

/// Returns how many seconds have passed since 1970 (POSIX: without leap seconds). 0 where the host
/// has no clock.
pub fn seconds_since_epoch() -> u64 {
    const NANOSECONDS: u64 = 1_000_000_000;
    // SAFETY: the arguments are numbers, and the host writes to memory of the function itself.
    let time = unsafe { wasip1::clock_time_get(wasip1::CLOCKID_REALTIME, NANOSECONDS) };
    time.unwrap_or_default() / NANOSECONDS
}
