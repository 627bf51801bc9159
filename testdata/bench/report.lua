-- Sends the requests that a file lists, one after the other and again from the beginning: on each
-- line a target, a tab and the value of the Cookie header.
local file = os.getenv("GATEPOST_BENCH_REQUESTS")
if file then
  local prepared, at = {}, 0

  function init()
    for line in io.lines(file) do
      local target, cookie = line:match("^([^\t]*)\t(.*)$")
      wrk.headers["Cookie"] = cookie
      prepared[#prepared + 1] = wrk.format("GET", target)
    end
  end

  function request()
    at = at % #prepared + 1
    return prepared[at]
  end
end

-- What a round of wrk found, as one line of JSON. Times are in microseconds.
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"duration":%d,"p50":%d,"p99":%d,"status_errors":%d,"socket_errors":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
