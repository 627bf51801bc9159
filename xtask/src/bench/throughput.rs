//! Rounds of load, one contender after the other.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Result;
use serde::Serialize;

use super::contender::{Contender, Running};
use super::load::Load;
use super::stats::Spread;
use super::usage;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
}

/// The clients of one measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Clients {
    /// Kept-alive connections.
    pub(crate) connections: usize,
    /// Sessions whose requests take turns.
    pub(crate) sessions: usize,
}

impl Clients {
    pub(crate) const fn new(connections: usize, sessions: usize) -> Self {
        Self {
            connections,
            sessions,
        }
    }
}

/// The result of one contender in one round.
#[derive(Clone, Copy, Debug)]
struct Round {
    rate: f64,
    p50: f64,
    p99: f64,
    /// CPU seconds per 1,000 requests.
    proxy_cpu: f64,
    auth_cpu: Option<f64>,
}

/// A contender under the load of these clients.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) title: String,
    #[serde(flatten)]
    pub(crate) clients: Clients,
    /// Requests a second.
    pub(crate) rate: Spread,
    /// Milliseconds.
    pub(crate) p50: Spread,
    /// Milliseconds.
    pub(crate) p99: Spread,
    /// CPU seconds of Traefik per 1,000 requests.
    pub(crate) proxy_cpu: Spread,
    /// CPU seconds of the server that Traefik asks, per 1,000 requests.
    pub(crate) auth_cpu: Option<Spread>,
    /// By contender: this one's rate divided by that one's of the same round.
    pub(crate) ratios: BTreeMap<String, Spread>,
}

/// Loads every contender in every round.
///
/// All that a machine does besides changes with time, so only results of the same round are
/// compared. The order changes from round to round, so that the contender after the heaviest one is
/// not always the same.
pub(crate) fn measure(
    contenders: &[(Contender, Running)],
    clients: Clients,
    effort: Effort,
) -> Result<Vec<Row>> {
    let Clients {
        connections,
        sessions,
    } = clients;
    let folder = tempfile::tempdir()?;
    let loads = contenders.iter().map(|(contender, running)| {
        let (headers, lines) = contender.requests(sessions);
        let requests = folder.path().join(&contender.key);
        fs::write(&requests, lines)?;
        Ok(Load {
            url: running.url(),
            headers,
            requests,
            connections,
            seconds: effort.seconds,
        })
    });
    let loads: Vec<Load> = loads.collect::<Result<_>>()?;
    for ((contender, running), own) in contenders.iter().zip(&loads) {
        let short = Load {
            seconds: 1.0,
            ..own.clone()
        };
        load(contender, running, &short)?;
    }
    let mut rounds: Vec<Vec<Round>> = contenders.iter().map(|_| Vec::new()).collect();
    for number in 0..effort.rounds {
        let round = number + 1;
        eprintln!("  {connections} connections, {sessions} sessions, round {round}");
        let mut order: Vec<_> = contenders.iter().zip(&loads).zip(&mut rounds).collect();
        let turn = number % order.len().max(1);
        order.rotate_left(turn);
        for (((contender, running), own), rounds) in order {
            rounds.push(load(contender, running, own)?);
        }
    }
    let rows = contenders.iter().zip(&rounds).map(|((contender, _), own)| {
        let spread = |value: fn(&Round) -> f64| Spread::of(own.iter().map(value));
        let ratio = |others: &[Round]| {
            Spread::of(
                own.iter()
                    .zip(others)
                    .map(|(own, other)| own.rate / other.rate),
            )
        };
        Row {
            key: contender.key.clone(),
            title: contender.title.clone(),
            clients,
            rate: spread(|round| round.rate),
            p50: spread(|round| round.p50),
            p99: spread(|round| round.p99),
            proxy_cpu: spread(|round| round.proxy_cpu),
            auth_cpu: contender
                .auth
                .map(|_| Spread::of(own.iter().filter_map(|round| round.auth_cpu))),
            ratios: contenders
                .iter()
                .zip(&rounds)
                .map(|((other, _), others)| (other.key.clone(), ratio(others)))
                .collect(),
        }
    });
    Ok(rows.collect())
}

fn load(contender: &Contender, running: &Running, load: &Load) -> Result<Round> {
    let used = || -> Result<(f64, Option<f64>)> {
        let auth = contender.auth.map(usage::cpu_seconds).transpose()?;
        Ok((usage::cpu_seconds(running.group())?, auth))
    };
    let (proxy_before, auth_before) = used()?;
    let answers = load.run()?;
    let (proxy_after, auth_after) = used()?;
    let thousands = f64::from(answers.requests) / 1_000.0;
    Ok(Round {
        rate: answers.rate(),
        p50: f64::from(answers.p50) / 1_000.0,
        p99: f64::from(answers.p99) / 1_000.0,
        proxy_cpu: (proxy_after - proxy_before) / thousands,
        auth_cpu: auth_after
            .zip(auth_before)
            .map(|(after, before)| (after - before) / thousands),
    })
}
