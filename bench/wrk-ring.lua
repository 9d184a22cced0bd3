-- Sends one request again and again, each time with the next of many tokens, and begins anew after the last one.
-- Prints what came of it as wrk.lua does. Arguments: METHOD FILE OF TOKENS, one in a line.

local requests = {}
local at = 0

function init(args)
  wrk.method = args[1]
  for token in assert(io.open(args[2])):lines() do
    wrk.headers["authorization"] = "Bearer " .. token
    requests[#requests + 1] = wrk.format()
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"p50_ms":%.4f,"p99_ms":%.4f,"status":%d,"socket":%d,"timeout":%d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write, errors.timeout
  ))
end
