//! Puts sessions into the store of an outpost that is not running, so that `cargo xtask soak` has
//! ten thousand users without ten thousand sign-ins.
//!
//! A package of its own, because `xtask` would otherwise compile the outpost for every chore.
//!
//! `gatepost-fill-store CONFIG` writes how long a window of the configuration is and when its renewal is
//! due, in seconds, and then reads the claims of one session's first cookie from each line of
//! standard input. The provider counts as asked a day from now, since it knows none of them.

use std::io::{BufRead as _, Write as _, stdin, stdout};
use std::path::Path;
use std::process::ExitCode;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gatepost::config::Config;
use gatepost_base::Clock;
use gatepost_base::{Identity, Secret};
use gatepost_session::{Claims, NumericDate};
use gatepost_store::{Recovery, SessionRecord};

/// How many are written at the same time.
const AT_ONCE: usize = 64;

/// Seconds for which a session lasts, and for which it counts as confirmed.
const DAY: u64 = 24 * 3_600;

#[tokio::main]
async fn main() -> ExitCode {
    match fill().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn fill() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::args_os().nth(1).ok_or("name a configuration")?;
    let config = Config::load(Some(Path::new(&file)), [])?;
    let times = &config.session;
    writeln!(stdout(), "{} {}", times.window, times.renew_after)?;
    let recovery = Recovery {
        clock: Clock::system(),
        lifetime: config.session.lifetime,
    };
    let store = gatepost_store::open(&config.store, &config.keys, recovery)?;
    let records: Vec<SessionRecord> = stdin()
        .lock()
        .lines()
        .map(|line| Ok(record(serde_json::from_str(&line?)?)))
        .collect::<Result<_, Box<dyn std::error::Error>>>()?;
    stream::iter(records)
        .map(|record| store.insert(record))
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok(())
}

fn record(claims: Claims) -> SessionRecord {
    let ends = claims.iat.plus_seconds(DAY);
    SessionRecord {
        id: claims.sid,
        audience: claims.aud,
        identity: Identity {
            issuer: claims.iss,
            subject: claims.sub,
            preferred_username: claims.preferred_username,
            name: claims.name,
            email: claims.email,
            email_verified: claims.email_verified,
            groups: claims.groups.into(),
            groups_whole: true,
            acr: claims.acr,
            amr: claims.amr.into(),
            auth_time: claims.auth_time,
            extra: std::collections::BTreeMap::new(),
            claims_of_rules: std::collections::BTreeSet::new(),
        },
        provider_session: None,
        refresh_token: None,
        access_token: None,
        id_token: Secret::new("of no sign-in".to_owned()),
        device: None,
        created: claims.iat,
        last_validated: NumericDate::from_seconds(claims.iat.as_seconds() + DAY),
        last_seen: claims.iat,
        window_ends: claims.exp,
        ends,
    }
}
