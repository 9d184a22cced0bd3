// Chance and words for a generated tree: the same seed picks the same, everywhere.

// Small and seeded (mulberry32).
export function generator(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const below = (count) => Math.floor(next() * count);
  return {
    below,
    oneIn: (count) => below(count) === 0,
    pick: (list) => list[below(list.length)],
    some(list, count) {
      const rest = [...list];
      return Array.from({ length: count }, () => rest.splice(below(rest.length), 1)[0]);
    },
  };
}

export const capital = (word) => word[0].toUpperCase() + word.slice(1);
export const plural = (word) => (word.endsWith("y") ? `${word.slice(0, -1)}ies` : /(s|x|ch)$/.test(word) ? `${word}es` : `${word}s`);
export const indent = (text, by) => text.replace(/^(?=.)/gm, " ".repeat(by));
