// The CPU time, user and system, that a process and its descendants have used.

import { readFileSync, readdirSync } from "node:fs";

// Linux counts in hundredths of a second towards programs, whatever the kernel's own tick is.
const TICK_US = 10_000;

function statOf(pid) {
  let text;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return null;
  }
  // The second field is a name in brackets, and may hold anything.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [utime, stime, cutime, cstime] = fields.slice(11, 15).map(Number);
  return { parent: Number(fields[1]), us: (utime + stime + cutime + cstime) * TICK_US };
}

function familyOf(pid) {
  const parents = new Map();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = statOf(name);
    if (stat !== null) parents.set(Number(name), stat.parent);
  }
  const family = new Set([pid]);
  for (let grew = true; grew;) {
    grew = false;
    for (const [child, parent] of parents) {
      if (family.has(parent) && !family.has(child)) {
        family.add(child);
        grew = true;
      }
    }
  }
  return family;
}

// The scheduler's own count of the threads that are there now, in nanoseconds.
function scheduledUs(pid) {
  let total = 0;
  try {
    for (const task of readdirSync(`/proc/${pid}/task`)) {
      total += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, "latin1").split(" ", 1)[0]);
    }
  } catch {
    return NaN;
  }
  return total / 1000;
}

export function readCpu(pid) {
  const sum = { ticks: 0, scheduled: 0 };
  for (const member of familyOf(pid)) {
    sum.ticks += statOf(member)?.us ?? 0;
    sum.scheduled += scheduledUs(member);
  }
  return sum;
}

// Microseconds between two readings. `/proc/PID/stat` decides; as it is coarse, the scheduler's finer
// count is taken where the two agree, which they do unless a thread ended in between.
export function cpuBetween(before, after) {
  const ticks = after.ticks - before.ticks;
  const scheduled = after.scheduled - before.scheduled;
  const near = 4 * TICK_US + ticks * 0.02;
  return Math.abs(ticks - scheduled) <= near ? scheduled : ticks;
}
