//! `gatepost session inspect`: shows the content of a cookie to an operator who has it.

use std::io::Read as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepost_session::{Audience, CLOCK_SKEW_SECONDS, KeyRing, MAX_TOKEN_BYTES, Verifier};
use serde_json::Value;

use super::config_file::ConfigFile;
use super::output::{complain, say};
use crate::config::Config;
use gatepost_base::Clock;

pub(super) async fn inspect(cookie: &str, file: &ConfigFile) -> Option<()> {
    let config = file.load_or_ask().await?;
    let cookie = if cookie == "-" {
        read_stdin()?
    } else {
        cookie.to_owned()
    };
    // Browsers copy it with its name; base64url has no `=`.
    let cookie = cookie.trim();
    let cookie = cookie.rsplit_once('=').map_or(cookie, |(_, value)| value);
    let mut parts = cookie.split('.');
    let (Some(header), Some(claims), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        complain(&"not a session cookie: expected three parts with dots between");
        return None;
    };
    let (Some(header), Some(claims)) = (decode(header), decode(claims)) else {
        complain(&"not a session cookie: its parts are not base64url of JSON");
        return None;
    };
    say(&format!("header  {header}"));
    say(&format!("claims  {claims:#}"));
    let audience = claims
        .get("aud")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let verdict = Audience::new(audience)
        .map_err(|error| error.to_string())
        .and_then(|audience| {
            Verifier::new(keys_of(&config, &audience), audience)
                .authenticate(cookie.as_bytes())
                .map_err(|error| error.to_string())
        });
    match &verdict {
        Ok(session) => {
            let now = Clock::system().now();
            say("mac     holds: a configured key made it");
            match session.current(now, CLOCK_SKEW_SECONDS) {
                Ok(current) => {
                    let left = current.claims().exp.seconds_since(now);
                    say(&format!("window  in force for {left} s more"));
                    // Neither the store nor the list of ended sessions has been asked.
                    say("ended?  not looked at: `gatepost session list` shows those that go on");
                    let log_id = current.claims().sid.log_id();
                    say(&format!("log     session={log_id}"));
                }
                Err(error) => say(&format!("window  {error}")),
            }
            if config
                .applications
                .iter()
                .all(|a| a.audience.as_str() != audience)
            {
                say(&format!(
                    "aud     `{audience}` is not one of the configured applications"
                ));
            }
        }
        Err(error) => say(&format!("mac     {error}")),
    }
    verdict.ok().map(drop)
}

/// Returns the keys that sign sessions of an application: its own, or the configuration's.
fn keys_of<'c>(config: &'c Config, audience: &Audience) -> &'c KeyRing {
    let mut applications = config.applications.iter();
    let application = applications.find(|application| application.audience == *audience);
    let own = application.and_then(|application| application.capabilities.keys.as_ref());
    own.map_or(&config.keys, |own| &own.ring)
}

fn read_stdin() -> Option<String> {
    let mut text = String::new();
    // One byte more than a cookie can have, so that a longer one is not taken for shorter.
    let limit = u64::try_from(MAX_TOKEN_BYTES)
        .unwrap_or(u64::MAX)
        .saturating_add(2);
    match std::io::stdin().take(limit).read_to_string(&mut text) {
        Ok(_) => Some(text),
        Err(error) => {
            complain(&format!("cannot read standard input: {error}"));
            None
        }
    }
}

fn decode(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}
