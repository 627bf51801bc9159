//! The cost of one verdict in the built plugin: calls to its host and instructions of WebAssembly.
//!
//! Counted in an interpreter, so the numbers are the same on every machine and a change that makes
//! them worse shows however noisy the machine is.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow, bail};
use gatepost_e2e::built;
use gatepost_session::{Claims, KeyRing, SessionId};
use gatepost_signing::Signer;
use serde::Serialize;
use serde_json::{Value, json};
use wasmi::{
    Caller, CompilationMode, Config, Engine, Extern, Func, Linker, Memory, Module, Store,
    TypedFunc, Val,
};

/// The instant at which the plugin decides.
const NOW: u64 = 1_800_000_000;
const KEY: &str = "bench:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";
const FUEL: u64 = 1 << 40;

/// What a verdict took.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) case: String,
    /// Instructions executed, as the interpreter counts them.
    pub(crate) instructions: u64,
    /// Calls to the host, by function.
    pub(crate) host_calls: BTreeMap<String, u64>,
    /// Bytes of linear memory afterwards.
    pub(crate) memory: usize,
}

impl Verdict {
    pub(crate) fn total_host_calls(&self) -> u64 {
        self.host_calls.values().sum()
    }
}

/// Returns the cases that a report shows.
pub(crate) fn verdicts() -> Result<Vec<Verdict>> {
    let plugin = Plugin::built()?;
    let mut verdicts = Vec::new();
    for groups in [1, 20, 200] {
        let cookie = session_cookie(groups, "alice")?;
        let mut guest = plugin.start(&json!({}))?;
        // Another user's browser of the same kind was there before.
        guest.verdict("", &session_cookie(1, "bob")?, true)?;
        let name = if groups == 1 { "group" } else { "groups" };
        verdicts.push(guest.verdict(&format!("first time, {groups} {name}"), &cookie, true)?);
        verdicts.push(guest.verdict(&format!("seen before, {groups} {name}"), &cookie, true)?);
    }
    let patterns: Vec<String> = (0..100).map(|n| format!("/public/{n}/*")).collect();
    let mut guest = plugin.start(&json!({ "public": patterns }))?;
    let cookie = session_cookie(1, "alice")?;
    guest.verdict("", &cookie, true)?;
    verdicts.push(guest.verdict("seen before, 100 public patterns", &cookie, true)?);
    let mut guest = plugin.start(&json!({ "fallback": "route" }))?;
    guest.verdict("", &cookie, true)?;
    verdicts.push(guest.verdict("seen before, `fallback: route`", &cookie, true)?);
    let forged = forge(&cookie);
    let mut guest = plugin.start(&json!({}))?;
    verdicts.push(guest.verdict("forged", &forged, false)?);
    verdicts.push(guest.verdict("no cookie", "theme=dark", false)?);
    Ok(verdicts)
}

/// What a verdict took on average where several users use one guest.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Shared {
    pub(crate) users: usize,
    /// Instructions, where users take turns with every request.
    pub(crate) in_turn: u64,
    /// Instructions, where each user sends ten requests before the next, as for one page.
    pub(crate) page_by_page: u64,
    /// Bytes of linear memory afterwards.
    pub(crate) memory: usize,
}

/// How many requests a page makes.
const REQUESTS_OF_PAGE: usize = 10;

/// Returns what users take who share one guest.
pub(crate) fn shared() -> Result<Vec<Shared>> {
    let plugin = Plugin::built()?;
    let one = |users: usize| -> Result<Shared> {
        let cookies = (0..users).map(|user| session_cookie(5, &format!("user-{user}")));
        let cookies = cookies.collect::<Result<Vec<_>>>()?;
        let (in_turn, memory) = plugin.average(&cookies, 1)?;
        let (page_by_page, _) = plugin.average(&cookies, REQUESTS_OF_PAGE)?;
        Ok(Shared {
            users,
            in_turn,
            page_by_page,
            memory,
        })
    };
    [1, 8, 16, 200, 2_000].into_iter().map(one).collect()
}

/// Returns a `Cookie` header with a user's session of so many groups, and with cookies of the app
/// around it.
fn session_cookie(groups: usize, user: &str) -> Result<String> {
    let names: Vec<String> = (0..groups).map(|n| format!("team-{n:03}")).collect();
    let claims: Claims = serde_json::from_value(json!({
        "iss": "https://id.example.com",
        "sub": "248289761001",
        "aud": "wiki",
        "sid": SessionId::from_random([7; 24]).expose(),
        "iat": NOW,
        "exp": NOW + 900,
        "rnw": NOW + 600,
        "preferred_username": user,
        "email": "alice@example.com",
        "groups": names,
    }))?;
    let ring = KeyRing::parse(KEY)?;
    let token = Signer::new(&ring).sign(&claims)?;
    Ok(format!("theme=dark; __Host-gatepost={token}; lang=en"))
}

/// Returns the same with one character in the middle changed.
fn forge(cookie: &str) -> String {
    let middle = cookie.len() / 2;
    let change = |(at, character)| match (at == middle, character) {
        (true, 'A') => 'B',
        (true, _) => 'A',
        (false, character) => character,
    };
    cookie.chars().enumerate().map(change).collect()
}

/// The built plugin, compiled for the interpreter.
struct Plugin {
    engine: Engine,
    module: Module,
}

impl Plugin {
    fn built() -> Result<Self> {
        let mut config = Config::default();
        // Fuel is what counts instructions; compiling a function at its first call would add to it.
        config
            .consume_fuel(true)
            .compilation_mode(CompilationMode::Eager);
        let engine = Engine::new(&config);
        let bytes = std::fs::read(built::plugin()?)?;
        Ok(Self {
            module: Module::new(&engine, &bytes)?,
            engine,
        })
    }

    /// Returns how many instructions a verdict takes on average in a guest that has been warmed up,
    /// where users with these cookies send so many requests each in turn, and the guest's memory.
    fn average(&self, cookies: &[String], requests: usize) -> Result<(u64, usize)> {
        let mut guest = self.start(&json!({}))?;
        let (mut instructions, mut count, mut memory) = (0, 0, 0);
        for is_counted in [false, true] {
            for cookie in cookies {
                for _ in 0..requests {
                    let verdict = guest.verdict("users in turn", cookie, true)?;
                    memory = verdict.memory;
                    if is_counted {
                        instructions += verdict.instructions;
                        count += 1;
                    }
                }
            }
        }
        Ok((instructions / count, memory))
    }

    fn start(&self, more: &Value) -> Result<Guest> {
        let mut settings = json!({
            "application": "wiki",
            "keys": [KEY],
            "require": { "groups": ["team-000"] },
        });
        if let (Some(settings), Some(more)) = (settings.as_object_mut(), more.as_object()) {
            settings.extend(more.clone());
        }
        let mut store = Store::new(
            &self.engine,
            Exchange {
                settings: settings.to_string().into_bytes(),
                ..Exchange::default()
            },
        );
        store.set_fuel(FUEL)?;
        let mut linker = Linker::new(&self.engine);
        for import in self.module.imports() {
            let (module, name) = (import.module().to_owned(), import.name().to_owned());
            let ty = import
                .ty()
                .func()
                .context("the guest imports functions only")?;
            let called = name.clone();
            let function = Func::new(&mut store, ty.clone(), move |caller, arguments, results| {
                answer(&called, caller, arguments, results)
            });
            linker.define(&module, &name, function)?;
        }
        let instance = linker.instantiate_and_start(&mut store, &self.module)?;
        let start: TypedFunc<(), ()> = instance.get_typed_func(&store, "_start")?;
        start.call(&mut store, ())?;
        Ok(Guest {
            handle: instance.get_typed_func(&store, "handle_request")?,
            memory: instance.get_memory(&store, "memory").context("a memory")?,
            store,
        })
    }
}

/// A running guest.
struct Guest {
    store: Store<Exchange>,
    handle: TypedFunc<(), i64>,
    memory: Memory,
}

impl Guest {
    fn verdict(&mut self, case: &str, cookie: &str, passes: bool) -> Result<Verdict> {
        let exchange = self.store.data_mut();
        exchange.headers = headers(cookie)?;
        exchange.calls.clear();
        self.store.set_fuel(FUEL)?;
        let next = self.handle.call(&mut self.store, ())? & 1 == 1;
        if next != passes {
            bail!("{case}: expected the request to pass: {passes}, and it did: {next}");
        }
        Ok(Verdict {
            case: case.to_owned(),
            instructions: FUEL - self.store.get_fuel()?,
            host_calls: self.store.data().calls.clone(),
            memory: self.memory.data_size(&self.store),
        })
    }
}

/// Returns the headers of a page load with this cookie.
fn headers(cookie: &str) -> Result<BTreeMap<String, String>> {
    let mut headers = super::page_load()?;
    headers.insert("cookie".to_owned(), cookie.to_owned());
    headers.insert("host".to_owned(), "wiki.example.com".to_owned());
    Ok(headers)
}

/// One request as the host has it.
#[derive(Default)]
struct Exchange {
    settings: Vec<u8>,
    headers: BTreeMap<String, String>,
    calls: BTreeMap<String, u64>,
}

/// Implements the host's functions, as far as the cases need.
fn answer(
    function: &str,
    mut caller: Caller<'_, Exchange>,
    arguments: &[Val],
    results: &mut [Val],
) -> Result<(), wasmi::Error> {
    *caller
        .data_mut()
        .calls
        .entry(function.to_owned())
        .or_default() += 1;
    let result = dispatch(function, &mut caller, arguments)
        .map_err(|error| wasmi::Error::new(format!("{function}: {error:#}")))?;
    if let Some(place) = results.first_mut() {
        *place = result.unwrap_or(Val::I32(0));
    }
    Ok(())
}

fn dispatch(
    function: &str,
    caller: &mut Caller<'_, Exchange>,
    arguments: &[Val],
) -> Result<Option<Val>> {
    /// The error for an invalid descriptor (`errno` of WASI preview 1): the guest has no files
    /// here.
    const BADF: i32 = 8;
    let number = |at: usize| -> Result<usize> {
        let number = arguments.get(at).and_then(Val::i32);
        Ok(usize::try_from(number.context("an i32")?)?)
    };
    let text = |caller: &Caller<'_, Exchange>, at: usize| -> Result<String> {
        let mut bytes = vec![0; number(at + 1)?];
        let memory = memory(caller)?;
        memory
            .read(caller, number(at)?, &mut bytes)
            .map_err(|error| anyhow!("{error}"))?;
        Ok(String::from_utf8(bytes)?.to_ascii_lowercase())
    };
    Ok(match function {
        "get_config" => {
            let settings = caller.data().settings.clone();
            Some(give(caller, &settings, number(0)?, number(1)?)?)
        }
        "get_method" => Some(give(caller, b"GET", number(0)?, number(1)?)?),
        "get_uri" => Some(give(caller, b"/", number(0)?, number(1)?)?),
        "get_header_names" => {
            let names: Vec<String> = caller.data().headers.keys().cloned().collect();
            Some(give_all(caller, &names, number(1)?, number(2)?)?)
        }
        "get_header_values" => {
            let name = text(caller, 1)?;
            let values: Vec<String> = caller
                .data()
                .headers
                .get(&name)
                .cloned()
                .into_iter()
                .collect();
            Some(give_all(caller, &values, number(3)?, number(4)?)?)
        }
        "clock_time_get" => {
            let nanoseconds = (NOW * 1_000_000_000).to_le_bytes();
            write(caller, number(2)?, &nanoseconds)?;
            Some(Val::I32(0))
        }
        "environ_sizes_get" => {
            write(caller, number(0)?, &[0; 4])?;
            write(caller, number(1)?, &[0; 4])?;
            Some(Val::I32(0))
        }
        name if name.starts_with("fd_") || name.starts_with("path_") => Some(Val::I32(BADF)),
        // The other calls change state that these cases do not read.
        _ => None,
    })
}

fn memory(caller: &Caller<'_, Exchange>) -> Result<Memory> {
    let export = caller.get_export("memory");
    export.and_then(Extern::into_memory).context("a memory")
}

fn write(caller: &mut Caller<'_, Exchange>, at: usize, bytes: &[u8]) -> Result<()> {
    let memory = memory(caller)?;
    memory
        .write(caller, at, bytes)
        .map_err(|error| anyhow!("{error}"))
}

/// Writes a value if it fits, and says how long it is.
fn give(caller: &mut Caller<'_, Exchange>, value: &[u8], at: usize, limit: usize) -> Result<Val> {
    if value.len() <= limit {
        write(caller, at, value)?;
    }
    Ok(Val::I32(i32::try_from(value.len())?))
}

/// Writes as [`give`] does, several values, each closed by NUL.
fn give_all(
    caller: &mut Caller<'_, Exchange>,
    values: &[String],
    at: usize,
    limit: usize,
) -> Result<Val> {
    let mut joined = Vec::new();
    for value in values {
        joined.extend_from_slice(value.as_bytes());
        joined.push(0);
    }
    give(caller, &joined, at, limit)?;
    let count = i64::try_from(values.len())?;
    Ok(Val::I64(count << 32 | i64::try_from(joined.len())?))
}
