//! How fast the meter decides, natively, on one core.

use std::time::Duration;

use turnpike_policy::{LimitKind, Rate, Window};

use crate::meter::{Isolate, Limits, Object};

/// For how long each is measured.
const FOR: Duration = Duration::from_millis(400);
const NOW: u64 = 1_800_000_000_000;

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// What decides.
    pub(crate) what: &'static str,
    /// How many limits.
    pub(crate) limits: usize,
    /// Decisions a second.
    pub(crate) rate: f64,
    /// Bytes of state in memory, where there is an object.
    pub(crate) state: usize,
    /// The rows written for a thousand decisions.
    pub(crate) writes: f64,
}

/// All rows.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for limits in [1, 4, 16] {
        rows.push(object("object, rates (in memory)", &rates(limits)));
    }
    for limits in [1, 4, 16] {
        rows.push(object("object, quotas (written through)", &quotas(limits)));
    }
    for limits in [1, 4, 16] {
        rows.push(refused(&rates(limits)));
    }
    for limits in [1, 4, 16] {
        rows.push(leased(&rates(limits)));
    }
    for limits in [1, 4, 16] {
        rows.push(local(&rates(limits)));
    }
    rows
}

/// As large as they come: what is measured is always admitted.
fn rates(many: u32) -> Vec<LimitKind> {
    let rate = |n| {
        LimitKind::Rate(Rate {
            count: 1_000_000_000 + n,
            period: 1_000,
            burst: 1_000_000_000,
        })
    };
    (0..many).map(rate).collect()
}

fn quotas(many: u32) -> Vec<LimitKind> {
    let quota = |n| LimitKind::Quota {
        count: u64::MAX - u64::from(n),
        window: Window::Day,
    };
    (0..many).map(quota).collect()
}

fn object(what: &'static str, kinds: &[LimitKind]) -> Row {
    let limits = Limits::new("gold", kinds);
    let (mut object, mut writes) = (Object::default(), 0_u64);
    let (rate, done) = measure(|n| {
        let call = object.ask(&limits, n, None, NOW + n / 100);
        writes += u64::from(call.wrote.is_some());
        call.said.admitted
    });
    Row {
        what,
        limits: kinds.len(),
        rate,
        state: object.size(),
        writes: writes as f64 * 1_000.0 / done as f64,
    }
}

fn refused(kinds: &[LimitKind]) -> Row {
    // One of them is used up by the first.
    let mut kinds = kinds.to_vec();
    kinds[0] = LimitKind::Rate(Rate {
        count: 1,
        period: 86_400_000,
        burst: 1,
    });
    let limits = Limits::new("gold", &kinds);
    let mut object = Object::default();
    object.ask(&limits, 0, None, NOW);
    let (rate, _) = measure(|n| !object.ask(&limits, n + 1, None, NOW + n / 100).said.admitted);
    Row {
        what: "object, refused",
        limits: kinds.len(),
        rate,
        state: object.size(),
        writes: 0.0,
    }
}

/// What an isolate spends of a lease; to ask for a new one, each 256 requests, is part of it.
fn leased(kinds: &[LimitKind]) -> Row {
    let limits = Limits::new("gold", kinds);
    let (mut isolate, mut object, mut asks) = (Isolate::default(), Object::default(), 0_u64);
    let (rate, done) = measure(|n| {
        let now = NOW + n / 100;
        match isolate.spend("consumer-1", &limits, now) {
            Ok(()) => true,
            Err(ask) => {
                asks += 1;
                let call = object.ask(&limits, n, Some(ask), now);
                isolate.grant("consumer-1", &limits, now, ask, Some(&call.said));
                call.said.admitted
            }
        }
    });
    assert!(asks < done / 50, "{asks} asks for {done} requests");
    Row {
        what: "isolate, leased",
        limits: kinds.len(),
        rate,
        state: object.size(),
        writes: 0.0,
    }
}

fn local(kinds: &[LimitKind]) -> Row {
    let limits = Limits::new("gold", kinds);
    let mut isolate = Isolate::default();
    let (rate, _) = measure(|n| isolate.alone("consumer-1", &limits, NOW + n / 100, 7));
    Row {
        what: "isolate, local",
        limits: kinds.len(),
        rate,
        state: 0,
        writes: 0.0,
    }
}

/// How often it can be done in a second of the processor's time, and how often it was.
fn measure(mut decide: impl FnMut(u64) -> bool) -> (f64, u64) {
    let mut done = 0;
    let mut many = |times: u64| {
        for _ in 0..times {
            assert!(decide(done), "what is measured is what was meant");
            done += 1;
        }
        done
    };
    let mut total = many(10_000);
    let (first, start) = (total, worked());
    while worked().saturating_sub(start) < FOR {
        total = many(1_000);
    }
    let rate = (total - first) as f64 / worked().saturating_sub(start).as_secs_f64();
    (rate, total)
}

/// For how long this thread has been at work, whatever else the machine does. Linux tells it.
fn worked() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = told
        .as_deref()
        .and_then(|told| told.split(' ').next()?.parse().ok());
    Duration::from_nanos(nanos.expect("the benchmark needs Linux"))
}
