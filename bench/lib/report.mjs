// From rounds to rows, a table, and what became of the goals.

import { ROUNDS_FOR_A_VERDICT } from "./settings.mjs";

const FIGURES = ["rps", "cpu_us", "p50_ms", "p99_ms", "ttfb_ms", "ttft_ms", "round_trips"];

export function median(values) {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

const rounded = (value) => (value === null || !Number.isFinite(value) ? null : Number(value.toPrecision(4)));

// `runs`: [{ case, system, round, ...figures, faults }]. A ratio is formed within a round, between
// neighbours in time, and the median taken of these: what the machine does meanwhile touches both.
export function rowsOf(runs) {
  const of = (entry, system) => runs.filter((run) => run.case === entry && run.system === system);
  const keys = [...new Map(runs.map((run) => [`${run.case}\n${run.system}`, run])).values()];
  return keys.map(({ case: entry, system }) => {
    const mine = of(entry, system);
    const floor = new Map(of(entry, "bare").map((run) => [run.round, run]));
    const pairs = mine.map((run) => [run, floor.get(run.round)]).filter((pair) => pair[1] !== undefined);
    const row = { case: entry, system };
    for (const figure of FIGURES) {
      if (mine.some((run) => run[figure] !== undefined)) row[figure] = rounded(median(mine.map((run) => run[figure])));
    }
    row.ratio_rps = rounded(median(pairs.map(([run, bare]) => run.rps / bare.rps)));
    row.ratio_cpu = rounded(median(pairs.map(([run, bare]) => bare.cpu_us / run.cpu_us)));
    row.added_ms = rounded(median(pairs.map(([run, bare]) => run.p50_ms - bare.p50_ms)));
    if (row.ttfb_ms !== undefined) {
      row.ratio_ttfb = rounded(median(pairs.map(([run, bare]) => bare.ttfb_ms / run.ttfb_ms)));
    }
    row.faults = [...new Set(mine.flatMap((run) => run.faults))];
    row.rounds = mine.map((run) => {
      const round = { round: run.round };
      for (const figure of FIGURES) if (run[figure] !== undefined) round[figure] = rounded(run[figure]);
      return { ...round, requests: run.requests };
    });
    return row;
  });
}

// A first chunk counts as early as bare's above this: a tenth is what the same system differs by
// between two runs.
const AS_EARLY = 0.9;

const GOALS = [
  ["api", "turnpike, local limit", "ratio_rps", 0.8],
  ["api", "turnpike, local limit", "ratio_cpu", 0.8],
  ["chat", "turnpike", "ratio_rps", 0.8],
  ["chat", "turnpike", "ratio_cpu", 0.8],
  ["chat-19k", "turnpike", "ratio_rps", 0.8],
  ["chat-19k", "turnpike", "ratio_cpu", 0.8],
  ["stream-usage", "turnpike", "ratio_cpu", 0.6],
  ["stream-usage", "turnpike", "ratio_ttfb", AS_EARLY],
  ["stream", "turnpike", "ratio_cpu", 0.6],
  ["stream", "turnpike", "ratio_ttfb", AS_EARLY],
];

const MEANING = {
  ratio_rps: "requests per second",
  ratio_cpu: "CPU",
  ratio_ttfb: "time to first chunk",
};

export function goalsOf(rows) {
  return GOALS.map(([entry, system, figure, wanted]) => {
    const row = rows.find((candidate) => candidate.case === entry && candidate.system === system);
    const measured = row?.[figure] ?? null;
    // What was measured on refusals or broken streams meets nothing.
    const met = measured === null ? null : measured >= wanted && row.faults.length === 0;
    return { case: entry, system, figure, wanted, measured, met };
  });
}

const show = (value, digits) => (value === null || value === undefined ? "-" : value.toFixed(digits));

export function printReport({ rows, goals, conditions, versions }, cases) {
  const out = [];
  const heads = ["", "req/s", "CPU us", "p50 ms", "p99 ms", "added ms", "1st chunk ms", "req/s ratio", "CPU ratio", "1st ratio", "calls/1000"];
  const cells = [];
  for (const entry of cases) {
    const mine = rows.filter((row) => row.case === entry.name);
    if (mine.length === 0) continue;
    cells.push([entry.title]);
    for (const row of mine) {
      cells.push([
        `  ${row.system}${row.faults.length > 0 ? " !" : ""}`,
        show(row.rps, row.rps < 100 ? 1 : 0), show(row.cpu_us, 0), show(row.p50_ms, 2), show(row.p99_ms, 2), show(row.added_ms, 2),
        show(row.ttfb_ms, 2), show(row.ratio_rps, 2), show(row.ratio_cpu, 2), show(row.ratio_ttfb, 2), show(row.round_trips, 1),
      ]);
    }
  }
  const widths = heads.map((head, i) => Math.max(head.length, ...cells.filter((line) => line.length > 1).map((line) => line[i].length)));
  const line = (texts) => texts.map((text, i) => (i === 0 ? text.padEnd(widths[0]) : text.padStart(widths[i]))).join("  ").trimEnd();
  out.push("", line(heads), ...cells.map((texts) => (texts.length === 1 ? texts[0] : line(texts))), "");

  for (const row of rows) for (const fault of row.faults) out.push(`! ${row.case}, ${row.system}: ${fault}`);
  out.push(`medians of ${conditions.rounds} rounds of ${conditions.seconds_per_run} s; ratios to bare, higher is better; ` +
    `at a pace, and of streams, req/s says nothing; CPU is per stream`);
  out.push(...Object.entries(versions).map(([name, version]) => `${name} ${version}`), "", "Goals of Turnpike, as ratios to bare:");
  for (const goal of goals) {
    const verdict = goal.met === null ? "not measured" : goal.met ? "met" : "NOT MET";
    const title = cases.find((entry) => entry.name === goal.case)?.title ?? goal.case;
    out.push(`  ${verdict.padEnd(12)}  ${show(goal.measured, 3).padStart(5)} of ${goal.wanted.toFixed(2)}  ` +
      `${MEANING[goal.figure]}: ${title}${goal.system === "turnpike" ? "" : `, ${goal.system}`}`);
  }
  if (conditions.rounds < ROUNDS_FOR_A_VERDICT) {
    out.push(`  (of ${conditions.rounds} rounds only: a look, not a verdict; that takes ${ROUNDS_FOR_A_VERDICT})`);
  }
  console.log(out.join("\n"));
}
