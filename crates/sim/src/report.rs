//! What was found, as tables in a document and as plots beside it.

use std::fmt::Write;

use crate::bench::Row;
use crate::outcome::{Outcome, prices};
use crate::plot::{Plot, number};
use crate::run::{Plan, Precision};
use crate::study::{self, BURSTS, DEMANDS, Done, LEASED, LOADS, PARTS, SKEWS, TRIES};
use crate::subject::Split;

/// Everything that was found.
pub(crate) struct Findings {
    /// See [`study::precisions`].
    pub(crate) precisions: Done,
    /// See [`study::skews`].
    pub(crate) skews: Done,
    /// See [`study::splits`].
    pub(crate) splits: Done,
    /// See [`study::leases`].
    pub(crate) leases: Done,
    /// See [`crate::bench`].
    pub(crate) bench: Vec<Row>,
}

impl Findings {
    /// Each table by its name in the document.
    pub(crate) fn tables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("size", self.size()),
            ("precisions", self.precisions()),
            ("dollars", self.dollars()),
            ("skews", self.skews()),
            ("splits", self.splits()),
            ("leases", self.leases()),
            ("speed", self.speed()),
        ]
    }

    /// Each plot by the name of its file.
    pub(crate) fn plots(&self) -> Vec<(&'static str, String)> {
        vec![
            ("round-trips.svg", self.plot_trips()),
            ("latency.svg", self.plot_latency()),
            ("shards.svg", self.plot_shards()),
            ("leases.svg", self.plot_leases()),
        ]
    }

    /// Requests that passed against the law, where none may.
    pub(crate) fn over(&self) -> u64 {
        [&self.precisions, &self.skews, &self.splits, &self.leases]
            .into_iter()
            .flatten()
            .filter(|(plan, _)| plan.precision != Precision::Local)
            .map(|(_, outcome)| outcome.over)
            .sum()
    }

    fn size(&self) -> String {
        let (plan, outcome) = &self.precisions[0];
        format!(
            "Each row of the first table: {} requests a second for {} seconds, {} requests; {} subjects of {} called, \
             from 300 cities with {} isolates.\n",
            number(plan.shape.rate),
            plan.shape.seconds,
            outcome.requests,
            outcome.subjects,
            plan.shape.subjects,
            outcome.isolates,
        )
    }

    fn precisions(&self) -> String {
        let mut out = head(&[
            "load",
            "precision",
            "over",
            "wrongly refused",
            "unanswered",
            "round trips",
            "p50",
            "p99",
            "busiest object",
            "too hot",
            "USD",
        ]);
        for (plan, outcome) in &self.precisions {
            let over = match outcome.over {
                0 => "0".to_owned(),
                over => format!("{over} ({})", percent(outcome, over)),
            };
            let (busiest, hot) = match outcome.objects {
                0 => ("-".to_owned(), "-".to_owned()),
                objects => (
                    outcome.busiest.to_string(),
                    format!("{} of {objects}", outcome.overloaded),
                ),
            };
            let _ = writeln!(
                out,
                "| {} | {} | {over} | {} | {} | {} | {} | {} | {busiest} | {hot} | {:.2} |",
                plan.shape.name,
                precision(plan),
                percent(outcome, wrongly(outcome)),
                percent(outcome, outcome.unanswered),
                number(outcome.trips()),
                number(outcome.latency(0.5)),
                number(outcome.latency(0.99)),
                outcome.dollars().sum(),
            );
        }
        out
    }

    fn dollars(&self) -> String {
        let mut out = head(&[
            "load",
            "precision",
            "calls and alarms",
            "time at work",
            "rows",
            "stored",
            "sum",
        ]);
        for (plan, outcome) in &self.precisions {
            if plan.precision == Precision::Local {
                continue;
            }
            let dollars = outcome.dollars();
            let _ = writeln!(
                out,
                "| {} | {} | {:.3} | {:.3} | {:.3} | {:.4} | {:.2} |",
                plan.shape.name,
                precision(plan),
                dollars.calls,
                dollars.duration,
                dollars.rows,
                dollars.stored,
                dollars.sum(),
            );
        }
        let _ = writeln!(
            out,
            "\nPrices as of {}, in US dollars beyond what the paid plan includes: calls {} a million, time at work {} a \
             million GB-s with {} GB an object, rows {} a million written and {} a million read, storage {} a GB and \
             month. The Worker's own requests are {} a million, with or without limits.",
            prices::READ,
            prices::CALLS,
            prices::DURATION,
            prices::MEMORY,
            prices::ROWS_WRITTEN,
            prices::ROWS_READ,
            prices::STORED,
            prices::WORKER,
        );
        out
    }

    fn skews(&self) -> String {
        let mut out = head(&[
            "exponent",
            "objects",
            "wrongly refused",
            "unanswered",
            "p99",
            "busiest object",
            "too hot",
            "USD",
        ]);
        for (skew, pair) in SKEWS.iter().zip(self.skews.chunks(2)) {
            for ((_, outcome), split) in pair.iter().zip(["one for each subject", "by the rule"]) {
                let _ = writeln!(
                    out,
                    "| {skew} | {split} | {} | {} | {} | {} | {} of {} | {:.2} |",
                    percent(outcome, wrongly(outcome)),
                    percent(outcome, outcome.unanswered),
                    number(outcome.latency(0.99)),
                    outcome.busiest,
                    outcome.overloaded,
                    outcome.objects,
                    outcome.dollars().sum(),
                );
            }
        }
        out
    }

    /// What one demand came to with so many parts.
    fn split(&self, burst: usize, demand: usize, tries: usize, parts: usize) -> &Outcome {
        let row = (burst * DEMANDS.len() + demand) * TRIES.len() + tries;
        &self.splits[row * PARTS.len() + parts].1
    }

    fn splits(&self) -> String {
        let mut columns = vec!["burst".to_owned(), "demand".to_owned(), "asks".to_owned()];
        columns.extend(PARTS.iter().map(|parts| match parts {
            1 => "1 object".to_owned(),
            parts => format!("{parts} objects"),
        }));
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let mut out = head(&columns);
        for (burst, most) in BURSTS.iter().enumerate() {
            for (demand, part) in DEMANDS.iter().enumerate() {
                for (tries, asks) in TRIES.iter().enumerate() {
                    let _ = write!(
                        out,
                        "| {most} | {}/s | {asks} |",
                        number(part * f64::from(study::HOT))
                    );
                    for parts in 0..PARTS.len() {
                        let outcome = self.split(burst, demand, tries, parts);
                        let _ = write!(
                            out,
                            " {} + {}; {}/s |",
                            percent(outcome, wrongly(outcome)),
                            percent(outcome, outcome.unanswered),
                            outcome.busiest
                        );
                    }
                    out.push('\n');
                }
            }
        }
        out
    }

    fn leases(&self) -> String {
        let mut columns = vec!["load".to_owned()];
        columns.extend(LOADS.iter().map(|load| format!("{load}/s")));
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let mut out = head(&columns);
        for ((name, ..), row) in LEASED.iter().zip(self.leases.chunks(LOADS.len())) {
            let _ = write!(out, "| {name} |");
            for (_, outcome) in row {
                let _ = write!(
                    out,
                    " {} ({}) |",
                    number(outcome.trips()),
                    percent(outcome, outcome.missed)
                );
            }
            out.push('\n');
        }
        out
    }

    fn speed(&self) -> String {
        let mut out = head(&[
            "who decides",
            "limits",
            "decisions a second",
            "us each",
            "state",
            "rows a thousand",
        ]);
        for row in &self.bench {
            let state = match row.state {
                0 => "-".to_owned(),
                bytes => format!("{bytes} B"),
            };
            let _ = writeln!(
                out,
                "| {} | {} | {:.0} | {} | {state} | {} |",
                row.what,
                row.limits,
                round(row.rate),
                number(1e6 / row.rate),
                number(row.writes),
            );
        }
        out
    }

    /// By precision, something of each shape, with hot subjects split by the rule.
    fn by_shape(
        &self,
        what: impl Fn(&Outcome) -> f64,
        all: &[Precision],
    ) -> (Vec<String>, Vec<Vec<Option<f64>>>) {
        let mut names: Vec<String> = Vec::new();
        let mut series = vec![Vec::new(); all.len()];
        for (plan, outcome) in &self.precisions {
            if names.last().is_none_or(|last| last != plan.shape.name) {
                names.push(plan.shape.name.to_owned());
            }
            let index = all.iter().position(|one| *one == plan.precision);
            if let Some(index) = index.filter(|_| plan.split != Split::None) {
                series[index].push(Some(what(outcome)));
            }
        }
        (names, series)
    }

    fn plot_trips(&self) -> String {
        let all = [Precision::Exact, Precision::Leased];
        let (places, series) = self.by_shape(Outcome::trips, &all);
        Plot {
            title: "Round trips to objects for 1,000 requests, hot subjects split".into(),
            x: "load".into(),
            places,
            series: ["exact", "leased"]
                .map(str::to_owned)
                .into_iter()
                .zip(series)
                .collect(),
            from: 0.0,
            to: 1_000.0,
            logarithmic: false,
            bars: true,
        }
        .svg()
    }

    fn plot_latency(&self) -> String {
        let all = [Precision::Exact, Precision::Leased];
        let (places, half) = self.by_shape(|outcome| outcome.latency(0.5), &all);
        let (_, most) = self.by_shape(|outcome| outcome.latency(0.99), &all);
        let names = ["exact p50", "leased p50", "exact p99", "leased p99"].map(str::to_owned);
        Plot {
            title: "Milliseconds that limits add to a request, hot subjects split".into(),
            x: "load (powers of ten; local adds none)".into(),
            places,
            series: names.into_iter().zip(half.into_iter().chain(most)).collect(),
            from: 0.1,
            to: 10_000.0,
            logarithmic: true,
            bars: true,
        }
        .svg()
    }

    fn plot_shards(&self) -> String {
        let series = |demand: usize| {
            let lost = |parts| {
                let outcome = self.split(0, demand, TRIES.len() - 1, parts);
                outcome.percent(outcome.missed)
            };
            let name = format!("{}/s", number(DEMANDS[demand] * f64::from(study::HOT)));
            (name, (0..PARTS.len()).map(|parts| Some(lost(parts))).collect())
        };
        Plot {
            title: format!(
                "Percent of requests that a limit of {}/s should have let pass and did not",
                study::HOT
            ),
            x: "objects over which the subject is split; each request asks two at most".into(),
            places: PARTS.iter().map(u32::to_string).collect(),
            series: (0..DEMANDS.len()).map(series).collect(),
            from: 0.0,
            to: 100.0,
            logarithmic: false,
            bars: false,
        }
        .svg()
    }

    fn plot_leases(&self) -> String {
        let rows = self.leases.chunks(LOADS.len());
        let values = |row: &[(Plan, Outcome)]| row.iter().map(|(_, outcome)| Some(outcome.trips())).collect();
        Plot {
            title: "Leased: round trips for 1,000 requests of one subject".into(),
            x: "requests a second".into(),
            places: LOADS.iter().map(u32::to_string).collect(),
            series: LEASED
                .iter()
                .zip(rows)
                .map(|((name, ..), row)| ((*name).to_owned(), values(row)))
                .collect(),
            from: 1.0,
            to: 1_000.0,
            logarithmic: true,
            bars: false,
        }
        .svg()
    }
}

/// A document with its tables replaced; or the name of one for which there is no place.
pub(crate) fn fill(document: &str, tables: &[(&'static str, String)]) -> Result<String, &'static str> {
    let mut document = document.to_owned();
    for (name, table) in tables {
        let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
        let (before, rest) = document.split_once(&begin).ok_or(*name)?;
        let (_, after) = rest.split_once(&end).ok_or(*name)?;
        document = format!("{before}{begin}{table}{end}{after}");
    }
    Ok(document)
}

/// Of what passes ideally, what did not, without what nobody decided.
fn wrongly(outcome: &Outcome) -> u64 {
    outcome.missed.saturating_sub(outcome.unanswered)
}

fn percent(outcome: &Outcome, of: u64) -> String {
    match outcome.percent(of) {
        0.0 => "0".to_owned(),
        few if few < 0.01 => "<0.01 %".to_owned(),
        percent => format!("{} %", number(percent)),
    }
}

/// To two digits: more would be noise.
fn round(value: f64) -> f64 {
    let unit = 10_f64.powf(value.log10().floor() - 1.0);
    (value / unit).round() * unit
}

fn precision(plan: &Plan) -> &'static str {
    match (plan.precision, plan.split) {
        (Precision::Exact, Split::None) => "exact",
        (Precision::Exact, _) => "exact, split",
        (Precision::Leased, Split::None) => "leased",
        (Precision::Leased, _) => "leased, split",
        (Precision::Local, _) => "local",
    }
}

fn head(columns: &[&str]) -> String {
    let mut out = format!("| {} |\n", columns.join(" | "));
    out.push_str(&"|---".repeat(columns.len()));
    out.push_str("|\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_go_to_their_places() {
        let document = "a\n<!-- x -->\nold\n<!-- end of x -->\nb\n";
        assert_eq!(
            fill(document, &[("x", "new\n".to_owned())]).unwrap(),
            "a\n<!-- x -->\nnew\n<!-- end of x -->\nb\n"
        );
        assert_eq!(fill(document, &[("y", String::new())]), Err("y"));
    }
}
