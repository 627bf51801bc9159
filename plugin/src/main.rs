//! The plugin as an http-wasm guest (<https://http-wasm.io/http-handler-abi/>).

/// Does nothing: only WebAssembly has a host to run in.
#[cfg(not(target_family = "wasm"))]
#[allow(clippy::print_stderr)]
fn main() {
    eprintln!("this program runs inside Traefik: build it with `cargo xtask plugin`");
    std::process::exit(2);
}

#[cfg(target_family = "wasm")]
fn main() {
    guest::register();
}

#[cfg(target_family = "wasm")]
mod guest {
    use std::cell::Cell;

    use gatepost_plugin::{Flow, Gate, Host, Level, ReadPart, Reply, Texts};
    use gatepost_session::NumericDate;
    use gatepost_wasi::{File, seconds_since_epoch, variable};
    use http_wasm_guest::host::{Request, Response, admin, log};
    use http_wasm_guest::{Guest, register as register_guest};

    /// Puts the plugin in place. The gate is made here, so that invalid settings are logged when
    /// the proxy starts.
    pub(super) fn register() {
        let plugin = Plugin {
            gate: Cell::new(None),
        };
        plugin.gate.set(Some(plugin.new_gate()));
        register_guest(plugin);
    }

    struct Plugin {
        /// Taken out while a request is handled. Should a trap ever end one halfway, the host
        /// uses this guest again, finds nothing here, and the next request makes a new gate:
        /// nothing half-written and no lock survives.
        gate: Cell<Option<Box<Gate>>>,
    }

    impl Plugin {
        fn new_gate(&self) -> Box<Gate> {
            let host = Exchange {
                request: None,
                response: None,
            };
            // A copy: nothing calls the host while the host's buffer is lent, and the gate does.
            let settings = admin::with_config(<[u8]>::to_vec);
            Box::new(Gate::new(&settings, &host))
        }
    }

    impl Guest for Plugin {
        fn handle_request(&self, request: &Request, response: &Response) -> (bool, i32) {
            let mut gate = self.gate.take().unwrap_or_else(|| self.new_gate());
            let exchange = Exchange {
                request: Some(request),
                response: Some(response),
            };
            let flow = gate.handle(&exchange);
            self.gate.set(Some(gate));
            (flow == Flow::Continue, 0)
        }

        fn handle_response(&self, _: i32, _: &Request, _: &Response, is_error: bool) {
            if is_error {
                // The upstream broke its response off. The host has caught that, and would end
                // the response as if it were complete unless the guest fails here: a truncated
                // download would look whole. No state is open at this point.
                core::arch::wasm32::unreachable();
            }
        }
    }

    /// A request in the proxy's hands. While the guest starts there is no request.
    struct Exchange<'h> {
        request: Option<&'h Request>,
        response: Option<&'h Response>,
    }

    impl Host for Exchange<'_> {
        // One copy of each, in place of one at every call.
        #[inline(never)]
        fn method(&self) -> Vec<u8> {
            let method = self.request;
            let method = method.map(|request| request.with_method(<[u8]>::to_vec));
            method.unwrap_or_default()
        }

        #[inline(never)]
        fn target(&self) -> Vec<u8> {
            let target = self.request;
            let target = target.map(|request| request.with_uri(<[u8]>::to_vec));
            target.unwrap_or_default()
        }

        fn with_target<R>(&self, read: impl FnOnce(&[u8]) -> R) -> R {
            match self.request {
                Some(request) => request.with_uri(read),
                None => read(b""),
            }
        }

        fn source_address(&self) -> Vec<u8> {
            let source = self.request;
            let source = source.map(|request| request.source_addr().to_vec());
            source.unwrap_or_default()
        }

        fn with_header_names<R>(&self, read: impl FnOnce(Texts<'_>) -> R) -> R {
            match self.request {
                Some(request) => request.header.with_names(|names| read(Texts::new(names))),
                None => read(Texts::new(b"")),
            }
        }

        fn with_header_lines<R>(&self, name: &str, read: impl FnOnce(Texts<'_>) -> R) -> R {
            match self.request {
                Some(request) => request
                    .header
                    .with_values(name.as_bytes(), |lines| read(Texts::new(lines))),
                None => read(Texts::new(b"")),
            }
        }

        fn set_header(&self, name: &str, value: &[u8]) {
            if let Some(request) = self.request {
                request.header.set(name.as_bytes(), value);
            }
        }

        fn add_header(&self, name: &str, value: &[u8]) {
            if let Some(request) = self.request {
                request.header.add(name.as_bytes(), value);
            }
        }

        fn remove_header(&self, name: &[u8]) {
            if let Some(request) = self.request {
                request.header.remove(name);
            }
        }

        fn add_response_header(&self, name: &str, value: &[u8]) {
            if let Some(response) = self.response {
                response.header.add(name.as_bytes(), value);
            }
        }

        fn respond(&self, reply: Reply) {
            let Some(response) = self.response else {
                return;
            };
            for (name, value) in &reply.headers {
                response.header.set(name.as_bytes(), value.as_bytes());
            }
            // The host writes the header with the status, so the status comes after it.
            response.set_status(i32::from(reply.status));
            if !reply.body.is_empty() {
                response.body.write(reply.body.as_bytes());
            }
        }

        fn now(&self) -> NumericDate {
            NumericDate::from_seconds(seconds_since_epoch())
        }

        fn read_parts<R>(
            &self,
            path: &str,
            use_it: impl FnOnce(&mut ReadPart<'_>) -> Result<R, String>,
        ) -> Result<R, String> {
            let file = File::open(path).map_err(|error| {
                let advice = match error.starts_with("permission denied") {
                    true => "let Traefik's user read it",
                    false => "is its folder mounted?",
                };
                format!("{error} ({advice})")
            })?;
            use_it(&mut |offset, length| file.read(offset, length))
        }

        fn env(&self, name: &str) -> Option<String> {
            variable(name)
        }

        fn log(&self, level: Level, message: &str) {
            let level = match level {
                Level::Debug => -1,
                Level::Info => 0,
                Level::Warn => 1,
                Level::Error => 2,
            };
            log::write(level, message.as_bytes());
        }
    }
}
