//! The plugin's settings: whatever they are, a gate comes of them, it answers, and what is wrong
//! is said in one line without the keys.

#![no_main]

// The double of the host that the built guest is compared with.
#[path = "../../plugin/tests/guest/exchange.rs"]
#[allow(dead_code)]
mod exchange;

use gatepost_plugin::Config;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

use self::exchange::{Request as PluginRequest, native_gate, natively};

/// What the seeds' keys begin with.
const SECRET: &str = "QkNERUZHSElK";

/// Whether it is also said where it is no key, as the name of a claim for instance.
fn stands_elsewhere(data: &[u8]) -> bool {
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
                stands_elsewhere(data) || !format!("{config:?}").contains(SECRET),
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
