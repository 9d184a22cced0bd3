//! How limits behave past one machine: 300 points of presence, 10 million subjects, the real meter.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a tool for a desk: it stops at a mistake of its own rather than print wrong figures"
)]
mod law; mod load; mod meter; mod outcome; mod plot; mod run; mod study; mod world;
use std::io::Write;
fn main() {
    let size = if std::env::args().any(|a| a=="--quick") {study::Size::Quick} else {study::Size::Full};
    let which = std::env::args().nth(1).unwrap();
    let plans = match which.as_str() {"p"=>study::precisions(size),"k"=>study::skews(size),"s"=>study::splits(size),_=>study::leases(size)};
    for (p,o) in study::all(plans,2) {
        writeln!(std::io::stdout(), "{} rate {} skew {} home {} burst {} {:?} {:?} req {} ref {:.2}% unans {:.3}% turned {} over {} missed {:.3}% trips {:.1} p50 {:.2} p99 {:.2} busiest {} overl {} objs {} rows {} $ {:.3} state {} restarts {}", p.shape.name,p.shape.rate,p.shape.skew,p.shape.home,p.shape.burst,p.precision,p.split, o.requests,o.percent(o.refused),o.percent(o.unanswered),o.turned_away,o.over,o.percent(o.missed),o.trips(),o.latency(0.5),o.latency(0.99),o.busiest,o.overloaded,o.objects,o.rows,o.dollars().sum(), o.state, o.restarts).expect("x");
    }
}
