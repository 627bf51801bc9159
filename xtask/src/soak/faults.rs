//! What goes wrong, one after another, while people come and go.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use gatepost_e2e::users::User;
use gatepost_e2e::{FakeClock, Redis, SmallDisk, Stack};
use serde_json::{Value, json};

use super::endings;
use super::figures::{Count, Figures};
use super::people::People;

/// How long a part is away or a clock is wrong.
const HOLD: Duration = Duration::from_secs(4);

/// How long all parts work in between: less than a user waits, more than a part needs.
const REST: Duration = Duration::from_secs(3);

/// How often Traefik reloads its configuration.
const RELOAD_EVERY: Duration = Duration::from_secs(10);

/// How far the clock jumps, in seconds.
const JUMP: i64 = 300;

#[derive(Clone, Copy, Debug)]
enum Fault {
    KillOutpost,
    PauseOutpost,
    KillProvider,
    PauseProvider,
    KillRedis,
    PauseRedis,
    ClockAhead,
    ClockBehind,
    RotateKeys,
    EndByHalf,
    OvertakeRenewal,
    DeadLock,
    FillDisk,
}

const FAULTS: [Fault; 13] = [
    Fault::KillOutpost,
    Fault::EndByHalf,
    Fault::ClockAhead,
    Fault::OvertakeRenewal,
    Fault::FillDisk,
    Fault::PauseProvider,
    Fault::PauseRedis,
    Fault::DeadLock,
    Fault::RotateKeys,
    Fault::PauseOutpost,
    Fault::ClockBehind,
    Fault::KillRedis,
    Fault::KillProvider,
];

pub(super) struct Faults<'s> {
    stack: &'s Stack,
    clock: &'s FakeClock,
    redis: Option<Redis>,
    disk: Option<&'s SmallDisk>,
    people: &'s People,
    /// Whose session has faults of its own.
    user: User,
    figures: Arc<Figures>,
    reloaded: Instant,
    rotations: usize,
}

impl<'s> Faults<'s> {
    pub(super) fn new(
        stack: &'s Stack,
        clock: &'s FakeClock,
        redis: Option<Redis>,
        disk: Option<&'s SmallDisk>,
        people: &'s People,
        user: User,
        figures: Arc<Figures>,
    ) -> Self {
        Self {
            stack,
            clock,
            redis,
            disk,
            people,
            user,
            figures,
            reloaded: Instant::now(),
            rotations: 0,
        }
    }

    /// Causes one fault after another until the time is over, and then repairs the last.
    pub(super) fn run(&mut self, span: Duration) -> Result<()> {
        let begun = Instant::now();
        for fault in FAULTS.into_iter().cycle() {
            if begun.elapsed() >= span {
                break;
            }
            self.cause(fault)?;
            self.pass(REST)?;
        }
        self.clock.jump(0)
    }

    fn cause(&mut self, fault: Fault) -> Result<()> {
        let (outpost, provider) = (self.stack.outpost(), self.stack.provider());
        match (fault, &mut self.redis) {
            (Fault::KillOutpost, _) => {
                outpost.kill();
                self.pass(HOLD / 4)?;
                outpost.start()?;
                self.figures.count(Count::OutpostKilled);
            }
            (Fault::PauseOutpost, _) => {
                outpost.pause();
                self.pass(HOLD)?;
                outpost.resume();
                self.figures.count(Count::OutpostPaused);
            }
            (Fault::KillProvider, _) => {
                self.figures.provider_starts();
                provider.kill();
                self.pass(HOLD)?;
                provider.start()?;
                self.figures.provider_starts();
                self.figures.count(Count::ProviderRestarted);
            }
            (Fault::PauseProvider, _) => {
                provider.pause();
                self.pass(HOLD)?;
                provider.resume();
                self.figures.count(Count::ProviderPaused);
            }
            (Fault::KillRedis, Some(redis)) => {
                redis.kill();
                self.pass(HOLD)?;
                if let Some(redis) = &mut self.redis {
                    redis.start_again()?;
                }
                self.figures.count(Count::RedisRestarted);
            }
            (Fault::PauseRedis, Some(redis)) => {
                redis.pause();
                let asked = endings::ask_in_vain(self.stack, self.people, &self.figures);
                self.pass(HOLD)?;
                if let Some(redis) = &self.redis {
                    redis.resume();
                }
                self.figures.count(Count::RedisPaused);
                asked?;
            }
            (Fault::EndByHalf, Some(redis)) => {
                endings::end_by_half(self.stack, redis, self.people, &self.figures)?;
            }
            (Fault::DeadLock, Some(redis)) => {
                endings::lock_as_the_dead(self.stack, redis, &self.user, &self.figures)?;
            }
            // Nothing of that kind is there.
            (Fault::KillRedis | Fault::PauseRedis | Fault::EndByHalf | Fault::DeadLock, None) => {}
            (Fault::OvertakeRenewal, _) => {
                endings::overtake(self.stack, &self.user, self.people, &self.figures)?;
            }
            (Fault::FillDisk, _) => {
                if let Some(disk) = self.disk {
                    disk.fill()?;
                    self.pass(HOLD)?;
                    disk.free()?;
                    self.figures.count(Count::DisksFull);
                }
            }
            (Fault::ClockAhead, _) => self.jump(JUMP)?,
            (Fault::ClockBehind, _) => self.jump(-JUMP)?,
            // The next to be retired is one that sessions are sealed with.
            (Fault::RotateKeys, _) if self.rotations >= super::OLD_KEYS => {}
            (Fault::RotateKeys, _) => {
                self.rotations += 1;
                let keys = self.stack.keys();
                keys.rotate(&format!("new-{}", self.rotations))?;
                // Until outpost and guests have read it: all verify each other's sessions.
                self.pass(super::KEYS_ARE_READ)?;
                keys.retire_oldest()?;
                self.figures.count(Count::Rotations);
            }
        }
        Ok(())
    }

    fn jump(&mut self, seconds: i64) -> Result<()> {
        self.clock.jump(seconds)?;
        self.pass(HOLD)?;
        self.clock.jump(0)?;
        self.figures.add(Count::ClockJumps, 2);
        Ok(())
    }

    /// Lets time pass, in which Traefik goes on reloading its configuration.
    fn pass(&mut self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while Instant::now() < until {
            if self.reloaded.elapsed() > RELOAD_EVERY {
                self.reloaded = Instant::now();
                self.reload()?;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Changes Traefik's routing without a visible effect, except that Traefik creates new
    /// runtimes.
    fn reload(&self) -> Result<()> {
        let file = self.stack.folder().join("traefik/dynamic/app.yaml");
        let mut routes: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
        if let Some(middlewares) = routes.pointer_mut("/http/middlewares") {
            let number = self.figures.reloads();
            merge(
                middlewares,
                "soak",
                json!({ "headers": {
                "customResponseHeaders": { "X-Reload": number.to_string() } } }),
            );
        }
        if let Some(own) = routes.pointer_mut("/http/middlewares/app-gatepost/plugin/gatepost") {
            // Without a change of its own a middleware is kept as it is.
            let debug = self.figures.reloads().is_multiple_of(2);
            merge(own, "logLevel", json!(if debug { "info" } else { "warn" }));
        }
        let draft = file.with_extension("draft");
        fs::write(&draft, routes.to_string())?;
        fs::rename(draft, &file)?;
        self.figures.count(Count::Reloads);
        Ok(())
    }
}

fn merge(map: &mut Value, key: &str, value: Value) {
    if let Some(map) = map.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}
