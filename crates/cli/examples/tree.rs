//! What a policy tree costs where it is run, natively: `cargo run --profile cli --example tree -- DIR...`
//!
//! For each folder one line of JSON: how long it takes to build the bundle, how large it is, how long it takes to read
//! it and to start an engine with it (the average of several), and how long the engine takes for a request: matched, identified by its key, authorized, up to the first step that asks something
//! of the shell; and the addresses that were asked for. `bench/tree.mjs` calls it.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "what takes how long is the question"
)]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest, Sha256};
use turnpike_engine::accept::Random;
use turnpike_engine::step::HEAD_NAMES;
use turnpike_engine::{Engine, Head, Step};
use turnpike_policy::source::{Loaded, Options};
use turnpike_policy::{Bundle, Compiled, Grant, Method};

const ENVIRONMENT: &str = "production";
/// Requests of one measurement.
const REQUESTS: usize = 2_000;
const ROUNDS: u32 = 15;
/// How many operations are asked for where what they need is to be at hand: as many in a small tree as in a large one.
const FEW: usize = 4;

fn main() -> ExitCode {
    let folders: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if folders.is_empty() {
        eprintln!("name the folders of policy trees");
        return ExitCode::from(2);
    }
    for folder in folders {
        match measure(&folder) {
            Ok(line) => println!("{line}"),
            Err(why) => {
                eprintln!("{}: {why}", folder.display());
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn measure(folder: &Path) -> Result<serde_json::Value, String> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_err(|error| error.to_string())?;
    let as_of = u64::try_from(now.as_millis()).map_err(|error| error.to_string())?;
    let options = Options {
        environment: ENVIRONMENT.to_owned(),
        as_of,
        development_key: None,
    };
    let began = Instant::now();
    let outcome = Loaded::read(folder).build(&options);
    let build = began.elapsed();
    let files = outcome.files.len();
    let Some((bytes, _)) = outcome.bundle else {
        let first = outcome.diagnostics.first().map(ToString::to_string);
        return Err(first.unwrap_or_else(|| "no bundle".to_owned()));
    };
    let mut bundle = read(&bytes)?;
    let key = open_a_key(&mut bundle.compiled).ok_or("there is no API key in this tree")?;
    let urls = urls(&bundle.compiled);
    let (operations, consumers) = (bundle.compiled.operations.len(), bundle.compiled.consumers.len());
    let reading = cost(|| drop(black_box(read(&bytes))));
    let starting = cost(|| {
        if let Ok(bundle) = read(&bytes) {
            drop(black_box(Engine::new(bundle, [7; 16], |_| None)));
        }
    });
    let mut engine = Engine::new(bundle, [7; 16], |_| None);
    let random = Random::default();
    let mut headers = [None; HEAD_NAMES.len()];
    for (value, name) in headers.iter_mut().zip(HEAD_NAMES) {
        if name == "x-api-key" {
            *value = Some(key);
        }
    }
    let mut refused = 0_usize;
    let mut ask = |urls: &[String]| {
        let time = cost(|| {
            for url in urls.iter().cycle().take(REQUESTS) {
                let head = Head {
                    method: "GET",
                    url,
                    has_body: false,
                    headers,
                    ..Head::default()
                };
                let next = black_box(engine.begin(&head, as_of, &random));
                refused += usize::from(!matches!(next.step, Step::Meter { .. }));
            }
        });
        millis(time) * 1000.0 / f64::from(u32::try_from(REQUESTS).unwrap_or(1))
    };
    let spread = ask(&urls);
    let few = ask(urls.get(..FEW).ok_or("this tree is too small to measure with")?);
    if refused > 0 {
        return Err(format!("{refused} requests did not come as far as their limits"));
    }
    Ok(json!({
        "folder": folder.display().to_string(),
        "files": files,
        "operations": operations,
        "consumers": consumers,
        "build_ms": millis(build),
        "bundle_bytes": bytes.len(),
        "read_ms": millis(reading),
        "start_ms": millis(starting),
        "request_us": few,
        "request_spread_us": spread,
        "urls": urls,
    }))
}

fn read(bytes: &[u8]) -> Result<Bundle, String> {
    Bundle::from_bytes(bytes).map_err(|error| error.to_string())
}

/// Lets somebody with a known key call everything, as often as it likes from one address.
fn open_a_key(compiled: &mut Compiled) -> Option<&'static str> {
    const KEY: &str = "tpk_bench_not-a-secret";
    let mut key = compiled.keys.pop()?;
    key.sha256 = Sha256::digest(KEY).into();
    key.expires = None;
    let at = usize::try_from(key.consumer).ok()?;
    compiled.consumers.get_mut(at)?.operations = Grant::All;
    compiled.keys.push(key);
    compiled.keys.sort_by_key(|key| key.sha256);
    compiled.gateway.shield.count = u32::MAX;
    compiled.gateway.shield.burst = u32::MAX;
    Some(KEY)
}

/// An address for each operation that reads, spread over the tree.
fn urls(compiled: &Compiled) -> Vec<String> {
    let host = compiled
        .gateway
        .hosts
        .first()
        .map_or("gateway.example", String::as_str);
    let all: Vec<String> = compiled
        .operations
        .iter()
        .filter(|operation| operation.method == Method::Get)
        .filter_map(|operation| {
            let api = compiled.apis.get(usize::try_from(operation.api).ok()?)?;
            let segments = operation
                .path
                .split('/')
                .map(|segment| match segment.strip_prefix('{') {
                    Some(_) => "0b3f1234-6f0e-4c0e-9d3a-5a1f2b3c4d5e",
                    None => segment,
                });
            let path = segments.collect::<Vec<_>>().join("/");
            Some(format!(
                "https://{host}{}",
                turnpike_policy::called(&api.base, &path)
            ))
        })
        .collect();
    let step = (all.len() / REQUESTS).max(1);
    all.into_iter().step_by(step).collect()
}

/// What the work costs, on average: time on a core where the system tells (Linux), so that others who are at
/// work there do not count.
fn cost(mut work: impl FnMut()) -> Duration {
    work();
    let began = on_core();
    for _ in 0..ROUNDS {
        work();
    }
    on_core().saturating_sub(began) / ROUNDS
}

fn on_core() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    // A moment of sleep has the system count up to here.
    std::thread::sleep(Duration::from_millis(1));
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = counted.and_then(|text| text.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| START.get_or_init(Instant::now).elapsed(), Duration::from_nanos)
}

/// In milliseconds, with three digits after the point.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
