//! The environment.

use core::ptr;

use zeroize::Zeroizing;

/// Returns an environment variable of the host's choice for this guest. `None` also where its value
/// is not UTF-8.
pub fn variable(name: &str) -> Option<String> {
    // SAFETY: the host writes to memory of the function itself.
    let (count, bytes) = unsafe { wasip1::environ_sizes_get() }.ok()?;
    let mut starts = vec![ptr::null_mut(); count];
    // Keys may be among them.
    let mut buffer = Zeroizing::new(vec![0; bytes]);
    // SAFETY: the host said that the variables are as many and as long.
    unsafe { wasip1::environ_get(starts.as_mut_ptr(), buffer.as_mut_ptr()) }.ok()?;
    let value = buffer.split(|byte| *byte == 0).find_map(|variable| {
        let rest = variable.strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b"=")
    })?;
    Some(core::str::from_utf8(value).ok()?.to_owned())
}
