//! A host for the built guest: what http-wasm-host-go does, in the parts that the guest calls.
//!
//! <https://http-wasm.io/http-handler-abi/>. As there, a value that does not fit the guest's
//! buffer is not written at all, and its length is returned.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use wasmi::{Caller, Config, Engine, Error, Extern, Linker, Memory, Module, Store, TypedFunc};

use crate::exchange::{Fields, NOW, Request, Result as Outcome};

/// The error for an invalid file descriptor (`errno` of WASI preview 1).
const BADF: i32 = 8;

/// The size of a page of linear memory, in bytes.
const PAGE_BYTES: usize = 64 * 1024;

/// What a counted request may take, in wasmi's units of fuel.
const FUEL: u64 = 1 << 40;

/// The compiled plugin.
pub(crate) struct Plugin {
    engine: Engine,
    module: Module,
}

impl Plugin {
    /// Reads the built plugin.
    pub(crate) fn built() -> Self {
        Self::read(&Config::default())
    }

    /// Returns the same as [`Self::built`]; its guests count the instructions that they execute.
    pub(crate) fn counted() -> Self {
        Self::read(Config::default().consume_fuel(true))
    }

    fn read(config: &Config) -> Self {
        static PATH: OnceLock<PathBuf> = OnceLock::new();
        let path = PATH.get_or_init(path);
        let bytes = std::fs::read(path).expect("the built plugin");
        let engine = Engine::new(config);
        let module = Module::new(&engine, &bytes).expect("a module");
        Self { engine, module }
    }

    /// Returns the modules and functions that the guest imports from its host.
    pub(crate) fn imports(&self) -> Vec<String> {
        let name = |import: wasmi::ImportType<'_>| format!("{}.{}", import.module(), import.name());
        self.module.imports().map(name).collect()
    }

    /// Starts a guest with these settings.
    pub(crate) fn start(&self, settings: &str) -> Guest {
        let state = State {
            settings: settings.as_bytes().to_vec(),
            ..State::default()
        };
        let mut store = Store::new(&self.engine, state);
        // Refused where nothing is counted.
        let _ = store.set_fuel(FUEL);
        let linker = linker(&self.engine);
        let instance = linker
            .instantiate_and_start(&mut store, &self.module)
            .expect("an instance");
        let start: TypedFunc<(), ()> = instance.get_typed_func(&store, "_start").expect("_start");
        start.call(&mut store, ()).expect("the guest starts");
        Guest {
            handle_request: instance
                .get_typed_func(&store, "handle_request")
                .expect("handle_request"),
            handle_response: instance
                .get_typed_func(&store, "handle_response")
                .expect("handle_response"),
            memory: instance.get_memory(&store, "memory").expect("a memory"),
            store,
        }
    }
}

/// Returns the plugin that the environment names, or the one that is built here when its sources
/// are newer.
fn path() -> PathBuf {
    if let Some(path) = env::var_os("E2E_PLUGIN_WASM") {
        return path.into();
    }
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let built = Command::new("cargo")
        .args(["xtask", "plugin"])
        .current_dir(&checkout)
        .status();
    assert!(
        built.is_ok_and(|status| status.success()),
        "`cargo xtask plugin` failed"
    );
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| checkout.join("target"), PathBuf::from);
    checkout.join(target).join("plugin/plugin.wasm")
}

/// The host's state while it runs a guest.
#[derive(Default)]
struct State {
    settings: Vec<u8>,
    request: Request,
    outcome: Outcome,
    log: Vec<String>,
}

/// A running guest. It serves one request after another, as those in Traefik's pool do.
pub(crate) struct Guest {
    store: Store<State>,
    memory: Memory,
    handle_request: TypedFunc<(), i64>,
    handle_response: TypedFunc<(i32, i32), ()>,
}

impl Guest {
    /// Hands a request to the guest; a trap is an error.
    pub(crate) fn handle(&mut self, request: &Request) -> Result<Outcome, Error> {
        let state = self.store.data_mut();
        state.request = request.clone();
        state.outcome = Outcome {
            fields: request.fields.clone(),
            ..Outcome::default()
        };
        let answer = self.handle_request.call(&mut self.store, ())?;
        let mut outcome = std::mem::take(&mut self.store.data_mut().outcome);
        outcome.next = answer & 1 == 1;
        Ok(outcome)
    }

    /// Returns how much a request makes the guest execute, which is the same each time: a unit is
    /// about an instruction, and copies cost by their length.
    pub(crate) fn work(&mut self, request: &Request) -> u64 {
        self.store.set_fuel(FUEL).expect("a plugin that counts");
        self.handle(request).expect("no trap");
        FUEL - self.store.get_fuel().expect("a plugin that counts")
    }

    /// Calls the guest at the end of the upstream's response, which may have broken off.
    pub(crate) fn response(&mut self, broken_off: bool) -> Result<(), Error> {
        let arguments = (0, i32::from(broken_off));
        self.handle_response.call(&mut self.store, arguments)
    }

    /// Returns the size of the guest's linear memory, in pages of 64 KiB.
    pub(crate) fn pages(&self) -> usize {
        self.memory.data_size(&self.store) / PAGE_BYTES
    }

    /// Returns the log of the guest.
    pub(crate) fn log(&self) -> &[String] {
        &self.store.data().log
    }
}

type Call<'c> = Caller<'c, State>;

fn memory(caller: &Call<'_>) -> Memory {
    caller
        .get_export("memory")
        .and_then(Extern::into_memory)
        .expect("the guest exports its memory")
}

fn size(number: i32) -> usize {
    usize::try_from(number).expect("lengths and addresses are not negative")
}

fn read(caller: &Call<'_>, at: i32, length: i32) -> Vec<u8> {
    let mut bytes = vec![0; size(length)];
    memory(caller)
        .read(caller, size(at), &mut bytes)
        .expect("the guest's own memory");
    bytes
}

fn write(caller: &mut Call<'_>, at: i32, bytes: &[u8]) {
    memory(caller)
        .write(caller, size(at), bytes)
        .expect("the guest's own memory");
}

/// Writes a value if it fits, and returns its length.
fn give(caller: &mut Call<'_>, value: &[u8], buffer: i32, limit: i32) -> i32 {
    if value.len() <= size(limit) {
        write(caller, buffer, value);
    }
    i32::try_from(value.len()).expect("values are short")
}

/// Writes several values as [`give`] does: each ends with NUL, and their number is returned too.
fn give_all<'v>(
    caller: &mut Call<'_>,
    values: impl Iterator<Item = &'v [u8]>,
    buffer: i32,
    limit: i32,
) -> i64 {
    let mut joined = Vec::new();
    let mut count = 0_i64;
    for value in values {
        joined.extend_from_slice(value);
        joined.push(0);
        count += 1;
    }
    let length = give(caller, &joined, buffer, limit);
    count << 32 | i64::from(length)
}

fn fields<'s>(caller: &'s mut Call<'_>, kind: i32) -> &'s mut Fields {
    let outcome = &mut caller.data_mut().outcome;
    match kind {
        0 => &mut outcome.fields,
        1 => &mut outcome.answer,
        _ => panic!("the guest asks for trailers"),
    }
}

fn linker(engine: &Engine) -> Linker<State> {
    let mut linker = Linker::new(engine);
    http(&mut linker).expect("each name once");
    wasi(&mut linker).expect("each name once");
    linker
}

fn http(linker: &mut Linker<State>) -> Result<(), Error> {
    const HTTP: &str = "http_handler";
    linker.func_wrap(HTTP, "get_config", |mut caller: Call<'_>, buffer, limit| {
        let settings = caller.data().settings.clone();
        give(&mut caller, &settings, buffer, limit)
    })?;
    linker.func_wrap(
        HTTP,
        "log",
        |mut caller: Call<'_>, level: i32, at, length| {
            let line = String::from_utf8_lossy(&read(&caller, at, length)).into_owned();
            caller.data_mut().log.push(format!("{level}: {line}"));
        },
    )?;
    linker.func_wrap(HTTP, "get_method", |mut caller: Call<'_>, buffer, limit| {
        let method = caller.data().request.method.clone();
        give(&mut caller, &method, buffer, limit)
    })?;
    linker.func_wrap(HTTP, "get_uri", |mut caller: Call<'_>, buffer, limit| {
        let target = caller.data().request.target.clone();
        give(&mut caller, &target, buffer, limit)
    })?;
    linker.func_wrap(
        HTTP,
        "get_source_addr",
        |mut caller: Call<'_>, buffer, limit| {
            let source = caller.data().request.source.clone();
            give(&mut caller, &source, buffer, limit)
        },
    )?;
    linker.func_wrap(
        HTTP,
        "get_header_names",
        |mut caller: Call<'_>, kind, buffer, limit| {
            let names: Vec<Vec<u8>> = fields(&mut caller, kind).keys().cloned().collect();
            let names = names.iter().map(Vec::as_slice);
            give_all(&mut caller, names, buffer, limit)
        },
    )?;
    linker.func_wrap(
        HTTP,
        "get_header_values",
        |mut caller: Call<'_>, kind, name, length, buffer, limit| {
            let name = read(&caller, name, length).to_ascii_lowercase();
            let values = fields(&mut caller, kind).get(&name).cloned();
            let values = values.unwrap_or_default();
            give_all(&mut caller, values.iter().map(Vec::as_slice), buffer, limit)
        },
    )?;
    linker.func_wrap(
        HTTP,
        "set_header_value",
        |mut caller: Call<'_>, kind, name, name_length, value, value_length| {
            let name = read(&caller, name, name_length).to_ascii_lowercase();
            let value = read(&caller, value, value_length);
            fields(&mut caller, kind).insert(name, vec![value]);
        },
    )?;
    linker.func_wrap(
        HTTP,
        "add_header_value",
        |mut caller: Call<'_>, kind, name, name_length, value, value_length| {
            let name = read(&caller, name, name_length).to_ascii_lowercase();
            let value = read(&caller, value, value_length);
            let lines = fields(&mut caller, kind).entry(name).or_default();
            lines.push(value);
        },
    )?;
    linker.func_wrap(
        HTTP,
        "remove_header",
        |mut caller: Call<'_>, kind, name, length| {
            let name = read(&caller, name, length).to_ascii_lowercase();
            fields(&mut caller, kind).remove(&name);
        },
    )?;
    linker.func_wrap(
        HTTP,
        "set_status_code",
        |mut caller: Call<'_>, status: i32| {
            let outcome = &mut caller.data_mut().outcome;
            assert_eq!(outcome.status, 0, "the host writes a status once");
            assert!(outcome.body.is_empty(), "the status comes before the body");
            outcome.status = u16::try_from(status).expect("a status");
        },
    )?;
    linker.func_wrap(
        HTTP,
        "write_body",
        |mut caller: Call<'_>, kind: i32, at, length| {
            assert_eq!(kind, 1, "the guest writes no request body");
            let bytes = read(&caller, at, length);
            caller.data_mut().outcome.body.extend(bytes);
        },
    )?;
    Ok(())
}

/// Adds the part of WASI that a guest without files and environment needs.
fn wasi(linker: &mut Linker<State>) -> Result<(), Error> {
    const WASI: &str = "wasi_snapshot_preview1";
    linker.func_wrap(
        WASI,
        "clock_time_get",
        |mut caller: Call<'_>, _: i32, _: i64, at| {
            let nanoseconds = NOW * 1_000_000_000;
            write(&mut caller, at, &nanoseconds.to_le_bytes());
            0
        },
    )?;
    linker.func_wrap(
        WASI,
        "environ_sizes_get",
        |mut caller: Call<'_>, count, bytes| {
            write(&mut caller, count, &[0; 4]);
            write(&mut caller, bytes, &[0; 4]);
            0
        },
    )?;
    linker.func_wrap(WASI, "environ_get", |_: i32, _: i32| 0)?;
    linker.func_wrap(
        WASI,
        "fd_pread",
        |_: i32, _: i32, _: i32, _: i64, _: i32| BADF,
    )?;
    linker.func_wrap(WASI, "fd_write", |_: i32, _: i32, _: i32, _: i32| BADF)?;
    linker.func_wrap(WASI, "fd_close", |_: i32| BADF)?;
    linker.func_wrap(WASI, "fd_prestat_get", |_: i32, _: i32| BADF)?;
    linker.func_wrap(WASI, "fd_prestat_dir_name", |_: i32, _: i32, _: i32| BADF)?;
    let store_type = wasmi::FuncType::new(
        [
            wasmi::ValType::I32,
            wasmi::ValType::I32,
            wasmi::ValType::I32,
            wasmi::ValType::I32,
            wasmi::ValType::I32,
            wasmi::ValType::I64,
            wasmi::ValType::I64,
            wasmi::ValType::I32,
            wasmi::ValType::I32,
        ],
        [wasmi::ValType::I32],
    );
    linker.func_new(WASI, "path_open", store_type, |_, _, results| {
        results[0] = wasmi::Val::I32(BADF);
        Ok(())
    })?;
    linker.func_wrap(WASI, "proc_exit", |code: i32| -> Result<(), Error> {
        Err(Error::i32_exit(code))
    })?;
    Ok(())
}
