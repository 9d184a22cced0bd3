-- Sends requests in turn that differ in their token or in their path, and begins anew after the last one.
-- Prints what came of it as wrk.lua does. Arguments: METHOD, `tokens` or `paths`, FILE with one of them in a line.

local requests = {}
local at = 0

function init(args)
  wrk.method = args[1]
  for line in assert(io.open(args[3])):lines() do
    if args[2] == "tokens" then
      wrk.headers["authorization"] = "Bearer " .. line
    else
      wrk.path = line
    end
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
