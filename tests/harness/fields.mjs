// Structured fields (RFC 9651), as far as RateLimit and RateLimit-Policy use them: a list of strings
// with integer parameters. What is not one is an error.
//
//   parseList('"burst";q=100;w=60')   // [{ name: "burst", q: 100, w: 60 }]

export function parseList(text) {
  if (text === null || text === undefined) throw new Error("the field is absent");
  const items = [];
  let rest = text;
  const take = (pattern) => {
    const found = pattern.exec(rest);
    if (found === null) throw new Error(`not a structured list of strings: ${text} (at ${rest})`);
    rest = rest.slice(found[0].length);
    return found[1];
  };
  for (;;) {
    const item = { name: take(/^"((?:[ !#-[\]-~]|\\["\\])*)"/).replace(/\\(.)/g, "$1") };
    while (rest.startsWith(";")) {
      const key = take(/^; *([a-z*][a-z0-9_.*-]*)/);
      item[key] = Number(take(/^=(-?\d{1,15})(?![\d.])/));
    }
    items.push(item);
    if (rest === "") return items;
    take(/^([ \t]*,[ \t]*)/);
  }
}
