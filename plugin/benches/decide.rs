//! What a verdict takes natively, all but the proxy: `cargo bench -p gatepost-plugin`.
//!
//! `cargo xtask bench --only guest` counts what the built guest takes.

// A bench whose own data is wrong has nothing to measure; and what the macros make has no docs.
#![allow(clippy::expect_used, missing_docs)]

use std::borrow::Cow;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use gatepost_plugin::{Gate, Host, Level, Outcome, ReadPart, Respond};
use gatepost_session::{Claims, KeyRing, NumericDate, SessionId};
use gatepost_signing::Signer;
use serde_json::{Value, json};

const NOW: NumericDate = NumericDate::from_seconds(1_800_000_000);
const KEY: &str = "bench:QkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5fYGE=";

/// A request with one line of cookies, in the hands of a proxy that does nothing with it.
struct Proxy {
    cookie: String,
}

impl Host for Proxy {
    type Bytes = Cow<'static, [u8]>;

    fn method(&self) -> Self::Bytes {
        Cow::Borrowed(b"GET")
    }

    fn target(&self) -> Self::Bytes {
        Cow::Borrowed(b"/public/../x")
    }

    fn header_names(&self) -> Vec<Self::Bytes> {
        const NAMES: [&str; 8] = [
            "accept",
            "accept-encoding",
            "cookie",
            "host",
            "user-agent",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
        ];
        NAMES.map(|name| Cow::Borrowed(name.as_bytes())).into()
    }

    fn header_values(&self, name: &str) -> Vec<Self::Bytes> {
        match name {
            "cookie" => vec![Cow::Owned(self.cookie.clone().into_bytes())],
            "x-forwarded-proto" => vec![Cow::Borrowed(b"https")],
            _ => Vec::new(),
        }
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

    fn respond(&self, answer: Respond) {
        black_box(answer);
    }

    fn now(&self) -> NumericDate {
        NOW
    }

    fn read_file(&self, _: &str) -> Result<Vec<u8>, String> {
        Err("no files".into())
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
        "sid": SessionId::from_random([7; 24]).as_str(),
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
            "theme=dark; __Host-gatepost={}; lang=en",
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
                |gate| assert_eq!(gate.handle(&proxy), Outcome::Next),
                criterion::BatchSize::SmallInput,
            );
        });
        let mut gate = gate(json!({}), &proxy);
        group.bench_function(BenchmarkId::new("seen before, groups", groups), |bencher| {
            bencher.iter(|| assert_eq!(gate.handle(black_box(&proxy)), Outcome::Next));
        });
    }
    let nobody = Proxy {
        cookie: "theme=dark".into(),
    };
    for count in [1, 100] {
        let patterns: Vec<String> = (0..count).map(|n| format!("/public/{n}/*")).collect();
        let mut gate = gate(json!({ "public": patterns }), &nobody);
        group.bench_function(
            BenchmarkId::new("nobody, public patterns", count),
            |bencher| {
                bencher.iter(|| assert_eq!(gate.handle(black_box(&nobody)), Outcome::Answered));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, verdicts);
criterion_main!(benches);
