// Whether the start-up of a Worker grows with its tree as it may: by 1 ms for 1,000 operations at the most.
//
// What is judged is the time to the first answer, with all that the Worker carries: larger files take longer to load, and
// that is a part of what a larger tree costs.

const AT_MOST = 1;
// By so much the start-up of one and the same Worker moves between runs.
export const NOISE_MS = 10;

/** The goal, of the rows of a small and a large tree. `met` is null where the noise hides whether it is. */
export function startUp(small, large) {
  const thousands = (large.operations - small.operations) / 1000;
  const value = (large.start_ms - small.start_ms) / thousands;
  const within = value + NOISE_MS / thousands <= AT_MOST ? true : null;
  return {
    goal: `ms of start-up of the Worker for 1,000 operations, its files counted, at most ${AT_MOST}`,
    value,
    met: value > AT_MOST ? false : within,
  };
}

/** How it is told whether a goal is met. */
export const told = ({ met }) => (met === null ? "not shown" : met ? "met" : "NOT MET").padEnd(9);
