//! Measures finding a session among cookies and verifying it: `cargo bench -p gatepost-session`.

// A bench whose own data is wrong has nothing to measure; and the code of the macros has no docs.
#![allow(clippy::expect_used, missing_docs)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gatepost_session::cookie::{self, CHUNK_BYTES, Candidates, CookieName};
use gatepost_session::{Audience, Claims, KeyRing, NumericDate, SessionId, Verifier};
use gatepost_signing::Signer;

const NOW: NumericDate = NumericDate::from_seconds(1_800_000_000);
const KEY: &str = "bench:Zm9yLXRoZS10ZXN0cy1vZi1nYXRlcG9zdC1hbG9uZTE=";

/// Returns a session of a user in so many groups.
fn token(groups: usize) -> String {
    let names: Vec<String> = (0..groups).map(|n| format!("team-{n:03}")).collect();
    let claims: Claims = serde_json::from_value(serde_json::json!({
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
    Signer::new(&ring).sign(&claims).expect("a token")
}

fn authenticate(criterion: &mut Criterion) {
    let ring = KeyRing::parse(KEY).expect("a ring");
    let verifier = Verifier::new(&ring, Audience::new("wiki").expect("a name"));
    let mut group = criterion.benchmark_group("authenticate");
    for groups in [1, 20, 200] {
        let token = token(groups);
        group.throughput(Throughput::Bytes(token.len() as u64));
        group.bench_function(BenchmarkId::new("groups", groups), |bencher| {
            bencher.iter(|| verifier.authenticate(black_box(token.as_bytes())));
        });
    }
    let forged = token(1).replacen('.', ".e", 1);
    group.bench_function("forged", |bencher| {
        bencher.iter(|| verifier.authenticate(black_box(forged.as_bytes())));
    });
    group.finish();
}

/// Returns a line with a session in so many chunks among cookies of the application.
fn line(chunks: usize) -> Vec<u8> {
    let mut line = b"theme=dark; lang=en".to_vec();
    if chunks == 1 {
        line.extend(format!("; gatepost={}", "x".repeat(500)).bytes());
        return line;
    }
    for index in 0..chunks {
        line.extend(format!("; gatepost.{index}={}", "x".repeat(CHUNK_BYTES)).bytes());
    }
    line
}

fn cookies(criterion: &mut Criterion) {
    let name = CookieName::new("gatepost").expect("a name");
    let mut group = criterion.benchmark_group("cookies");
    for chunks in 1..=5 {
        let line = line(chunks);
        group.throughput(Throughput::Bytes(line.len() as u64));
        group.bench_function(BenchmarkId::new("find", chunks), |bencher| {
            bencher.iter(|| {
                let found = Candidates::find([black_box(line.as_slice())], &name);
                found.values().map(|value| value.len()).sum::<usize>()
            });
        });
        group.bench_function(BenchmarkId::new("strip", chunks), |bencher| {
            bencher.iter(|| cookie::strip(black_box(&line), cookie::Hide::All(&name)));
        });
    }
    group.finish();
}

criterion_group!(benches, authenticate, cookies);
criterion_main!(benches);
