//! What a verdict takes natively, all but the proxy: `cargo bench -p gatepost-plugin`.
//!
//! `cargo xtask bench --only guest` counts what the built guest takes.

// A bench whose own data is wrong has nothing to measure; and the code of the macros has no docs.
#![allow(clippy::expect_used, missing_docs)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use gatepost_plugin::{Flow, Gate, Host, Level, ReadPart, Reply, Texts};
use gatepost_session::{Claims, KeyRing, NumericDate, SessionId};
use gatepost_signing::Signer;
use serde_json::{Value, json};

const NOW: NumericDate = NumericDate::from_seconds(1_800_000_000);
const KEY: &str = "bench:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";

/// A request with one line of cookies and its NUL, in the hands of a proxy that does nothing with it.
struct Proxy {
    cookie: String,
}

impl Host for Proxy {
    fn method(&self) -> Vec<u8> {
        b"GET".into()
    }

    fn target(&self) -> Vec<u8> {
        b"/public/../x".into()
    }

    fn source_address(&self) -> Vec<u8> {
        b"192.0.2.7:4711".into()
    }

    fn with_header_names<R>(&self, read: impl FnOnce(Texts<'_>) -> R) -> R {
        read(Texts::new(
            b"accept\0accept-encoding\0cookie\0host\0user-agent\0x-forwarded-for\0\
              x-forwarded-host\0x-forwarded-proto\0",
        ))
    }

    fn with_header_lines<R>(&self, name: &str, read: impl FnOnce(Texts<'_>) -> R) -> R {
        read(Texts::new(match name {
            "cookie" => self.cookie.as_bytes(),
            "x-forwarded-proto" => b"https\0",
            _ => b"",
        }))
    }

    fn set_header(&self, name: &str, value: &[u8]) {
        black_box((name, value));
    }

    fn add_header(&self, name: &str, value: &[u8]) {
        black_box((name, value));
    }

    fn remove_header(&self, name: &[u8]) {
        black_box(name);
    }

    fn add_response_header(&self, name: &str, value: &[u8]) {
        black_box((name, value));
    }

    fn respond(&self, reply: Reply) {
        black_box(reply);
    }

    fn now(&self) -> NumericDate {
        NOW
    }

    fn read_parts<R>(
        &self,
        _: &str,
        _: impl FnOnce(&mut ReadPart<'_>) -> Result<R, String>,
    ) -> Result<R, String> {
        Err("no files".into())
    }

    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn log(&self, _: Level, _: &str) {}
}

fn session(groups: usize) -> Proxy {
    let names: Vec<String> = (0..groups).map(|n| format!("team-{n:03}")).collect();
    let claims: Claims = serde_json::from_value(json!({
        "iss": "https://id.example.com",
        "sub": "248289761001",
        "aud": "wiki",
        "sid": SessionId::from_random([7; 24]).expose(),
        "iat": NOW,
        "exp": NOW.plus_seconds(900),
        "rnw": NOW.plus_seconds(600),
        "preferred_username": "alice",
        "email": "alice@example.com",
        "groups": names,
    }))
    .expect("claims");
    let ring = KeyRing::parse(KEY).expect("a ring");
    let token = Signer::new(&ring).sign(&claims);
    Proxy {
        cookie: format!(
            "theme=dark; __Host-gatepost={}; lang=en\0",
            token.expect("a token")
        ),
    }
}

fn gate(more: Value, proxy: &Proxy) -> Gate {
    let mut settings = json!({
        "application": "wiki",
        "keys": [KEY],
        "require": { "groups": ["team-000"] },
    });
    if let (Some(settings), Value::Object(more)) = (settings.as_object_mut(), more) {
        settings.extend(more);
    }
    Gate::new(settings.to_string().as_bytes(), proxy)
}

fn verdicts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verdict");
    for groups in [1, 20, 200] {
        let proxy = session(groups);
        group.bench_function(BenchmarkId::new("first time, groups", groups), |bencher| {
            bencher.iter_batched_ref(
                || gate(json!({}), &proxy),
                |gate| assert_eq!(gate.handle(&proxy), Flow::Continue),
                criterion::BatchSize::SmallInput,
            );
        });
        let mut gate = gate(json!({}), &proxy);
        group.bench_function(BenchmarkId::new("seen before, groups", groups), |bencher| {
            bencher.iter(|| assert_eq!(gate.handle(black_box(&proxy)), Flow::Continue));
        });
    }
    let anonymous = Proxy {
        cookie: "theme=dark\0".into(),
    };
    for count in [1, 100] {
        let patterns: Vec<String> = (0..count).map(|n| format!("/public/{n}/*")).collect();
        let mut gate = gate(json!({ "public": patterns }), &anonymous);
        group.bench_function(
            BenchmarkId::new("anonymous, public patterns", count),
            |bencher| {
                bencher.iter(|| assert_eq!(gate.handle(black_box(&anonymous)), Flow::Responded));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, verdicts);
criterion_main!(benches);
