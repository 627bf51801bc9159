//! The plugin's settings: any settings make a gate that answers, and each problem is one line
//! without the keys.

#![no_main]

// The double of the host that the built guest is compared with.
#[path = "../../plugin/tests/guest/exchange.rs"]
#[allow(dead_code)]
mod exchange;

use gatepost_plugin::Config;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

use self::exchange::{Request as PluginRequest, native_gate, natively};

/// The beginning of the seeds' keys.
const SECRET: &str = "Zm9yLXRoZS10";

/// Returns whether it is also somewhere that is not a key, such as the name of a claim.
fn is_outside_the_keys(data: &[u8]) -> bool {
    let mut settings: Value = serde_json::from_slice(data.trim_ascii()).unwrap_or_default();
    if let Some(settings) = settings.as_object_mut() {
        settings.retain(|name, _| !name.eq_ignore_ascii_case("keys"));
    }
    settings.to_string().contains(SECRET)
}

fuzz_target!(|data: &[u8]| {
    let served = match Config::read(data) {
        Ok(config) => {
            assert!(
                is_outside_the_keys(data) || !format!("{config:?}").contains(SECRET),
                "a key is shown"
            );
            true
        }
        Err(problems) => {
            let said = problems.to_string();
            assert!(!said.is_empty() && !said.contains('\n'), "{said:?}");
            false
        }
    };
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let mut gate = native_gate(text);
    let outcome = natively(&mut gate, &PluginRequest::new("GET", "/x"));
    assert!(served || outcome.status == 503, "wrong settings are served");
});
