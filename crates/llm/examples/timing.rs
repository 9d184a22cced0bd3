//! How long the hot paths take, natively: `cargo run --release -p turnpike-llm --example timing`.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a tool"
)]
#![expect(clippy::cast_precision_loss, reason = "a figure for people")]

use std::hint::black_box;
use std::time::Instant;

use turnpike_llm::chat::{edits, peek};
use turnpike_llm::mock::{MockRequest, Script, render};
use turnpike_llm::stream::{Filter, Watch};

fn time(name: &str, bytes: usize, mut run: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..15 {
        let rounds = 200;
        let start = Instant::now();
        for _ in 0..rounds {
            run();
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
    }
    println!("{name:<44} {best:>9.2} us  {:>7.0} MB/s", bytes as f64 / best);
}

fn body(length: usize) -> Vec<u8> {
    let text = "Tell me about the \\\"edge\\\" of things, please.\\n ".repeat(length / 48);
    let roles = ["user", "assistant"];
    let messages: Vec<String> = text
        .as_bytes()
        .chunks(48 * 12)
        .zip(roles.iter().cycle())
        .map(|(text, role)| {
            format!(
                "{{\"role\":\"{role}\",\"content\":\"{}\"}}",
                str::from_utf8(text).unwrap()
            )
        })
        .collect();
    format!(
        "{{\"model\":\"fast\",\"messages\":[{}],\"stream\":true,\"temperature\":0.7,\
         \"max_tokens\":512,\"user\":\"u-1234\"}}",
        messages.join(",")
    )
    .into_bytes()
}

fn main() {
    for length in [200, 19_000] {
        let body = body(length);
        time(&format!("peek of {} bytes", body.len()), body.len(), || {
            black_box(peek(black_box(&body)).unwrap());
        });
        time("  and edits", body.len(), || {
            black_box(edits(&peek(black_box(&body)).unwrap(), "gpt-5-nano"));
        });
    }
    let script = Script {
        text: "word ".repeat(197),
        ..Script::default()
    };
    let request = MockRequest {
        model: "gpt-5-nano-2025-08-07",
        user_text: "hi",
        stream: true,
        usage_wanted: true,
        seed: 1,
        created: 1_772_656_915,
    };
    let pieces: Vec<Vec<u8>> = render(&script, &request)
        .pieces
        .into_iter()
        .map(|(_, piece)| piece)
        .collect();
    let whole = pieces.concat();
    println!("stream: {} events, {} bytes", pieces.len(), whole.len());
    time("mock::render", whole.len(), || {
        black_box(render(black_box(&script), &request));
    });
    time("Watch, one event a call", whole.len(), || {
        let mut watch = Watch::new();
        for piece in &pieces {
            watch.feed(piece);
        }
        black_box(watch);
    });
    let mut buffer = vec![0; 4096];
    time("Watch, one event a call, state by postcard", whole.len(), || {
        postcard::to_slice(&Watch::new(), &mut buffer).unwrap();
        for piece in &pieces {
            let mut watch: Watch = postcard::take_from_bytes(&buffer).unwrap().0;
            watch.feed(piece);
            postcard::to_slice(&watch, &mut buffer).unwrap();
        }
        black_box(&buffer);
    });
    let mut watch = Watch::new();
    for piece in pieces.iter().take(4) {
        watch.feed(piece);
    }
    let state = postcard::to_allocvec(&watch).unwrap();
    println!("state between two pieces: {} bytes", state.len());
    time("  state written 200 times", state.len() * 200, || {
        for _ in 0..200 {
            black_box(postcard::to_allocvec(black_box(&watch)).unwrap());
        }
    });
    time(
        "  state written 200 times into a buffer",
        state.len() * 200,
        || {
            for _ in 0..200 {
                black_box(postcard::to_slice(black_box(&watch), &mut buffer).unwrap());
            }
        },
    );
    time("  state read 200 times", state.len() * 200, || {
        for _ in 0..200 {
            black_box(postcard::from_bytes::<Watch>(black_box(&state)).unwrap());
        }
    });
    time("Watch, pieces of 4 KiB", whole.len(), || {
        let mut watch = Watch::new();
        for piece in whole.chunks(4096) {
            watch.feed(piece);
        }
        black_box(watch);
    });
    let mut out = Vec::new();
    time("Filter, one event a call", whole.len(), || {
        let mut filter = Filter::new();
        for piece in &pieces {
            out.clear();
            filter.feed(piece, &mut out);
        }
        black_box(filter);
    });
    time("Filter, pieces of 4 KiB", whole.len(), || {
        let mut filter = Filter::new();
        for piece in whole.chunks(4096) {
            out.clear();
            filter.feed(piece, &mut out);
        }
        black_box(filter);
    });
}
